/* SPDX-License-Identifier: BSD-2-Clause */
/* The benchmark's player of RTSP: its requests, session descriptions, packets, and what is wrong
 * with them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "bench/lib/rtsp.h"
#include "bench/lib/sdp.h"
#include "bench/lib/wire.h"

#define SECOND INT64_C(1000000)

enum { AUD = 9, SPS = 0x67, PPS = 0x68, IDR = 0x65, SLICE = 0x41 };

/* --- session descriptions --- */

static const char description[] =
	"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=front\r\na=control:*\r\n"
	"m=audio 0 RTP/AVP 0\r\na=control:sound\r\n"
	"m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
	"a=fmtp:96 packetization-mode=1;sprop-parameter-sets=Z0I=,aM4=;x=1\r\n"
	"a=control:track=1\r\n"
	"m=video 0 RTP/AVP 97\r\na=control:other\r\n";

static int parse(struct sdp *sdp, const char *text)
{
	return sdp_parse(sdp, text, strlen(text));
}

static void a_description_tells_the_first_video(void **state)
{
	static const uint8_t sets[] = {0, 0, 0, 1, 0x67, 0x42, 0, 0, 0, 1, 0x68, 0xce};
	struct sdp sdp;

	(void)state;
	assert_int_equal(parse(&sdp, description), 0);
	assert_string_equal(sdp.control, "*");
	assert_string_equal(sdp.video_control, "track=1");
	assert_int_equal(sdp.payload_type, 96);
	assert_int_equal(sdp.parameter_sets.len, sizeof(sets));
	assert_memory_equal(sdp.parameter_sets.data, sets, sizeof(sets));
	sdp_finish(&sdp);
}

static void a_description_without_h264_is_refused(void **state)
{
	static const char *const texts[] = {"",
					    "v=0\n",
					    "m=video 0 RTP/AVP 96\n",
					    "m=audio 0 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
					    "m=video 0 RTP/AVP 96\na=rtpmap:96 H265/90000\n",
					    "m=video 0 RTP/AVP 96\na=rtpmap:97 H264/90000\n",
					    "m=video\na=rtpmap:96 H264/90000\n"};
	static char longest[600] = "a=control:";
	struct sdp sdp;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		assert_int_equal(parse(&sdp, texts[i]), -EPROTO);
		sdp_finish(&sdp);
	}
	memset(longest + strlen(longest), 'x', sizeof(longest) - strlen(longest) - 1);
	assert_int_equal(parse(&sdp, longest), -EPROTO);
	sdp_finish(&sdp);
}

static void parameter_sets_that_are_no_base64_are_left_out(void **state)
{
	static char text[8000] = "m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\n"
				 "a=fmtp:96 sprop-parameter-sets=Z0I=,!!,,";
	struct sdp sdp;
	size_t len = strlen(text);

	(void)state;
	memset(text + len, 'A', 2000); /* longer than any parameter set */
	assert_int_equal(parse(&sdp, text), 0);
	assert_int_equal(sdp.parameter_sets.len, 6);
	sdp_finish(&sdp);
}

/* --- a server's bytes --- */

struct stream {
	uint8_t data[65536];
	size_t len;
	uint16_t seq;
	uint32_t timestamp, ssrc;
};

static struct stream stream;

static void put(const void *data, size_t len)
{
	assert_true(stream.len + len <= sizeof(stream.data));
	memcpy(stream.data + stream.len, data, len);
	stream.len += len;
}

static void put_text(const char *text)
{
	put(text, strlen(text));
}

static void put_frame(uint8_t channel, const void *data, size_t len)
{
	const uint8_t head[] = {'$', channel, (uint8_t)(len >> 8), (uint8_t)len};

	put(head, sizeof(head));
	put(data, len);
}

static void put_packet(bool marker, const void *payload, size_t len)
{
	uint8_t packet[600] = {0x80, (uint8_t)((marker ? 0x80 : 0) | 96),
			       (uint8_t)(stream.seq >> 8), (uint8_t)stream.seq};

	for (int i = 0; i < 4; i++) {
		packet[4 + i] = (uint8_t)(stream.timestamp >> (24 - 8 * i));
		packet[8 + i] = (uint8_t)(stream.ssrc >> (24 - 8 * i));
	}
	memcpy(packet + 12, payload, len);
	put_frame(4, packet, 12 + len);
	stream.seq++;
}

static void put_nal(bool marker, uint8_t header)
{
	const uint8_t nal[] = {header, 1, 2};

	put_packet(marker, nal, sizeof(nal));
}

/* One NAL unit of header and six bytes, in three packets. */
static void put_fragments(uint8_t header, unsigned which)
{
	for (uint8_t i = 0; i < 3; i++) {
		const uint8_t part[] = {(uint8_t)((header & 0xe0) | 28),
					(uint8_t)((i == 0   ? 0x80
						   : i == 2 ? 0x40
							    : 0) |
						  (header & 0x1f)),
					i, i};

		if (which & 1u << i)
			put_packet(i == 2, part, sizeof(part));
		else
			stream.seq++;
	}
	stream.timestamp += 3000;
}

static void put_key_unit(void)
{
	static const uint8_t report[28] = {0x80, 200, 0, 6};

	put_frame(5, report, sizeof(report));
	put_nal(false, AUD);
	put_nal(false, SPS);
	put_nal(false, PPS);
	put_fragments(IDR, 7);
}

/* Of the server's SETUP. */
static const char *transport = "RTP/AVP/TCP;unicast;interleaved=4-5;ssrc=12";

static void put_answers(const char *info)
{
	char text[600];

	put_text("RTSP/1.0 200 OK\r\nCSeq: 1\r\nPublic: DESCRIBE, GET_PARAMETER\r\n\r\n");
	snprintf(text, sizeof(text),
		 "RTSP/1.0 200 OK\r\nCSeq: 2\r\nContent-Type: application/sdp\r\n"
		 "Content-Base: rtsp://other/s/\r\nContent-Length: %zu\r\n\r\n",
		 strlen(description));
	put_text(text);
	put_text(description);
	snprintf(text, sizeof(text),
		 "RTSP/1.0 200 OK\r\nCSeq: 3\r\nSession: abc;timeout=10\r\nTransport: %s\r\n\r\n",
		 transport);
	put_text(text);
	snprintf(text, sizeof(text), "RTSP/1.0 200 OK\r\nCSeq: 4\r\nSession: abc\r\n%s\r\n", info);
	put_text(text);
}

/* --- the player --- */

struct player {
	struct rtsp_player *rtsp;
	struct rtsp_tally tally;
	struct buffer in, out, units;
	size_t n;
	size_t lens[32];
	int64_t times[32];
};

static struct player player;

static void take(void *ctx, const uint8_t *data, size_t len, int64_t complete_us)
{
	(void)ctx;
	assert_true(player.n < 32);
	player.lens[player.n] = len;
	player.times[player.n++] = complete_us;
	buffer_append(&player.units, data, len);
}

static void finish(void)
{
	rtsp_player_destroy(player.rtsp);
	buffer_finish(&player.in);
	buffer_finish(&player.out);
	buffer_finish(&player.units);
}

static void start(void)
{
	memset(&player, 0, sizeof(player));
	player.rtsp =
		rtsp_player_create("127.0.0.1:8554", "s", &player.tally, &player.out, take, NULL);
}

static int begin(void **state)
{
	(void)state;
	memset(&stream, 0, sizeof(stream));
	transport = "RTP/AVP/TCP;unicast;interleaved=4-5;ssrc=12";
	stream.seq = 65534; /* wraps soon */
	stream.ssrc = 12;
	start();
	return 0;
}

static int end(void **state)
{
	(void)state;
	finish();
	return 0;
}

/* In steps of `step` bytes, the nth of them at time n. */
static int feed(size_t step)
{
	int result = 0;

	for (size_t at = 0, n = 1; at < stream.len && result == 0; at += step, n++) {
		size_t part = stream.len - at < step ? stream.len - at : step;

		buffer_append(&player.in, stream.data + at, part);
		result = rtsp_player_received(player.rtsp, &player.in, (int64_t)n);
	}
	return result;
}

static bool asked(const char *text)
{
	return player.out.len > 0 &&
	       memmem(player.out.data, player.out.len, text, strlen(text)) != NULL;
}

/* Feeds all that was put, and expects units of these lengths. */
static void expect(size_t n, const size_t *lens)
{
	assert_int_equal(feed(1000000), 0);
	assert_int_equal(player.n, n);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(player.lens[i], lens[i]);
}

enum { KEY = 4 * 4 + 3 * 3 + 7, FRAGMENTED = 4 + 7, SINGLE = 4 + 3 };

static void the_requests_lead_to_the_stream(void **state)
{
	(void)state;
	put_answers("RTP-Info: url=rtsp://other/s/track=1;seq=65534;rtptime=0\r\n");
	put_key_unit();
	put_fragments(SLICE, 7);
	for (size_t step = 1; step < 2000; step = step * 3 + 1) {
		finish();
		start();
		assert_int_equal(feed(step), 0);
		assert_true(rtsp_player_plays(player.rtsp));
		assert_int_equal(player.n, 2);
		assert_int_equal(player.lens[0], KEY);
		assert_int_equal(player.lens[1], FRAGMENTED);
		assert_memory_equal(player.units.data + KEY, "\0\0\0\1\x41\0\0\1\1\2\2",
				    FRAGMENTED);
		assert_int_equal(player.times[1], (stream.len + step - 1) / step);
		assert_int_equal(player.tally.rtp.packets, 9);
		assert_int_equal(player.tally.rtp.reports, 1);
		assert_int_equal(player.tally.rtp.gaps + player.tally.ahead, 0);
	}
	assert_true(asked("OPTIONS rtsp://127.0.0.1:8554/s RTSP/1.0\r\nCSeq: 1\r\n"));
	assert_true(asked("DESCRIBE rtsp://127.0.0.1:8554/s RTSP/1.0\r\nCSeq: 2\r\n"));
	assert_true(asked("SETUP rtsp://other/s/track=1 RTSP/1.0\r\nCSeq: 3\r\n"));
	assert_true(asked("Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"));
	assert_true(asked("PLAY rtsp://other/s/ RTSP/1.0\r\nCSeq: 4\r\n"));
	assert_true(asked("Session: abc\r\n"));
}

static void the_session_is_kept_alive_and_ended(void **state)
{
	(void)state;
	put_answers("");
	assert_int_equal(feed(1000000), 0);
	player.out.len = 0;
	rtsp_player_tick(player.rtsp, 4 * SECOND);
	assert_int_equal(player.out.len, 0);
	rtsp_player_tick(player.rtsp, 6 * SECOND);
	assert_true(asked("GET_PARAMETER rtsp://other/s/ RTSP/1.0\r\nCSeq: 5\r\n"));
	player.out.len = 0;
	rtsp_player_tick(player.rtsp, 7 * SECOND);
	assert_int_equal(player.out.len, 0);
	/* A server that knows no such request is no reason to go. */
	stream.len = 0;
	put_text("RTSP/1.0 501 Not Implemented\r\nCSeq: 5\r\n\r\n");
	assert_int_equal(feed(1000000), 0);
	rtsp_player_leave(player.rtsp);
	assert_true(asked("TEARDOWN rtsp://other/s/ RTSP/1.0\r\nCSeq: 6\r\n"));
	player.out.len = 0;
	rtsp_player_leave(player.rtsp);
	assert_int_equal(player.out.len, 0);
}

static void packets_that_carry_several_are_taken_to_pieces(void **state)
{
	static const uint8_t sets[] = {24, 0, 2, SPS, 1, 0, 3, PPS, 1, 2};

	(void)state;
	put_answers("");
	put_packet(false, sets, sizeof(sets));
	put_fragments(IDR, 7);
	expect(1, (const size_t[]){6 + 7 + FRAGMENTED});
}

static void key_units_get_the_parameter_sets_of_the_description(void **state)
{
	(void)state;
	put_answers("");
	put_nal(true, IDR);
	stream.timestamp++;
	put_nal(true, SLICE);
	expect(2, (const size_t[]){12 + SINGLE, SINGLE});
}

static void a_unit_ends_at_another_timestamp_too(void **state)
{
	(void)state;
	put_answers("");
	put_nal(false, SLICE);
	put_nal(false, SLICE);
	stream.timestamp++;
	put_nal(true, SLICE);
	expect(2, (const size_t[]){2 * SINGLE, SINGLE});
}

static void a_gap_between_units_tears_none(void **state)
{
	(void)state;
	put_answers("");
	put_key_unit();
	stream.seq = (uint16_t)(stream.seq + 500);
	stream.timestamp += 90000;
	put_key_unit();
	expect(2, (const size_t[]){KEY, KEY});
	assert_int_equal(player.tally.rtp.gaps, 1);
	assert_int_equal(player.tally.rtp.lost, 500);
	assert_int_equal(player.tally.rtp.torn, 0);
}

static void a_gap_within_a_unit_tears_it(void **state)
{
	(void)state;
	put_answers("");
	put_key_unit();
	put_fragments(SLICE, 6); /* without its beginning, its middle, its end */
	put_fragments(SLICE, 5);
	put_fragments(SLICE, 3);
	put_fragments(SLICE, 7);
	expect(2, (const size_t[]){KEY, FRAGMENTED});
	assert_int_equal(player.tally.rtp.torn, 3);
	assert_int_equal(player.tally.rtp.gaps, 3);
	assert_int_equal(player.tally.rtp.lost, 3);
}

static void a_unit_whose_end_was_not_sent_is_torn(void **state)
{
	static const uint8_t part[] = {28 | 0x40, 0x81, 1, 1};

	(void)state;
	put_answers("");
	put_key_unit();
	put_packet(true, part, sizeof(part));
	expect(1, (const size_t[]){KEY});
	assert_int_equal(player.tally.rtp.torn, 1);
}

static void a_stream_may_begin_within_a_unit(void **state)
{
	(void)state;
	put_answers("");
	put_fragments(SLICE, 6);
	put_key_unit();
	expect(1, (const size_t[]){KEY});
	assert_int_equal(player.tally.rtp.torn + player.tally.rtp.gaps, 0);
}

static void another_ssrc_is_found(void **state)
{
	(void)state;
	put_answers("");
	put_key_unit();
	stream.ssrc = 13;
	stream.seq = 7;
	put_key_unit();
	expect(2, (const size_t[]){KEY, KEY});
	assert_int_equal(player.tally.rtp.ssrc_changes, 1);
	assert_int_equal(player.tally.rtp.gaps, 0);
}

static void an_announcement_of_later_packets_is_found(void **state)
{
	(void)state;
	put_answers("RTP-Info: url=rtsp://other/s/track=1;seq=2;rtptime=0\r\n");
	put_key_unit();
	expect(1, (const size_t[]){KEY});
	assert_int_equal(player.tally.ahead, 1);
}

static void heads_of_packets_may_have_more(void **state)
{
	static const uint8_t packet[] = {0xb1,
					 0x80 | 96,
					 0,
					 9,
					 0,
					 0,
					 0,
					 0,
					 0,
					 0,
					 0,
					 12,
					 /* CSRC: */ 0,
					 0,
					 0,
					 9,
					 /* extension: */ 1,
					 2,
					 0,
					 1,
					 3,
					 3,
					 3,
					 3,
					 SLICE,
					 7,
					 /* padding: */ 0,
					 2};

	(void)state;
	put_answers("");
	put_frame(4, packet, sizeof(packet));
	put_frame(9, "?", 1);	  /* of a channel that is not ours */
	put_frame(4, packet, 12); /* too short for what its head says */
	assert_int_equal(feed(1000000), -EBADMSG);
	assert_int_equal(player.n, 1);
	assert_int_equal(player.lens[0], 4 + 2);
}

static void expect_broken(const char *text, size_t len)
{
	finish();
	start();
	stream.len = 0;
	put_answers("");
	put(text, len);
	assert_int_equal(feed(1000000), -EBADMSG);
}

static void what_is_malformed_breaks_the_stream(void **state)
{
	static const char version[] = "$\4\0\14\1234567890123";
	static const char control[] = "$\5\0\4\x80\xc8\0\1";
	static const char empty[] = "$\4\0\14\x80\x60\0\0\0\0\0\0\0\0\0\14";
	static const char aggregate[] = "$\4\0\20\x80\x60\0\0\0\0\0\0\0\0\0\14\x18\0\7\1";
	static const char kind[] = "$\4\0\15\x80\x60\0\0\0\0\0\0\0\0\0\14\x1d";
	static const char http[] = "HTTP/1.1 200 OK\r\nCSeq: 5\r\n\r\n";
	static const char answer[] = "RTSP/1.0 200 OK\r\nCSeq: 5\r\n\r\n"; /* nothing was asked */

	(void)state;
	expect_broken(version, 16);
	expect_broken(control, 8);
	expect_broken(empty, 16);
	expect_broken(aggregate, 20);
	expect_broken(kind, 17);
	expect_broken(http, sizeof(http) - 1);
	expect_broken(answer, sizeof(answer) - 1);
}

static void a_refusal_ends_the_dialogue(void **state)
{
	(void)state;
	put_text("RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\nRTSP/1.0 404 Not Found\r\nCSeq: 2\r\n\r\n");
	assert_int_equal(feed(1000000), -EPROTO);
	assert_int_equal(player.tally.refused, 1);
}

static void packets_before_setup_break_the_stream(void **state)
{
	(void)state;
	put_key_unit();
	assert_int_equal(feed(1000000), -EBADMSG);
}

/* --- with datagrams --- */

/* Passes the frames of the stream on as datagrams. */
static int feed_datagrams(void)
{
	int result = 0;

	for (size_t at = 0; at < stream.len && result == 0;) {
		const uint8_t *frame = stream.data + at;
		size_t len = (size_t)frame[2] << 8 | frame[3];

		result = rtsp_player_datagram(player.rtsp, frame[1] == 5, frame + 4, len, 9);
		at += 4 + len;
	}
	return result;
}

static void packets_come_as_datagrams_if_the_server_agrees(void **state)
{
	(void)state;
	transport = "RTP/AVP;unicast;client_port=10020-10021;server_port=8554-8555;ssrc=c";
	rtsp_player_use(player.rtsp, RTSP_UDP, 10020);
	put_key_unit();
	assert_int_equal(feed_datagrams(), 0); /* of an earlier session: not read */
	assert_int_equal(player.n + player.tally.rtp.packets, 0);
	stream.len = 0;
	put_answers("");
	assert_int_equal(feed(7), 0);
	assert_true(asked("Transport: RTP/AVP;unicast;client_port=10020-10021\r\n"));
	assert_true(rtsp_player_plays(player.rtsp));
	assert_null(rtsp_player_group(player.rtsp));
	stream.len = 0;
	put_key_unit();
	put_fragments(SLICE, 7);
	assert_int_equal(feed_datagrams(), 0);
	assert_int_equal(player.n, 2);
	assert_int_equal(player.lens[0], KEY);
	assert_int_equal(player.times[1], 9);
	assert_int_equal(player.tally.rtp.reports, 1);
	assert_int_equal(rtsp_player_datagram(player.rtsp, false, (const uint8_t *)"?", 1, 9),
			 -EBADMSG);
	/* What was agreed is not there. */
	stream.len = 0;
	put_key_unit();
	assert_int_equal(feed(1000000), -EBADMSG);
}

static void the_group_is_that_of_the_answer(void **state)
{
	const struct udp_group *group;

	(void)state;
	transport = "RTP/AVP;multicast;destination=239.1.2.3;port=6000-6001;ttl=1";
	rtsp_player_use(player.rtsp, RTSP_MULTICAST, 0);
	put_answers("");
	assert_null(rtsp_player_group(player.rtsp));
	assert_int_equal(feed(1000000), 0);
	assert_true(asked("Transport: RTP/AVP;multicast\r\n"));
	group = rtsp_player_group(player.rtsp);
	assert_non_null(group);
	assert_memory_equal(&group->address, "\xef\1\2\3", 4);
	assert_int_equal(group->rtp, 6000);
	assert_int_equal(group->rtcp, 6001);
}

static void another_transport_than_the_one_asked_for_ends_the_dialogue(void **state)
{
	static const struct {
		enum rtsp_transport asked;
		const char *answer;
	} cases[] = {
		{RTSP_UDP, "RTP/AVP/TCP;unicast;interleaved=0-1"},
		{RTSP_UDP, "RTP/AVP;unicast;client_port=10022-10023"},
		{RTSP_UDP, "RTP/AVP;unicast;client_port="},
		{RTSP_INTERLEAVED, "RTP/AVP;unicast;client_port=10020-10021"},
		{RTSP_MULTICAST, "RTP/AVP;unicast;client_port=10020-10021"},
		{RTSP_MULTICAST, "RTP/AVP;multicast;destination=10.1.2.3;port=6000-6001"},
		{RTSP_MULTICAST, "RTP/AVP;multicast;destination=239.1.2.3"},
		{RTSP_MULTICAST, "RTP/AVP;multicast;destination=239.1.2.3;port=6000-70000"},
		{RTSP_MULTICAST, "RTP/AVP;multicast;destination=x;port=6000-6001"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		finish();
		start();
		stream.len = 0;
		transport = cases[i].answer;
		rtsp_player_use(player.rtsp, cases[i].asked, 10020);
		put_answers("");
		assert_int_equal(feed(1000000), -EBADMSG);
	}
}

/* --- as one of the wires --- */

static void a_wire_that_only_counts_goes_on_asking(void **state)
{
	const struct wire_source source = {
		.framing = WIRE_RTSP, .host = "127.0.0.1:8554", .path = "s", .rtsp = &player.tally};
	struct wire wire;

	(void)state;
	put_answers("");
	put_key_unit();
	wire_init(&wire, &source, take, NULL);
	assert_true(wire_is_asking(&wire) && wire_keeps_asking(&wire));
	assert_int_equal(wire_skippable(&wire), 0);
	memcpy(wire_room(&wire, stream.len), stream.data, stream.len);
	wire_received(&wire, stream.len, 1);
	assert_false(wire.broken || wire_is_asking(&wire));
	assert_int_equal(player.n, 1);
	wire_stop_passing(&wire);
	assert_true(wire_skippable(&wire) > 1000);
	wire_skipped(&wire, 1000, 2);
	buffer_drop(&wire.out, wire.out.len);
	wire_tick(&wire, 6 * SECOND);
	assert_memory_equal(wire.out.data, "GET_PARAMETER ", 14);
	wire_leave(&wire);
	assert_non_null(memmem(wire.out.data, wire.out.len, "TEARDOWN ", 9));
	wire_finish(&wire);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_description_tells_the_first_video),
		TEST(a_description_without_h264_is_refused),
		TEST(parameter_sets_that_are_no_base64_are_left_out),
		TEST(the_requests_lead_to_the_stream),
		TEST(the_session_is_kept_alive_and_ended),
		TEST(packets_that_carry_several_are_taken_to_pieces),
		TEST(key_units_get_the_parameter_sets_of_the_description),
		TEST(a_unit_ends_at_another_timestamp_too),
		TEST(a_gap_between_units_tears_none),
		TEST(a_gap_within_a_unit_tears_it),
		TEST(a_unit_whose_end_was_not_sent_is_torn),
		TEST(a_stream_may_begin_within_a_unit),
		TEST(another_ssrc_is_found),
		TEST(an_announcement_of_later_packets_is_found),
		TEST(heads_of_packets_may_have_more),
		TEST(what_is_malformed_breaks_the_stream),
		TEST(a_refusal_ends_the_dialogue),
		TEST(packets_before_setup_break_the_stream),
		TEST(packets_come_as_datagrams_if_the_server_agrees),
		TEST(the_group_is_that_of_the_answer),
		TEST(another_transport_than_the_one_asked_for_ends_the_dialogue),
		TEST(a_wire_that_only_counts_goes_on_asking),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
