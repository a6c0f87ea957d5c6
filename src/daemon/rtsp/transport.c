/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/rtsp/transport.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

/* A part of the header, without blanks around it. */
struct part {
	const char *text;
	size_t len;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Takes the part before the next semicolon. False: there are no more. */
static bool next_part(const char **at, const char *end, struct part *out)
{
	const char *begin = *at, *stop;

	if (begin >= end)
		return false;
	stop = memchr(begin, ';', (size_t)(end - begin));
	if (!stop)
		stop = end;
	*at = stop + 1;
	while (begin < stop && is_blank(*begin))
		begin++;
	while (stop > begin && is_blank(stop[-1]))
		stop--;
	*out = (struct part){begin, (size_t)(stop - begin)};
	return true;
}

static bool is(struct part part, const char *word)
{
	return part.len == strlen(word) && strncasecmp(part.text, word, part.len) == 0;
}

/* A port at *part, which moves behind it; 0: there is none that is allowed. */
static uint16_t take_port(struct part *part)
{
	uint32_t port = 0;

	while (part->len > 0 && part->text[0] >= '0' && part->text[0] <= '9' &&
	       port <= UINT16_MAX) {
		port = port * 10 + (uint32_t)(part->text[0] - '0');
		part->text++;
		part->len--;
	}
	return port >= TRANSPORT_PORT_MIN && port <= UINT16_MAX ? (uint16_t)port : 0;
}

/* "client_port=5000-5001" or "client_port=5000". False: it is something else, or not valid. */
static bool read_ports(struct part part, struct transport *out)
{
	static const char key[] = "client_port=";
	const size_t len = sizeof key - 1;

	if (part.len < len || strncasecmp(part.text, key, len) != 0)
		return false;
	part.text += len;
	part.len -= len;
	out->rtp_port = take_port(&part);
	if (part.len > 0 && part.text[0] == '-') {
		part.text++;
		part.len--;
		out->rtcp_port = take_port(&part);
	} else if (out->rtp_port < UINT16_MAX) {
		out->rtcp_port = out->rtp_port + 1;
	}
	return part.len == 0 && out->rtp_port > 0 && out->rtcp_port > 0;
}

/* One transport: a protocol, then parameters. False: it is none that is served. */
static bool read_one(const char *text, const char *end, struct transport *out)
{
	bool ports = false, multicast = false;
	struct part part;

	*out = (struct transport){0};
	if (!next_part(&text, end, &part))
		return false;
	if (is(part, "RTP/AVP/TCP"))
		out->kind = TRANSPORT_INTERLEAVED;
	else if (is(part, "RTP/AVP") || is(part, "RTP/AVP/UDP"))
		out->kind = TRANSPORT_UDP;
	else
		return false;
	out->lower = is(part, "RTP/AVP/UDP");
	while (next_part(&text, end, &part)) {
		if (is(part, "mode=RECORD") || is(part, "mode=\"RECORD\""))
			return false;
		multicast |= is(part, "multicast");
		ports |= read_ports(part, out);
	}
	if (!multicast)
		return out->kind == TRANSPORT_INTERLEAVED || ports;
	if (out->kind != TRANSPORT_UDP)
		return false;
	/* The group has ports of its own. */
	*out = (struct transport){.kind = TRANSPORT_MULTICAST, .lower = out->lower};
	return true;
}

bool transport_choose(const char *value, unsigned kinds, struct transport *out)
{
	while (*value) {
		struct transport one;
		size_t n = 0;
		bool quoted = false;

		for (; value[n] && (quoted || value[n] != ','); n++)
			quoted ^= value[n] == '"';
		if (read_one(value, value + n, &one) && one.kind & kinds) {
			*out = one;
			return true;
		}
		value += n + (value[n] == ',');
	}
	return false;
}
