/* SPDX-License-Identifier: BSD-2-Clause */
/* SAT>IP: who speaks it, what is answered, and what keeps VLC's receiver going. */
#include "tests/unit/rtsp_rig.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "camcast/rtp.h"
#include "daemon/rtsp/filler.h"
#include "media/rtp.h"

#define TCP RTSP_TRANSPORT

struct peer {
	struct rtsp_rig *r;
	int fd, rtp, rtcp;
	uint16_t port;
	uint8_t data[2048]; /* the newest datagram */
	size_t len;
};

static struct peer *begin(void **state)
{
	static struct peer peer;
	struct peer *p = &peer;

	p->r = rtsp_rig_start(state);
	p->r->rtsp.udp = p->r->rtsp.satip = p->r->ts = true;
	p->fd = rtsp_dial(p->r, 0);
	p->port = rtsp_bind_pair(&p->rtp, &p->rtcp);
	return p;
}

static void end(struct peer *p)
{
	close(p->fd);
	close(p->rtp);
	close(p->rtcp);
	rig_settle(p->r->rig.loop);
	assert_int_equal(p->r->door.quota->used + p->r->places.used, 0);
	rtsp_rig_stop(p->r);
}

/* Adds a unit some time after the last one. */
static void add_unit(struct peer *p, bool key, size_t len)
{
	size_t unit_len;

	rig_pass(&p->r->rig, 5000);
	rtsp_unit(p->r, key, len, &unit_len);
}

static bool receive(struct peer *p)
{
	ssize_t n = recv(p->rtp, p->data, sizeof p->data, 0);

	p->len = n > 0 ? (size_t)n : 0;
	return n > 0;
}

static uint16_t sequence_of(const struct peer *p)
{
	return (uint16_t)(p->data[2] << 8 | p->data[3]);
}

static int set_up(struct peer *p, const char *url)
{
	char header[128];

	snprintf(header, sizeof header, "Transport: RTP/AVP;unicast;client_port=%u-%u\r\n", p->port,
		 p->port + 1u);
	return rtsp_ask(p->r, p->fd, "SETUP", url, header);
}

static bool heard(const struct peer *p, const char *text)
{
	return strstr(p->r->heard, text) != NULL;
}

/* --- who speaks it --- */

/* As VLC 3.0.24 of Debian 12 sends them for `vlc rtsp://127.0.0.1:PORT/front`. */
static void what_vlc_says_is_answered(void **state)
{
	struct peer *p = begin(state);
	char text[512], want[128];

	add_unit(p, true, 100);
	snprintf(text, sizeof text,
		 "SETUP rtsp://127.0.0.1:8554/front RTSP/1.0\r\nCSeq: 0\r\n"
		 "Transport: RTP/AVP;unicast;client_port=%u-%u\r\n\r\n",
		 p->port, p->port + 1u);
	rtsp_say(p->r, p->fd, text);
	rtsp_hear(p->r, p->fd);
	assert_true(heard(p, "RTSP/1.0 200 OK\r\nCSeq: 0\r\n"));
	assert_true(heard(p, "\r\nTransport: RTP/AVP;unicast;client_port="));
	assert_true(heard(p, ";ssrc=ABCDEF02"));
	assert_true(heard(p, ";timeout=60\r\n"));
	assert_true(heard(p, "\r\ncom.ses.streamID: 1\r\n"));
	snprintf(text, sizeof text,
		 "PLAY rtsp://127.0.0.1:8554/stream=1 RTSP/1.0\r\nCSeq: 1\r\nSession: %s\r\n\r\n",
		 p->r->session);
	rtsp_say(p->r, p->fd, text);
	rtsp_hear(p->r, p->fd);
	assert_true(heard(p, "RTSP/1.0 200 OK\r\nCSeq: 1\r\n"));
	add_unit(p, true, 100);
	assert_true(receive(p));
	assert_int_equal(p->len, RTP_HEAD + 100);
	for (int i = 0; i < 10; i++) { /* every 55 s; without them it would end after 60 */
		rig_pass(&p->r->rig, 55000000);
		snprintf(text, sizeof text,
			 "OPTIONS rtsp://127.0.0.1:8554/stream=1 RTSP/1.0\r\nCSeq: %d\r\n"
			 "Session: %s\r\n\r\n",
			 i + 2, p->r->session);
		rtsp_say(p->r, p->fd, text);
		rtsp_hear(p->r, p->fd);
		snprintf(want, sizeof want, "RTSP/1.0 200 OK\r\nCSeq: %d\r\n", i + 2);
		assert_true(heard(p, want));
	}
	snprintf(text, sizeof text,
		 "TEARDOWN rtsp://127.0.0.1:8554/stream=1 RTSP/1.0\r\nCSeq: 12\r\n"
		 "Session: %s\r\n\r\n",
		 p->r->session);
	rtsp_say(p->r, p->fd, text);
	rtsp_hear(p->r, p->fd);
	assert_true(heard(p, "RTSP/1.0 200 OK\r\nCSeq: 12\r\n"));
	assert_true(p->r->ended);
	end(p);
}

static void who_knows_the_tracks_speaks_rtsp(void **state)
{
	struct peer *p = begin(state);
	int other = rtsp_dial(p->r, 0);

	add_unit(p, true, 100);
	assert_int_equal(set_up(p, RTSP_URL "/trackID=0"), 200);
	assert_true(heard(p, ";ssrc=ABCDEF01") && !heard(p, "com.ses"));
	assert_int_equal(set_up(p, RTSP_URL), 200); /* the same session */
	assert_true(heard(p, ";ssrc=ABCDEF01"));
	assert_int_equal(rtsp_ask(p->r, other, "DESCRIBE", RTSP_URL, ""), 200);
	assert_int_equal(rtsp_ask(p->r, other, "SETUP", RTSP_URL, TCP), 200);
	assert_true(heard(p, ";ssrc=ABCDEF01") && !heard(p, "com.ses"));
	close(other);
	end(p);
}

static void it_may_be_off(void **state)
{
	struct peer *p = begin(state);

	p->r->rtsp.satip = false;
	assert_int_equal(set_up(p, RTSP_URL), 200);
	assert_true(heard(p, ";ssrc=ABCDEF01") && !heard(p, "com.ses"));
	end(p);
}

static void it_comes_in_the_connection_too(void **state)
{
	struct peer *p = begin(state);

	add_unit(p, true, 100);
	assert_int_equal(rtsp_ask(p->r, p->fd, "SETUP", RTSP_URL "?src=1", TCP), 200);
	assert_true(heard(p, "interleaved=0-1;ssrc=ABCDEF02"));
	assert_int_equal(rtsp_ask(p->r, p->fd, "PLAY", "rtsp://c/stream=1", ""), 200);
	assert_non_null(memmem(p->r->heard, p->r->len, "\r\n\r\n$", 5));
	end(p);
}

/* --- what is refused --- */

static void what_it_cannot_carry_is_refused(void **state)
{
	struct peer *p = begin(state);

	p->r->ts = false;
	assert_int_equal(set_up(p, RTSP_URL), 415);
	assert_true(heard(p, "415 Unsupported Media Type"));
	p->r->ts = true;
	assert_int_equal(rtsp_ask(p->r, p->fd, "SETUP", RTSP_URL, ""), 400);
	assert_int_equal(set_up(p, RTSP_URL "x"), 404);
	p->r->forbidden = true;
	assert_int_equal(set_up(p, RTSP_URL), 403);
	p->r->forbidden = false;
	p->r->rtsp.udp = false;
	assert_int_equal(set_up(p, RTSP_URL), 461);
	add_unit(p, true, 100);
	assert_int_equal(rtsp_ask(p->r, p->fd, "SETUP", RTSP_URL, TCP), 200);
	assert_int_equal(rtsp_ask(p->r, p->fd, "DESCRIBE", RTSP_URL, ""), 200);
	end(p);
}

static void a_setup_waits_for_the_first_unit(void **state)
{
	struct peer *p = begin(state);

	assert_int_equal(set_up(p, RTSP_URL), 0);
	assert_int_equal(p->r->rig.watched, 1);
	rig_pass(&p->r->rig, 2900000);
	assert_string_equal(rtsp_hear(p->r, p->fd), "");
	add_unit(p, true, 100);
	rtsp_hear(p->r, p->fd);
	assert_true(heard(p, "RTSP/1.0 200 OK") && heard(p, "com.ses.streamID: 1"));
	assert_int_equal(set_up(p, RTSP_URL), 200); /* again */
	assert_int_equal(rtsp_ask(p->r, p->fd, "PLAY", RTSP_URL, ""), 200);
	end(p);
}

static void a_setup_does_not_wait_for_ever(void **state)
{
	struct peer *p = begin(state);

	assert_int_equal(set_up(p, RTSP_URL), 0);
	rig_pass(&p->r->rig, 3100000);
	rtsp_hear(p->r, p->fd);
	assert_true(heard(p, "RTSP/1.0 503 "));
	assert_int_equal(rtsp_ask(p->r, p->fd, "PLAY", RTSP_URL, ""), 455);
	add_unit(p, true, 100);
	assert_int_equal(set_up(p, RTSP_URL), 200);
	end(p);
}

/* --- what keeps the receiver going --- */

static void play(struct peer *p)
{
	add_unit(p, true, 100);
	assert_int_equal(set_up(p, RTSP_URL), 200);
	assert_int_equal(rtsp_ask(p->r, p->fd, "PLAY", RTSP_URL, ""), 200);
}

static void expect_filler(struct peer *p, uint16_t sequence)
{
	assert_true(receive(p));
	assert_int_equal(p->len, FILLER_LEN);
	assert_int_equal(p->data[0], 0x80);
	assert_int_equal(p->data[1], CAMCAST_RTP_TYPE_TS);
	assert_int_equal(sequence_of(p), sequence);
	assert_memory_equal(p->data + 8, "\xab\xcd\xef\x02", 4);
	assert_memory_equal(p->data + RTP_HEAD, "\x47\x1f\xff\x10\xff", 5);
}

static void silence_is_filled(void **state)
{
	struct peer *p = begin(state);
	uint16_t first;

	play(p);
	rig_pass(&p->r->rig, 490000);
	assert_false(receive(p));
	for (int i = 0; i < 5; i++) { /* before the first picture, too */
		rig_pass(&p->r->rig, 510000);
		expect_filler(p, 0);
		assert_false(receive(p));
	}
	first = p->r->sequence;
	for (int i = 0; i < 20; i++) {
		add_unit(p, i == 0, 100);
		assert_true(receive(p));
		assert_int_equal(sequence_of(p), (uint16_t)(first + i));
		rig_pass(&p->r->rig, 300000);
		assert_false(receive(p));
	}
	rig_pass(&p->r->rig, 1000000);
	expect_filler(p, (uint16_t)(first + 19));
	end(p);
}

static void a_viewer_of_rtsp_gets_no_fillers(void **state)
{
	struct peer *p = begin(state);

	add_unit(p, true, 100);
	assert_int_equal(set_up(p, RTSP_URL "/trackID=0"), 200);
	assert_int_equal(rtsp_ask(p->r, p->fd, "PLAY", RTSP_URL, ""), 200);
	rig_pass(&p->r->rig, 5000000);
	assert_false(receive(p));
	end(p);
}

/* What VLC makes of sequence numbers: it drops a number that is not above the last one, and the
 * only way over the end leads through the highest. Returns whether it takes the packet. */
static bool vlc_takes(uint16_t *last, uint16_t sequence)
{
	if (sequence == *last || sequence < (uint16_t)(*last + 1))
		return false;
	*last = sequence;
	return true;
}

/* Every packet that the viewer has got, without fillers, is one that VLC takes; lost: of those
 * with the highest number, which only a filler can replace. */
static void check_taken(struct peer *p, uint16_t *last, bool lose)
{
	while (receive(p)) {
		bool filler = p->len == FILLER_LEN && p->data[RTP_HEAD + 1] == 0x1f;

		if (lose && !filler && sequence_of(p) == UINT16_MAX)
			continue;
		assert_true(vlc_takes(last, sequence_of(p)) || filler);
	}
}

static void a_gap_across_the_end_of_the_numbers_is_bridged(void **state)
{
	struct peer *p = begin(state);
	uint16_t last = 0;

	p->r->sequence = 65500;
	play(p);
	add_unit(p, true, 100);
	check_taken(p, &last, false);
	p->r->sequence += 50; /* units that were left out */
	add_unit(p, true, 3000);
	check_taken(p, &last, false);
	assert_true(last < 100);
	for (int i = 0; i < 10; i++) {
		add_unit(p, false, 3000);
		check_taken(p, &last, false);
	}
	end(p);
}

static void numbers_that_wrap_need_no_luck(void **state)
{
	struct peer *p = begin(state);
	uint16_t last = 0;

	p->r->sequence = 65500;
	play(p);
	for (int i = 0; i < 40; i++) {
		add_unit(p, i % 10 == 0, 100);
		check_taken(p, &last, true);
	}
	assert_true(last > 0 && last < 100);
	end(p);
}

/* Each unit would bridge the end of the numbers, and finds that the one before was refused. */
static void where_nobody_listens_numbers_that_wrap_are_no_excuse(void **state)
{
	struct peer *p = begin(state);
	unsigned n = 0;

	p->r->sequence = 65500;
	play(p);
	add_unit(p, true, 100);
	close(p->rtp);
	add_unit(p, false, 100);
	p->r->sequence = 5;
	do {
		rig_pass(&p->r->rig, 300000);
		add_unit(p, false, 100);
		rtsp_hear(p->r, p->fd);
	} while (!p->r->ended && n++ < 100);
	assert_in_range(n, 14, 20); /* five seconds */
	p->rtp = rtsp_bind_port(0);
	end(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_BOTH(what_vlc_says_is_answered),
		ON_BOTH(who_knows_the_tracks_speaks_rtsp),
		ON_BOTH(it_may_be_off),
		ON_BOTH(it_comes_in_the_connection_too),
		ON_BOTH(what_it_cannot_carry_is_refused),
		ON_BOTH(a_setup_waits_for_the_first_unit),
		ON_BOTH(a_setup_does_not_wait_for_ever),
		ON_BOTH(silence_is_filled),
		ON_BOTH(a_viewer_of_rtsp_gets_no_fillers),
		ON_BOTH(a_gap_across_the_end_of_the_numbers_is_bridged),
		ON_BOTH(numbers_that_wrap_need_no_luck),
		ON_BOTH(where_nobody_listens_numbers_that_wrap_are_no_excuse),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
