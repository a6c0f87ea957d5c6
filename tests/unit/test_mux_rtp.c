/* SPDX-License-Identifier: BSD-2-Clause */
/* RTP packets of H.264, of JPEGs and of transport streams, byte by byte. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "camcast/rtp.h"
#include "camcast/worker.h"
#include "capture/publish/mux.h"
#include "media/jpeg.h"
#include "media/rtp.h"

#define SSRC 0x12345678u
#define OFFSET 0xfffffff0u /* the RTP time wraps at once */
#define FIRST 65534
#define US 20000000

static const struct mux_rtp rtp = {.ssrc = SSRC, .offset = OFFSET, .sequence = FIRST};
static uint8_t sps[] = {0x67, 0x64, 0x00, 0x1e, 0xac}, pps[] = {0x68, 0xeb};
static uint8_t sei[] = {6, 1, 2}, slice[200000];

/* A frame of a unit. */
struct packet {
	unsigned channel;
	const uint8_t *data;
	size_t len;
};

struct state {
	struct mux *mux;
	struct mux_framed framed;
	uint8_t *whole;
	size_t len;
	struct packet packets[1000];
	unsigned n;
};

static unsigned get(const uint8_t *at, int n)
{
	unsigned value = 0;

	while (n-- > 0)
		value = value << 8 | *at++;
	return value;
}

static void begin(struct state *s, enum config_framing framing, size_t packet_len)
{
	const struct mux_options options = {.framing = framing, .packet_len = packet_len};

	memset(s, 0, sizeof(*s));
	s->whole = malloc(1 << 20);
	assert_non_null(s->whole);
	assert_int_equal(mux_create(&s->mux, &options), 0);
}

static void end(struct state *s)
{
	mux_destroy(s->mux);
	free(s->whole);
}

/* Takes the unit to pieces. */
static void cut(struct state *s)
{
	s->len = 0;
	for (int i = 0; i < s->framed.iovcnt; i++) {
		memcpy(s->whole + s->len, s->framed.iov[i].iov_base, s->framed.iov[i].iov_len);
		s->len += s->framed.iov[i].iov_len;
	}
	s->n = 0;
	for (size_t at = 0; at < s->len; s->n++) {
		struct packet *packet = &s->packets[s->n];

		assert_true(s->len - at > 4 && s->n < 1000);
		assert_int_equal(s->whole[at], '$');
		packet->channel = s->whole[at + 1];
		packet->len = get(s->whole + at + 2, 2);
		packet->data = s->whole + at + 4;
		at += 4 + packet->len;
		assert_true(at <= s->len);
	}
}

static int frame_h264(struct state *s, bool key, size_t slice_len, int64_t us)
{
	struct iovec sets[] = {{sps, sizeof(sps)}, {pps, sizeof(pps)}};
	struct iovec nals[] = {{sei, sizeof(sei)}, {slice, slice_len}};
	struct mux_unit unit = {.sets = sets,
				.n_sets = key ? 2 : 0,
				.nals = nals,
				.n_nals = 2,
				.key = key,
				.capture_us = us,
				.dts_us = us,
				.pts_us = us,
				.rtp = &rtp};
	int r;

	slice[0] = key ? 0x65 : 0x41;
	for (size_t i = 1; i < slice_len; i++)
		slice[i] = (uint8_t)(i * 7 + i / 251);
	r = mux_frame(s->mux, &unit, &s->framed);
	if (r == 0)
		cut(s);
	return r;
}

/* That packet i is one of RTP, with this marker, and that its sequence number is the n-th. */
static const uint8_t *payload(const struct state *s, unsigned i, bool marker, unsigned n,
			      uint32_t time)
{
	const struct packet *packet = &s->packets[i];

	assert_true(i < s->n);
	assert_int_equal(packet->channel, CAMCAST_RTP_CHANNEL);
	assert_true(packet->len > RTP_HEAD);
	assert_int_equal(packet->data[0], 0x80);
	assert_int_equal(packet->data[1] & 0x80, marker ? 0x80 : 0);
	assert_int_equal(get(packet->data + 2, 2), (FIRST + n) & 0xffff);
	assert_int_equal(get(packet->data + 4, 4), time);
	assert_int_equal(get(packet->data + 8, 4), SSRC);
	return packet->data + RTP_HEAD;
}

static void a_key_unit_is_a_report_a_delimiter_the_parameter_sets_and_the_slices(void **state)
{
	const uint32_t time = rtp_time(US, OFFSET);
	struct state s;

	(void)state;
	begin(&s, CONFIG_FRAMING_RTP, CAMCAST_RTP_PACKET_LEN);
	assert_int_equal(frame_h264(&s, true, 100, US), 0);
	assert_int_equal(s.n, 6);
	assert_int_equal(s.packets[0].channel, CAMCAST_RTCP_CHANNEL);
	assert_memory_equal(payload(&s, 1, false, 0, time), "\x09\xf0", 2);
	assert_int_equal(s.packets[1].len, RTP_HEAD + 2);
	assert_memory_equal(payload(&s, 2, false, 1, time), sps, sizeof(sps));
	assert_memory_equal(payload(&s, 3, false, 2, time), pps, sizeof(pps));
	assert_memory_equal(payload(&s, 4, false, 3, time), sei, sizeof(sei));
	assert_memory_equal(payload(&s, 5, true, 4, time), slice, 100);
	assert_int_equal(s.packets[5].data[1] & 0x7f, CAMCAST_RTP_TYPE_H264);
	end(&s);
}

static void the_preamble_has_the_parameter_sets_behind_their_lengths(void **state)
{
	struct state s;

	(void)state;
	begin(&s, CONFIG_FRAMING_RTP, CAMCAST_RTP_PACKET_LEN);
	assert_int_equal(frame_h264(&s, true, 100, US), 0);
	assert_int_equal(s.framed.preamble_len, 2 + sizeof(sps) + 2 + sizeof(pps));
	assert_memory_equal(s.framed.preamble, "\0\5", 2);
	assert_memory_equal(s.framed.preamble + 2, sps, sizeof(sps));
	assert_memory_equal(s.framed.preamble + 7, "\0\2", 2);
	assert_memory_equal(s.framed.preamble + 9, pps, sizeof(pps));
	assert_int_equal(frame_h264(&s, false, 100, US + 1), 0);
	assert_int_equal(s.framed.preamble_len, 0);
	end(&s);
}

static void another_unit_has_its_slices_alone(void **state)
{
	struct state s;

	(void)state;
	begin(&s, CONFIG_FRAMING_RTP, CAMCAST_RTP_PACKET_LEN);
	assert_int_equal(frame_h264(&s, true, 100, US), 0);
	assert_int_equal(frame_h264(&s, false, 50, US + 1000000), 0);
	assert_int_equal(s.n, 2);
	assert_memory_equal(payload(&s, 0, false, 5, rtp_time(US, OFFSET) + 90000), sei,
			    sizeof(sei));
	assert_memory_equal(payload(&s, 1, true, 6, rtp_time(US, OFFSET) + 90000), slice, 50);
	end(&s);
}

/* Clauses 6.4.1 and 6.5. */
static void a_report_states_when_the_picture_was_taken(void **state)
{
	const int64_t now_us = clock_now_us();
	const uint8_t *report;
	struct state s;
	int64_t utc_us;

	(void)state;
	begin(&s, CONFIG_FRAMING_RTP, CAMCAST_RTP_PACKET_LEN);
	assert_int_equal(frame_h264(&s, true, 100, now_us - 3000000), 0);
	assert_int_equal(frame_h264(&s, true, 100, now_us - 2000000), 0);
	report = s.packets[0].data;
	assert_int_equal(s.packets[0].len, 28 + 28);
	assert_memory_equal(report, "\x80\xc8\0\x06", 4);
	assert_int_equal(get(report + 4, 4), SSRC);
	utc_us = ((int64_t)get(report + 8, 4) - 2208988800) * 1000000 +
		 ((int64_t)get(report + 12, 4) * 1000000 >> 32);
	assert_in_range(clock_wall_us() - utc_us, 1900000, 4000000);
	assert_int_equal(get(report + 16, 4), rtp_time(now_us - 2000000, OFFSET));
	assert_int_equal(get(report + 20, 4), 5); /* packets, and bytes of their payload */
	assert_int_equal(get(report + 24, 4), 2 + sizeof(sps) + sizeof(pps) + sizeof(sei) + 100);
	report += 28;
	assert_memory_equal(report, "\x81\xca\0\x06", 4);
	assert_int_equal(get(report + 4, 4), SSRC);
	assert_memory_equal(report + 8,
			    "\1\x10"
			    "camcast-12345678\0",
			    20);
	end(&s);
}

static void a_long_gop_has_a_report_every_five_seconds(void **state)
{
	unsigned reports = 0;
	struct state s;

	(void)state;
	begin(&s, CONFIG_FRAMING_RTP, CAMCAST_RTP_PACKET_LEN);
	assert_int_equal(frame_h264(&s, true, 100, US), 0);
	for (int64_t i = 1; i <= 110; i++) {
		assert_int_equal(frame_h264(&s, false, 100, US + i * 100000), 0);
		if (s.packets[0].channel == CAMCAST_RTCP_CHANNEL) {
			reports++;
			assert_int_equal(i % 50, 0);
			assert_int_equal(s.n, 3);
		}
	}
	assert_int_equal(reports, 2);
	end(&s);
}

/* Puts the fragments from packet i on together again (clause 5.8). */
static void check_fragments(const struct state *s, unsigned i, size_t len, size_t packet_len)
{
	uint8_t *nal = malloc(len);
	size_t at = 1;

	assert_non_null(nal);
	for (unsigned first = i; i < s->n; i++) {
		const uint8_t *data = s->packets[i].data + RTP_HEAD;
		size_t n = s->packets[i].len - RTP_HEAD - 2;
		bool last = i == s->n - 1;

		assert_true(s->packets[i].len <= packet_len);
		assert_int_equal(data[0] & 0x1f, 28);
		assert_int_equal(data[1] & 0x80, i == first ? 0x80 : 0);
		assert_int_equal(data[1] & 0x40, last ? 0x40 : 0);
		assert_int_equal(data[1] & 0x20, 0);
		assert_int_equal(s->packets[i].data[1] & 0x80, last ? 0x80 : 0);
		if (!last)
			assert_int_equal(s->packets[i].len, packet_len);
		nal[0] = (uint8_t)((data[0] & 0xe0) | (data[1] & 0x1f));
		assert_true(at + n <= len);
		memcpy(nal + at, data + 2, n);
		at += n;
	}
	assert_int_equal(at, len);
	assert_memory_equal(nal, slice, len);
	free(nal);
}

static void a_nal_unit_that_does_not_fit_is_sent_in_fragments(void **state)
{
	const size_t sizes[] = {576, CAMCAST_RTP_PACKET_LEN, 1440};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		const size_t room = sizes[i] - RTP_HEAD, part = room - 2;
		/* Fits; just does not; n fragments to the byte, and a byte more. */
		const size_t lens[] = {room,	     room + 1,	   1 + 2 * part,
				       2 + 2 * part, 1 + 7 * part, 100000};
		struct state s;

		begin(&s, CONFIG_FRAMING_RTP, sizes[i]);
		for (size_t j = 0; j < sizeof(lens) / sizeof(*lens); j++) {
			assert_int_equal(frame_h264(&s, true, lens[j], US), 0);
			assert_int_equal(s.n - 5, j == 0 ? 1 : (lens[j] - 1 + part - 1) / part);
			if (j > 0)
				check_fragments(&s, 5, lens[j], sizes[i]);
			else
				assert_int_equal(s.packets[5].len, sizes[i]);
		}
		end(&s);
	}
}

static void the_sequence_has_no_gap_over_units(void **state)
{
	unsigned sent = 0;
	struct state s;

	(void)state;
	begin(&s, CONFIG_FRAMING_RTP, 576);
	for (int i = 0; i < 200; i++) {
		assert_int_equal(frame_h264(&s, i % 10 == 0, 200000, US + i * 40000), 0);
		for (unsigned j = 0; j < s.n; j++)
			if (s.packets[j].channel == CAMCAST_RTP_CHANNEL)
				payload(&s, j, j == s.n - 1, sent++,
					rtp_time(US + i * 40000, OFFSET));
	}
	assert_true(sent > 65536);
	end(&s);
}

static void the_first_and_the_last_packet_of_a_unit_are_found(void **state)
{
	struct rtp_head head;
	struct state s;

	(void)state;
	begin(&s, CONFIG_FRAMING_RTP, CAMCAST_RTP_PACKET_LEN);
	assert_int_equal(frame_h264(&s, true, 10000, US), 0);
	assert_true(rtp_read_first(s.whole, s.len, &head));
	assert_int_equal(head.sequence, FIRST);
	assert_int_equal(head.time, rtp_time(US, OFFSET));
	assert_int_equal(head.ssrc, SSRC);
	assert_false(head.marker);
	assert_true(rtp_read_last(s.whole, s.len, &head));
	assert_int_equal(head.sequence, (FIRST + s.n - 2) & 0xffff);
	assert_true(head.marker);
	/* Frames that do not fill the bytes are not trusted, and never read beyond. */
	for (size_t len = 0; len < 200; len++) {
		uint8_t *copy = malloc(len + 1);

		assert_non_null(copy);
		memcpy(copy, s.whole, len);
		rtp_read_first(copy, len, &head);
		assert_false(rtp_read_last(copy, len, &head) && len < RTP_REPORT_LEN + 16);
		free(copy);
	}
	end(&s);
}

/* --- transport streams --- */

static int frame_ts(struct state *s, bool key, size_t len, int64_t us)
{
	uint8_t aud[] = {0, 0, 0, 1, 9, 0xf0};
	struct iovec iov[] = {{aud, sizeof(aud)}, {slice, len}};
	struct mux_unit unit = {.iov = iov,
				.iovcnt = 2,
				.len = sizeof(aud) + len,
				.nals = iov + 1,
				.n_nals = 1,
				.key = key,
				.dts_us = us,
				.pts_us = us,
				.rtp = &rtp};
	int r;

	memset(slice, 0x55, len);
	memcpy(slice, key ? "\0\0\1\x65" : "\0\0\1\x41", 4);
	r = mux_frame(s->mux, &unit, &s->framed);
	if (r == 0)
		cut(s);
	return r;
}

/* The PID of the first packet of the transport stream in packet i of RTP. */
static unsigned pid_in(const struct state *s, unsigned i)
{
	assert_int_equal(s->packets[i].data[RTP_HEAD], 0x47);
	return get(s->packets[i].data + RTP_HEAD + 1, 2) & 0x1fff;
}

static void a_transport_stream_has_seven_packets_in_each_of_rtp(void **state)
{
	const size_t sizes[] = {576, 1327, 1328, CAMCAST_RTP_PACKET_LEN, CAMCAST_RTP_PACKET_MAX};
	const size_t fit[] = {3, 6, 7, 7, 7};

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		const size_t room = fit[i] * CAMCAST_TS_LEN;
		unsigned sent = 0;
		struct state s;

		begin(&s, CONFIG_FRAMING_RTP_TS, sizes[i]);
		for (int j = 0; j < 20; j++) {
			const bool key = j % 10 == 0;
			const unsigned first = key ? 1 : 0;
			const int64_t us = US + j * 40000;

			assert_int_equal(frame_ts(&s, key, 20000, us), 0);
			assert_int_equal(s.packets[0].channel,
					 key ? CAMCAST_RTCP_CHANNEL : CAMCAST_RTP_CHANNEL);
			for (unsigned k = first; k < s.n; k++) {
				payload(&s, k, false, sent++, rtp_time(us, OFFSET));
				assert_int_equal(s.packets[k].data[1], CAMCAST_RTP_TYPE_TS);
				assert_int_equal((s.packets[k].len - RTP_HEAD) % CAMCAST_TS_LEN, 0);
				if (k < s.n - 1 && k >= 2 * first)
					assert_int_equal(s.packets[k].len - RTP_HEAD, room);
			}
			if (!key)
				continue;
			/* What may be lost is the service description; the tables follow. */
			assert_int_equal(s.packets[1].len, RTP_HEAD + CAMCAST_TS_LEN);
			assert_int_equal(pid_in(&s, 1), 0x11);
			assert_int_equal(pid_in(&s, 2), 0);
			assert_int_equal(s.framed.preamble_len, 0);
		}
		end(&s);
	}
}

static void a_transport_stream_of_no_h264_is_refused(void **state)
{
	struct iovec jpeg = {slice, 4};
	struct mux_unit unit = {.iov = &jpeg, .iovcnt = 1, .len = 4, .key = true, .rtp = &rtp};
	struct state s;

	(void)state;
	begin(&s, CONFIG_FRAMING_RTP_TS, CAMCAST_RTP_PACKET_LEN);
	assert_int_equal(mux_frame(s.mux, &unit, &s.framed), -EINVAL);
	end(&s);
}

static void the_clock_runs_evenly_also_before_zero(void **state)
{
	(void)state;
	assert_int_equal(rtp_time(0, 7), 7);
	assert_int_equal(rtp_time(1000000, 0), 90000);
	assert_int_equal(rtp_time(-1000000, 90000), 0);
	assert_int_equal(rtp_time(33333, 0), 2999);
	assert_int_equal(rtp_time(CAMCAST_PTS_MAX, 0) - rtp_time(CAMCAST_PTS_MAX - 1000000, 0),
			 90000);
}

static void what_is_no_h264_or_too_large_is_refused(void **state)
{
	static uint8_t huge[CAMCAST_UNIT_MAX];
	struct iovec nal = {huge, sizeof(huge)};
	struct mux_unit unit = {.nals = &nal, .n_nals = 1, .rtp = &rtp};
	struct state s;

	(void)state;
	begin(&s, CONFIG_FRAMING_RTP, CAMCAST_RTP_PACKET_LEN);
	assert_int_equal(mux_frame(s.mux, &unit, &s.framed), -EMSGSIZE);
	unit.n_nals = 0;
	assert_int_equal(mux_frame(s.mux, &unit, &s.framed), -EINVAL);
	/* What was refused has used no number. */
	assert_int_equal(frame_h264(&s, true, 10, US), 0);
	payload(&s, 1, false, 0, rtp_time(US, OFFSET));
	end(&s);
}

/* --- JPEG --- */

#define SCAN_LEN 5000

struct jpeg {
	uint8_t data[8192];
	size_t len;
	uint8_t scan[SCAN_LEN];
};

static void add(struct jpeg *jpeg, const void *data, size_t len)
{
	memcpy(jpeg->data + jpeg->len, data, len);
	jpeg->len += len;
}

#define ADD(jpeg, text) add(jpeg, text, sizeof(text) - 1)

static void make_jpeg(struct jpeg *jpeg, uint8_t sof, uint8_t sampling, bool restarts,
		      uint8_t width_high)
{
	uint8_t table[64], frame[] = {0xff, sof,      0, 17, 8,	   0x01, 0x68, width_high, 0x80, 3,
				      1,    sampling, 0, 2,  0x11, 1,	 3,    0x11,	   1};

	jpeg->len = 0;
	ADD(jpeg, "\xff\xd8\xff\xdb\0\x84\0");
	memset(table, 3, sizeof(table));
	add(jpeg, table, 64);
	ADD(jpeg, "\1");
	memset(table, 5, sizeof(table));
	add(jpeg, table, 64);
	add(jpeg, frame, sizeof(frame));
	add(jpeg, jpeg_standard_tables, JPEG_TABLES_LEN);
	if (restarts)
		ADD(jpeg, "\xff\xdd\0\4\0\x28");
	ADD(jpeg, "\xff\xda\0\x0c\3\1\0\2\x11\3\x11\0\x3f\0");
	for (size_t i = 0; i < SCAN_LEN; i++)
		jpeg->scan[i] = (uint8_t)(i % 251); /* no 0xff */
	add(jpeg, jpeg->scan, SCAN_LEN);
	ADD(jpeg, "\xff\xd9");
}

static int frame_jpeg(struct state *s, const struct jpeg *jpeg)
{
	struct iovec whole = {(void *)(uintptr_t)jpeg->data, jpeg->len};
	const struct mux_unit unit = {.iov = &whole,
				      .iovcnt = 1,
				      .len = jpeg->len,
				      .key = true,
				      .capture_us = US,
				      .dts_us = US,
				      .pts_us = US,
				      .rtp = &rtp};
	int r = mux_frame(s->mux, &unit, &s->framed);

	if (r == 0)
		cut(s);
	return r;
}

/* RFC 2435 clauses 3.1, 3.1.7 and 3.1.8. */
static void check_jpeg(const struct state *s, const struct jpeg *jpeg, uint8_t type)
{
	const size_t head = type >= 64 ? 12 : 8;
	size_t at = 0;

	assert_int_equal(s->packets[0].channel, CAMCAST_RTCP_CHANNEL);
	for (unsigned i = 1; i < s->n; i++) {
		const uint8_t *data = payload(s, i, i == s->n - 1, i - 1, rtp_time(US, OFFSET));
		size_t len = s->packets[i].len - RTP_HEAD;
		const uint8_t main_head[] = {type, 255, 640 / 8, 360 / 8};

		assert_int_equal(s->packets[i].data[1] & 0x7f, CAMCAST_RTP_TYPE_JPEG);
		assert_int_equal(get(data, 4), at);
		assert_memory_equal(data + 4, main_head, 4);
		if (type >= 64)
			assert_memory_equal(data + 8, "\0\x28\xff\xff", 4);
		data += head;
		len -= head;
		if (at == 0) {
			assert_memory_equal(data, "\0\0\0\x80", 4);
			for (unsigned j = 0; j < 128; j++)
				assert_int_equal(data[4 + j], j < 64 ? 3 : 5);
			data += 132;
			len -= 132;
		}
		assert_true(at + len <= SCAN_LEN);
		assert_memory_equal(data, jpeg->scan + at, len);
		at += len;
	}
	assert_int_equal(at, SCAN_LEN);
}

static void a_jpeg_goes_without_its_headers(void **state)
{
	const struct {
		uint8_t sampling, type;
		bool restarts;
	} kinds[] = {{0x21, 0, false}, {0x22, 1, false}, {0x21, 64, true}, {0x22, 65, true}};
	const size_t sizes[] = {576, 1440};

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		for (size_t j = 0; j < 2; j++) {
			struct jpeg jpeg;
			struct state s;

			begin(&s, CONFIG_FRAMING_RTP_JPEG, sizes[j]);
			make_jpeg(&jpeg, 0xc0, kinds[i].sampling, kinds[i].restarts, 2);
			assert_int_equal(frame_jpeg(&s, &jpeg), 0);
			check_jpeg(&s, &jpeg, kinds[i].type);
			assert_int_equal(s.framed.preamble_len, 0);
			end(&s);
		}
	}
}

static void a_jpeg_that_the_rfc_cannot_carry_is_refused(void **state)
{
	struct jpeg jpeg;
	struct state s;

	(void)state;
	begin(&s, CONFIG_FRAMING_RTP_JPEG, CAMCAST_RTP_PACKET_LEN);
	make_jpeg(&jpeg, 0xc2, 0x22, false, 2); /* progressive */
	assert_int_equal(frame_jpeg(&s, &jpeg), -EINVAL);
	make_jpeg(&jpeg, 0xc0, 0x11, false, 2); /* 4:4:4 */
	assert_int_equal(frame_jpeg(&s, &jpeg), -EINVAL);
	make_jpeg(&jpeg, 0xc0, 0x22, false, 8); /* 2176 pixels wide */
	assert_int_equal(frame_jpeg(&s, &jpeg), -EINVAL);
	make_jpeg(&jpeg, 0xc0, 0x22, false, 2);
	jpeg.data[2 + 134 + 19 + 4 + 20] ^= 1; /* a value of a Huffman table */
	assert_int_equal(frame_jpeg(&s, &jpeg), -EINVAL);
	make_jpeg(&jpeg, 0xc0, 0x22, false, 2);
	for (size_t len = 0; len < jpeg.len - SCAN_LEN - 1; len++) {
		struct jpeg part = jpeg;

		part.len = len;
		assert_int_equal(frame_jpeg(&s, &part), -EINVAL);
	}
	assert_int_equal(frame_jpeg(&s, &jpeg), 0);
	end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			a_key_unit_is_a_report_a_delimiter_the_parameter_sets_and_the_slices),
		cmocka_unit_test(the_preamble_has_the_parameter_sets_behind_their_lengths),
		cmocka_unit_test(another_unit_has_its_slices_alone),
		cmocka_unit_test(a_report_states_when_the_picture_was_taken),
		cmocka_unit_test(a_long_gop_has_a_report_every_five_seconds),
		cmocka_unit_test(a_nal_unit_that_does_not_fit_is_sent_in_fragments),
		cmocka_unit_test(the_sequence_has_no_gap_over_units),
		cmocka_unit_test(the_first_and_the_last_packet_of_a_unit_are_found),
		cmocka_unit_test(a_transport_stream_has_seven_packets_in_each_of_rtp),
		cmocka_unit_test(a_transport_stream_of_no_h264_is_refused),
		cmocka_unit_test(the_clock_runs_evenly_also_before_zero),
		cmocka_unit_test(what_is_no_h264_or_too_large_is_refused),
		cmocka_unit_test(a_jpeg_goes_without_its_headers),
		cmocka_unit_test(a_jpeg_that_the_rfc_cannot_carry_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
