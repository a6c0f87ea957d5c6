/* SPDX-License-Identifier: BSD-2-Clause */
#include "capture/tap.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/text.h"
#include "camcast/multipart.h"
#include "media/h264_writer.h"
#include "process/pair.h"

union message {
	uint32_t type;
	struct camcast_msg_unit unit;
	struct camcast_msg_stream stream;
	struct camcast_msg_heartbeat heartbeat;
	struct camcast_msg_preamble preamble;
};

static int write_all(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

static int write_range(const struct tap *tap, uint32_t offset, uint32_t len)
{
	char buffer[65536];

	while (len > 0) {
		size_t want = len < sizeof(buffer) ? len : sizeof(buffer);
		ssize_t n = pread(tap->segment_fd, buffer, want, offset);
		int r;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		r = write_all(tap->out_fd, buffer, (size_t)n);
		if (r < 0)
			return r;
		offset += (uint32_t)n;
		len -= (uint32_t)n;
	}
	return 0;
}

/* Whether the unit ends with the delimiter of the next unit (mux.c). */
static bool ends_with_delimiter(const struct tap *tap, const struct camcast_msg_unit *unit)
{
	uint8_t end[H264_AUD_LEN];

	return tap->framing == CONFIG_FRAMING_ANNEXB && unit->len > sizeof(end) &&
	       pread(tap->segment_fd, end, sizeof(end),
		     (off_t)unit->offset + unit->len - (off_t)sizeof(end)) == sizeof(end) &&
	       memcmp(end, h264_aud, sizeof(end)) == 0;
}

/* What a viewer gets before its first unit, and again when it changes. */
static int write_preamble(struct tap *tap, const struct camcast_msg_unit *unit)
{
	if (unit->preamble == tap->preamble_written)
		return 0;
	if (unit->preamble != tap->preamble.version)
		return -EPROTO;
	tap->preamble_written = unit->preamble;
	return write_all(tap->out_fd, (const char *)tap->preamble.data, tap->preamble.len);
}

/* What camcastd adds to the head of a response. */
static int write_first(const struct tap *tap)
{
	const char *first = tap->framing == CONFIG_FRAMING_MULTIPART ? CAMCAST_MULTIPART_FIRST
			    : tap->framing == CONFIG_FRAMING_MULTIPART_EARLY
				    ? CAMCAST_MULTIPART_FIRST_EARLY
				    : "";

	return write_all(tap->out_fd, first, strlen(first));
}

/* In a file the delimiter is written before its picture, so that the file ends with a picture. */
static int write_unit(struct tap *tap, const struct camcast_msg_unit *unit)
{
	uint32_t len = unit->len;
	int r = tap->units == 0 ? write_first(tap) : 0;

	if (r == 0)
		r = write_preamble(tap, unit);
	if (r == 0 && ends_with_delimiter(tap, unit)) {
		r = write_all(tap->out_fd, (const char *)h264_aud, H264_AUD_LEN);
		len -= H264_AUD_LEN;
	}
	if (r == 0)
		r = write_range(tap, unit->offset, len);
	if (r < 0)
		return r;
	tap->units++;
	tap->keys += (unit->flags & CAMCAST_UNIT_KEY) != 0;
	tap->bytes += unit->len;
	return 0;
}

static int handle_unit(struct tap *tap, const struct camcast_msg_unit *unit, int fd)
{
	if (unit->feed != tap->feed) {
		if (fd >= 0)
			close(fd);
		return 0;
	}
	if (fd >= 0) {
		if (tap->segment_fd >= 0)
			close(tap->segment_fd);
		tap->segment_fd = fd;
		tap->segment = unit->segment;
	}
	if (tap->segment_fd < 0 || tap->segment != unit->segment)
		return -EPROTO;
	return write_unit(tap, unit);
}

static int handle(struct tap *tap, const union message *message, int fd)
{
	if (message->type == CAMCAST_MSG_UNIT)
		return handle_unit(tap, &message->unit, fd);
	if (message->type == CAMCAST_MSG_PREAMBLE && message->preamble.feed == tap->feed)
		tap->preamble = message->preamble;
	if (message->type == CAMCAST_MSG_STREAM && message->stream.stream == tap->stream) {
		tap->dropped = message->stream.dropped;
		text_set(tap->encoder, sizeof(tap->encoder), message->stream.encoder);
		text_set(tap->detail, sizeof(tap->detail), message->stream.detail);
		diag_debug("%s: %u.%03u fps, %u bit/s, %u us a picture", tap->encoder,
			   message->stream.fps_milli / 1000, message->stream.fps_milli % 1000,
			   message->stream.bitrate_bps, message->stream.encode_us);
	}
	return 0;
}

/* Milliseconds that poll may wait; 0 when the time is over. */
static int time_left_ms(const struct tap *tap)
{
	int64_t left_us = tap->deadline_us - clock_now_us();

	if (tap->duration_us == 0)
		return -1;
	if (left_us <= 0)
		return 0;
	return left_us > 3600 * 1000000ll ? 3600 * 1000 : (int)(left_us / 1000 + 1);
}

static void *run(void *arg)
{
	struct tap *tap = arg;
	struct pollfd pollfd = {.fd = tap->pair, .events = POLLIN};

	pthread_setname_np(pthread_self(), "tap");
	while (tap->error == 0) {
		int timeout_ms = time_left_ms(tap);
		union message message;
		ssize_t n;
		int fd, r;

		if (timeout_ms == 0) {
			tap->error = tap->units == 0 ? -ETIMEDOUT : 0;
			break;
		}
		r = poll(&pollfd, 1, timeout_ms);
		if (r <= 0)
			continue;
		n = pair_receive(tap->pair, &message, sizeof message, &fd, 1, 0);
		if (n <= 0) {
			tap->error = n < 0 && n != -ECONNRESET ? (int)n : 0;
			break;
		}
		tap->error = handle(tap, &message, fd);
	}
	close(tap->pair);
	return NULL;
}

static int ask_for_feed(struct tap *tap)
{
	struct camcast_msg_want want = {
		.type = CAMCAST_MSG_WANT,
		.feed = tap->feed,
		.wanted = 1,
	};

	return send(tap->pair, &want, sizeof(want), MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int tap_start(struct tap *tap)
{
	int r = ask_for_feed(tap);

	if (r < 0)
		return r;
	tap->segment_fd = -1;
	tap->deadline_us = clock_now_us() + tap->duration_us;
	return -pthread_create(&tap->thread, NULL, run, tap);
}

int tap_finish(struct tap *tap)
{
	pthread_join(tap->thread, NULL);
	if (tap->segment_fd >= 0)
		close(tap->segment_fd);
	if (tap->error == -ETIMEDOUT)
		diag_error("no picture came in time: the camera may need longer to start");
	else if (tap->error < 0)
		diag_error("writing: %s", strerror(-tap->error));
	diag_info("%" PRIu64 " units (%" PRIu64 " key), %" PRIu64 " bytes; %s (%s); %" PRIu64
		  " pictures not encoded",
		  tap->units, tap->keys, tap->bytes, tap->encoder[0] ? tap->encoder : "no encoder",
		  tap->detail, tap->dropped);
	return tap->error;
}
