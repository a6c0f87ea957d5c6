/* SPDX-License-Identifier: BSD-2-Clause */
/* What a crowd connects to, as URLs and words of the command line say it. */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

#include "bench/lib/crowd.h"
#include "net/address.h"

static const struct {
	const char *name, *suffix; /* of a path; NULL: none */
	enum wire_framing framing;
} framings[] = {
	{"annexb", ".h264", WIRE_ANNEXB},
	{"length", NULL, WIRE_LENGTH},
	{"ts", ".ts", WIRE_TS},
	{"mp4", ".mp4", WIRE_MP4},
	{"mjpg", ".mjpg", WIRE_MULTIPART},
	{"ws", ".ws", WIRE_WEBSOCKET},
	{"hls", ".m3u8", WIRE_HLS},
	{"hls-plain", NULL, WIRE_HLS_PLAIN},
};

int crowd_framing_parse(enum wire_framing *framing, const char *name)
{
	for (size_t i = 0; i < sizeof(framings) / sizeof(*framings); i++) {
		if (strcmp(framings[i].name, name) == 0) {
			*framing = framings[i].framing;
			return 0;
		}
	}
	return -EINVAL;
}

static enum wire_framing framing_of_path(const char *path)
{
	const char *suffix = strrchr(path, '.');

	for (size_t i = 0; suffix && i < sizeof(framings) / sizeof(*framings); i++) {
		if (framings[i].suffix && strcmp(framings[i].suffix, suffix) == 0)
			return framings[i].framing;
	}
	return WIRE_ANNEXB;
}

static const struct scheme {
	const char *text;
	bool has_path, http, tls;
	enum wire_framing framing; /* of http: by the path */
} schemes[] = {
	{"tls://", false, false, true, WIRE_ANNEXB}, {"http://", true, true, false, WIRE_ANNEXB},
	{"https://", true, true, true, WIRE_ANNEXB}, {"rtsp://", true, false, false, WIRE_RTSP},
	{"rtsps://", true, false, true, WIRE_RTSP},  {"rtmp://", true, false, false, WIRE_RTMP},
	{"", false, false, false, WIRE_ANNEXB},
};

int crowd_target_parse(struct crowd_target *target, const char *text)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
	const struct scheme *scheme = schemes;
	struct wire_source *source = &target->source;
	struct net_address address;
	char host_port[NET_HOST_MAX + 8], port[8];
	const char *host, *slash;
	size_t len;

	while (strncmp(text, scheme->text, strlen(scheme->text)) != 0)
		scheme++;
	host = text + strlen(scheme->text);
	slash = strchr(host, '/');
	len = slash ? (size_t)(slash - host) : strlen(host);
	memset(target, 0, sizeof(*target));
	if ((slash != NULL) != scheme->has_path || len >= sizeof(host_port) ||
	    (slash && strlen(slash + 1) >= sizeof(source->path)))
		return -EINVAL;
	snprintf(host_port, sizeof(host_port), "%.*s", (int)len, host);
	if (net_address_parse(&address, host_port, NET_CONNECT) < 0)
		return -EINVAL;
	if (len >= sizeof(source->host))
		return -EINVAL;
	strcpy(source->host, host_port);
	strcpy(source->path, slash ? slash + 1 : "");
	source->http = scheme->http;
	source->tls = scheme->tls;
	source->framing = scheme->http ? framing_of_path(source->path) : scheme->framing;
	snprintf(port, sizeof(port), "%u", address.port);
	if (getaddrinfo(address.host, port, &hints, &found) != 0)
		return -EHOSTUNREACH;
	memcpy(&target->address, found->ai_addr, found->ai_addrlen);
	target->address_len = found->ai_addrlen;
	freeaddrinfo(found);
	return 0;
}
