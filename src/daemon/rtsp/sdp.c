/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/rtsp/sdp.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>

#include "base/bytes.h"
#include "camcast/rtp.h"
#include "camcast/worker.h"
#include "media/nal.h"

#define SETS_MAX (CAMCAST_PREAMBLE_MAX * 3 / 2)

struct text {
	char *out;
	size_t len;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *text, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(text->out + text->len, SDP_MAX - text->len, format, args);
	va_end(args);
	if (n > 0)
		text->len += (size_t)n < SDP_MAX - text->len ? (size_t)n : SDP_MAX - 1 - text->len;
}

/* The parameter sets of a preamble. */
struct sets {
	char base64[SETS_MAX]; /* separated by commas (RFC 6184 clause 8.1) */
	size_t len;
	const uint8_t *sps; /* the first one; NULL: none, or a short one */
	bool pps;
};

static int read_sets(struct sets *sets, const uint8_t *data, size_t len)
{
	sets->len = 0;
	sets->sps = NULL;
	sets->pps = false;
	for (size_t at = 0; at < len;) {
		size_t n;

		if (len - at < 3)
			return -EINVAL;
		n = bytes_get16(data + at);
		at += 2;
		if (n == 0 || n > len - at || sets->len + n * 4 / 3 + 8 > sizeof sets->base64)
			return -EINVAL;
		if (sets->len > 0)
			sets->base64[sets->len++] = ',';
		sets->len += (size_t)EVP_EncodeBlock((unsigned char *)sets->base64 + sets->len,
						     data + at, (int)n);
		if (nal_type(data[at]) == NAL_SPS && n >= 4 && !sets->sps)
			sets->sps = data + at;
		sets->pps |= nal_type(data[at]) == NAL_PPS;
		at += n;
	}
	return sets->sps && sets->pps ? 0 : -EINVAL;
}

static int payload_type(const struct rtsp_stream *stream)
{
	if (stream->in_ts)
		return CAMCAST_RTP_TYPE_TS;
	return stream->jpeg ? CAMCAST_RTP_TYPE_JPEG : CAMCAST_RTP_TYPE_H264;
}

static bool needs_sets(const struct rtsp_stream *stream)
{
	return payload_type(stream) == CAMCAST_RTP_TYPE_H264;
}

static void add_media(struct text *text, const struct sdp_options *options, const struct sets *sets)
{
	const struct rtsp_stream *stream = options->stream;

	add(text, "m=video %u RTP/AVP %d\r\n", options->group ? options->group->group.port : 0,
	    payload_type(stream));
	if (stream->bitrate_bps >= 1000)
		add(text, "b=AS:%u\r\n", stream->bitrate_bps / 1000);
	if (!needs_sets(stream))
		add(text, "a=rtpmap:%d %s/%d\r\n", payload_type(stream),
		    stream->in_ts ? "MP2T" : "JPEG", CAMCAST_RTP_CLOCK);
	else
		add(text,
		    "a=rtpmap:%d H264/%d\r\n"
		    "a=fmtp:%d packetization-mode=1;profile-level-id=%02X%02X%02X;"
		    "sprop-parameter-sets=%.*s\r\n",
		    CAMCAST_RTP_TYPE_H264, CAMCAST_RTP_CLOCK, CAMCAST_RTP_TYPE_H264, sets->sps[1],
		    sets->sps[2], sets->sps[3], (int)sets->len, sets->base64);
	if (stream->rate_milli > 0 && stream->rate_milli % 1000 == 0)
		add(text, "a=framerate:%u\r\n", stream->rate_milli / 1000);
	else if (stream->rate_milli > 0)
		add(text, "a=framerate:%u.%03u\r\n", stream->rate_milli / 1000,
		    stream->rate_milli % 1000);
	if (!options->group)
		add(text, "a=control:" RTSP_TRACK "\r\n");
}

/* Where packets go; clause 5.7: of a group, with how far, if it is of IPv4. */
static void add_connection(struct text *text, const struct sdp_options *options, bool ipv4)
{
	char host[NET_PEER_TEXT_MAX];

	if (!options->group) {
		add(text, "c=IN %s\r\n", ipv4 ? "IP4 0.0.0.0" : "IP6 ::");
		return;
	}
	net_peer_format_host(&options->group->group, host);
	if (net_peer_is_ipv4(&options->group->group))
		add(text, "c=IN IP4 %s/%u\r\n", host, options->group->ttl);
	else
		add(text, "c=IN IP6 %s\r\n", host);
}

/* Those of the newest unit of the stream's feed. */
static int find_sets(struct sets *out, const struct rtsp_stream *stream)
{
	const struct log *log = feed_log(stream->feed);
	const struct segment *preamble;
	uint16_t id;

	if (log->tail == log->head)
		return -EAGAIN;
	if (!needs_sets(stream))
		return 0;
	id = log_unit(log, log->head - 1)->preamble;
	preamble = id ? log_preamble(log, id) : NULL;
	return preamble ? read_sets(out, preamble->pages.map, preamble->size) : -EINVAL;
}

int sdp_write(char out[SDP_MAX], const struct sdp_options *options)
{
	struct text text = {.out = out};
	bool ipv4 = net_peer_is_ipv4(options->local);
	char host[NET_PEER_TEXT_MAX];
	struct sets sets;
	int err = find_sets(&sets, options->stream);

	if (err < 0)
		return err;
	net_peer_format_host(options->local, host);
	host[strcspn(host, "%")] = '\0'; /* an interface means nothing elsewhere */
	add(&text, "v=0\r\no=- %llu %llu IN %s %s\r\ns=%s\r\n", (unsigned long long)options->id,
	    (unsigned long long)options->version, ipv4 ? "IP4" : "IP6", host,
	    options->stream->name);
	add_connection(&text, options, ipv4);
	add(&text, "t=0 0\r\n");
	if (!options->group)
		add(&text, "a=control:*\r\na=range:npt=now-\r\n");
	add_media(&text, options, &sets);
	return 0;
}

int sdp_write_version(char out[SDP_MAX], const struct sdp_options *options,
		      struct sdp_version *newest)
{
	struct sdp_options with = *options;
	int err;

	with.version = newest->number;
	err = sdp_write(out, &with);
	if (err < 0 ||
	    (newest->number > 0 && bytes_hash(BYTES_HASH, out, strlen(out)) == newest->hash))
		return err;
	with.version = ++newest->number;
	err = sdp_write(out, &with);
	newest->hash = bytes_hash(BYTES_HASH, out, strlen(out));
	return err;
}
