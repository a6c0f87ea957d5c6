/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/rtsp/sap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

#define PERIOD_US 5000000
#define RETRY_US 1000000 /* while there is nothing to announce yet */

/* Clause 3: version 1, no encryption, no compression. */
enum { SAP_VERSION = 1 << 5, SAP_IPV6 = 1 << 4, SAP_DELETION = 1 << 2 };

struct sap {
	struct sap_options options;
	struct loop_timer timer;
	/* What was announced last; "" : nothing. */
	char sdp[SDP_MAX];
	struct net_peer source;
};

/* Clause 6: another one for another description, and not 0. */
static uint16_t hash_of(const char *sdp)
{
	uint64_t hash = bytes_hash(BYTES_HASH, sdp, strlen(sdp));
	uint16_t folded = (uint16_t)(hash >> 48 ^ hash >> 32 ^ hash >> 16 ^ hash);

	return folded ? folded : 1;
}

/* The line "o=" with its end; the whole if there is none. Returns its length. */
static size_t find_origin(const char **sdp, size_t len)
{
	const char *line = strstr(*sdp, "\no="), *end = line ? strchr(line + 1, '\n') : NULL;

	if (!end)
		return len;
	*sdp = line + 1;
	return (size_t)(end - line);
}

size_t sap_write(uint8_t out[SAP_MAX], bool gone, const struct net_peer *source, const char *sdp)
{
	static const char type[] = "application/sdp";
	bool ipv4 = net_peer_is_ipv4(source);
	size_t address = ipv4 ? 4 : 16, len = strlen(sdp);
	uint16_t hash = hash_of(sdp);
	uint8_t *at = out;

	if (gone)
		len = find_origin(&sdp, len);
	*at++ = (uint8_t)(SAP_VERSION | (ipv4 ? 0 : SAP_IPV6) | (gone ? SAP_DELETION : 0));
	*at++ = 0; /* no authentication */
	at = bytes_put16(at, hash);
	memcpy(at, source->address + sizeof source->address - address, address);
	at += address;
	memcpy(at, type, sizeof type);
	at += sizeof type;
	memcpy(at, sdp, len);
	return (size_t)(at - out) + len;
}

static void say(const struct sap *sap, bool gone)
{
	uint8_t packet[SAP_MAX];
	size_t len = sap_write(packet, gone, &sap->source, sap->sdp);

	multicast_announce(sap->options.group, packet, len);
}

static void retract(struct sap *sap)
{
	if (sap->sdp[0])
		say(sap, true);
	sap->sdp[0] = '\0';
}

/* False: there is nothing to announce. */
static bool announce(struct sap *sap)
{
	struct net_peer source;
	char sdp[SDP_MAX];

	if (!multicast_source(sap->options.group, &source) ||
	    !sap->options.describe(sap->options.user, sdp))
		return false;
	/* Its origin names the source: from another one it is another description. */
	if (memcmp(source.address, sap->source.address, sizeof source.address) != 0)
		retract(sap);
	memcpy(sap->sdp, sdp, sizeof sdp);
	sap->source = source;
	say(sap, false);
	return true;
}

static void handle_timer(struct loop_timer *timer)
{
	struct sap *sap = container_of(timer, struct sap, timer);
	struct loop *loop = sap->options.loop;
	int64_t after_us = announce(sap) ? PERIOD_US : RETRY_US;

	loop_timer_set(loop, timer, loop_now_us(loop) + after_us);
}

int sap_create(struct sap **out, const struct sap_options *options)
{
	struct sap *sap = calloc(1, sizeof *sap);

	if (!sap)
		return -ENOMEM;
	sap->options = *options;
	loop_timer_init(&sap->timer, handle_timer);
	loop_timer_set(options->loop, &sap->timer, loop_now_us(options->loop));
	*out = sap;
	return 0;
}

void sap_destroy(struct sap *sap)
{
	if (!sap)
		return;
	loop_timer_cancel(sap->options.loop, &sap->timer);
	retract(sap);
	free(sap);
}
