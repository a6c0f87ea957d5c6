/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "camcast/worker.h"
#include "capture/publish/logwriter.h"

#define FEED 7
#define SEGMENT (64u << 10)
#define KEY CAMCAST_UNIT_KEY

/* --- injected failures --- */

static int pwritev_error;      /* errno of the next call; 0: none */
static size_t pwritev_at_most; /* bytes that a call writes; 0: all */
static int memfd_error;

ssize_t __real_pwritev(int fd, const struct iovec *iov, int iovcnt, off_t offset);
ssize_t __wrap_pwritev(int fd, const struct iovec *iov, int iovcnt, off_t offset);
int __real_memfd_create(const char *name, unsigned flags);
int __wrap_memfd_create(const char *name, unsigned flags);

ssize_t __wrap_pwritev(int fd, const struct iovec *iov, int iovcnt, off_t offset)
{
	struct iovec cut[2];
	int n = 0;

	if (pwritev_error) {
		errno = pwritev_error;
		pwritev_error = 0;
		return -1;
	}
	if (!pwritev_at_most)
		return __real_pwritev(fd, iov, iovcnt, offset);
	for (size_t left = pwritev_at_most; n < 2 && n < iovcnt && left > 0; n++) {
		cut[n] = iov[n];
		if (cut[n].iov_len > left)
			cut[n].iov_len = left;
		left -= cut[n].iov_len;
	}
	return __real_pwritev(fd, cut, n, offset);
}

int __wrap_memfd_create(const char *name, unsigned flags)
{
	if (memfd_error) {
		errno = memfd_error;
		return -1;
	}
	return __real_memfd_create(name, flags);
}

/* --- the other end --- */

struct state {
	struct logwriter *writer;
	int pair[2];
	int segment_fd; /* the last one that came */
};

static int setup(void **state)
{
	struct state *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s->pair), 0);
	assert_int_equal(logwriter_create(&s->writer, s->pair[0], FEED, SEGMENT), 0);
	s->segment_fd = -1;
	pwritev_error = 0;
	pwritev_at_most = 0;
	memfd_error = 0;
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct state *s = *state;

	logwriter_destroy(s->writer);
	if (s->segment_fd >= 0)
		close(s->segment_fd);
	close(s->pair[0]);
	if (s->pair[1] >= 0)
		close(s->pair[1]);
	free(s);
	return 0;
}

/* The next message, which must be there; takes the fd that comes with it. True if one did. */
static bool receive(struct state *s, void *message, size_t size)
{
	struct iovec iov = {.iov_base = message, .iov_len = size};
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.bytes,
			     .msg_controllen = sizeof(control.bytes)};
	struct cmsghdr *cmsg;

	assert_int_equal(recvmsg(s->pair[1], &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC), size);
	cmsg = CMSG_FIRSTHDR(&msg);
	if (!cmsg)
		return false;
	if (s->segment_fd >= 0)
		close(s->segment_fd);
	memcpy(&s->segment_fd, CMSG_DATA(cmsg), sizeof(int));
	return true;
}

static struct camcast_msg_unit receive_unit(struct state *s)
{
	struct camcast_msg_unit unit;
	bool fd = receive(s, &unit, sizeof(unit));

	assert_int_equal(unit.type, CAMCAST_MSG_UNIT);
	assert_int_equal(unit.feed, FEED);
	assert_int_equal(fd, !!(unit.flags & CAMCAST_UNIT_SEGMENT));
	return unit;
}

static void assert_nothing_waits(struct state *s)
{
	char byte;

	assert_int_equal(recv(s->pair[1], &byte, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
}

static int append(struct state *s, uint8_t fill, size_t len, uint32_t flags)
{
	uint8_t *data = malloc(len);
	struct iovec iov[3] = {
		{data, len / 3}, {data + len / 3, 0}, {data + len / 3, len - len / 3}};
	int r;

	assert_non_null(data);
	memset(data, fill, len);
	if (len > 2)
		data[len - 1] = (uint8_t)~fill;
	r = logwriter_append(s->writer, iov, 3,
			     &(struct logwriter_unit){
				     .flags = flags, .pts_us = 1000 * fill, .duration_us = 40000});
	free(data);
	return r;
}

static void assert_unit_holds(struct state *s, const struct camcast_msg_unit *unit, uint8_t fill)
{
	uint8_t *data = malloc(unit->len);

	assert_non_null(data);
	assert_int_equal(pread(s->segment_fd, data, unit->len, unit->offset), unit->len);
	for (uint32_t i = 0; i + 1 < unit->len; i++)
		assert_int_equal(data[i], fill);
	assert_int_equal(data[unit->len - 1], (uint8_t)~fill);
	free(data);
}

static off_t size_of(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return st.st_size;
}

static const struct logwriter_unit key = {.flags = KEY};

/* --- the cases --- */

static void first_unit_carries_a_sealed_segment(void **state)
{
	struct state *s = *state;
	struct camcast_msg_unit unit;
	int seals;

	assert_int_equal(append(s, 1, 1000, KEY), 0);
	assert_int_equal(append(s, 2, 500, CAMCAST_UNIT_DROPPABLE), 0);

	unit = receive_unit(s);
	assert_int_equal(unit.flags, KEY | CAMCAST_UNIT_SEGMENT);
	assert_int_equal(unit.offset, 0);
	assert_int_equal(unit.len, 1000);
	assert_int_equal(unit.pts_us, 1000);
	assert_int_equal(unit.duration_us, 40000);
	assert_int_equal(unit.track, 0);
	assert_int_equal(unit.preamble, 0);
	seals = fcntl(s->segment_fd, F_GET_SEALS);
	assert_int_equal(seals & (F_SEAL_SHRINK | F_SEAL_GROW), F_SEAL_SHRINK | F_SEAL_GROW);
	assert_int_equal(size_of(s->segment_fd), SEGMENT);
	assert_unit_holds(s, &unit, 1);

	unit = receive_unit(s);
	assert_int_equal(unit.flags, CAMCAST_UNIT_DROPPABLE);
	assert_int_equal(unit.offset, 1000);
	assert_unit_holds(s, &unit, 2);
	assert_int_equal(logwriter_stats(s->writer)->units, 2);
	assert_int_equal(logwriter_stats(s->writer)->bytes, 1500);
}

static void untouched_pages_cost_nothing(void **state)
{
	struct state *s = *state;
	struct stat st;

	assert_int_equal(append(s, 1, 100, KEY), 0);
	receive_unit(s);
	assert_int_equal(fstat(s->segment_fd, &st), 0);
	assert_int_equal(st.st_blocks * 512, sysconf(_SC_PAGESIZE));
}

static void units_before_the_first_key_are_refused(void **state)
{
	struct state *s = *state;

	assert_true(logwriter_needs_key(s->writer));
	assert_int_equal(append(s, 1, 100, 0), -EAGAIN);
	assert_nothing_waits(s);
	assert_int_equal(append(s, 2, 100, KEY), 0);
	assert_false(logwriter_needs_key(s->writer));
	assert_int_equal(append(s, 3, 100, 0), 0);
	assert_int_equal(logwriter_stats(s->writer)->dropped, 1);
}

static void a_gap_on_purpose_ends_at_a_key(void **state)
{
	struct state *s = *state;

	assert_int_equal(append(s, 1, 100, KEY), 0);
	logwriter_gap(s->writer);
	assert_true(logwriter_needs_key(s->writer));
	assert_int_equal(append(s, 2, 100, 0), -EAGAIN);
	assert_int_equal(append(s, 3, 100, KEY), 0);
}

static void gops_share_a_segment_while_they_fit(void **state)
{
	struct state *s = *state;
	struct camcast_msg_unit unit;

	for (uint8_t i = 0; i < 4; i++)
		assert_int_equal(append(s, i, 1000, KEY), 0);
	for (uint32_t i = 0; i < 4; i++) {
		unit = receive_unit(s);
		assert_int_equal(unit.offset, 1000 * i);
		assert_int_equal(unit.segment, 1);
	}
}

static void a_key_starts_a_segment_when_a_gop_a_quarter_larger_may_not_fit(void **state)
{
	struct state *s = *state;
	struct camcast_msg_unit unit;
	const uint32_t gop = SEGMENT * 2 / 5; /* two and the quarter of one are too much */

	assert_int_equal(append(s, 1, gop - 100, KEY), 0);
	assert_int_equal(append(s, 2, 100, 0), 0);
	assert_int_equal(append(s, 3, gop - 100, KEY), 0); /* 0.6 left, 0.5 expected */
	assert_int_equal(append(s, 4, 100, 0), 0);
	assert_int_equal(append(s, 5, 100, KEY), 0); /* 0.2 left, 0.5 expected */
	for (int i = 0; i < 4; i++) {
		unit = receive_unit(s);
		assert_int_equal(unit.segment, 1);
	}
	unit = receive_unit(s);
	assert_int_equal(unit.segment, 2);
	assert_int_equal(unit.offset, 0);
	assert_int_equal(unit.flags, KEY | CAMCAST_UNIT_SEGMENT);
	assert_unit_holds(s, &unit, 5);
}

static void a_unit_that_does_not_fit_starts_a_segment_inside_the_gop(void **state)
{
	struct state *s = *state;
	struct camcast_msg_unit unit;

	assert_int_equal(append(s, 1, SEGMENT - 100, KEY), 0);
	assert_int_equal(append(s, 2, 101, 0), 0);
	receive_unit(s);
	unit = receive_unit(s);
	assert_int_equal(unit.segment, 2);
	assert_int_equal(unit.offset, 0);
	assert_int_equal(unit.flags, CAMCAST_UNIT_SEGMENT);
	assert_unit_holds(s, &unit, 2);
}

static void a_unit_fills_a_segment_to_the_last_byte(void **state)
{
	struct state *s = *state;
	struct camcast_msg_unit unit;

	assert_int_equal(append(s, 1, SEGMENT - 100, KEY), 0);
	assert_int_equal(append(s, 2, 100, 0), 0);
	receive_unit(s);
	unit = receive_unit(s);
	assert_int_equal(unit.segment, 1);
	assert_int_equal(unit.offset + unit.len, SEGMENT);
}

static void a_huge_unit_gets_a_segment_of_its_size(void **state)
{
	struct state *s = *state;
	struct camcast_msg_unit unit;

	assert_int_equal(append(s, 1, 3 * SEGMENT + 1, KEY), 0);
	assert_int_equal(append(s, 2, 10, 0), 0);
	unit = receive_unit(s);
	assert_int_equal(size_of(s->segment_fd), 3 * SEGMENT + sysconf(_SC_PAGESIZE));
	assert_unit_holds(s, &unit, 1);
	assert_int_equal(append(s, 3, 10, KEY), 0);
	unit = receive_unit(s);
	assert_int_equal(unit.segment, 1); /* there was room behind the huge one */
	unit = receive_unit(s);
	assert_int_equal(unit.segment, 2);
	assert_int_equal(size_of(s->segment_fd), SEGMENT);
}

static void a_finished_segment_cannot_be_written_by_anyone(void **state)
{
	struct state *s = *state;
	int first;

	assert_int_equal(append(s, 1, SEGMENT - 10, KEY), 0);
	receive_unit(s);
	first = fcntl(s->segment_fd, F_DUPFD_CLOEXEC, 0);
	assert_int_equal(pwrite(first, "x", 1, SEGMENT - 1), 1); /* not yet published */
	assert_int_equal(append(s, 2, 100, 0), 0);
	assert_true(fcntl(first, F_GET_SEALS) & F_SEAL_FUTURE_WRITE);
	assert_int_equal(pwrite(first, "x", 1, 0), -1);
	assert_int_equal(errno, EPERM);
	close(first);
}

static void fill_pair(struct state *s, uint8_t *appended)
{
	int r;

	for (*appended = 1; *appended < UINT8_MAX; ++*appended) {
		r = append(s, *appended, 10, *appended == 1 ? KEY : 0);
		if (r == -EAGAIN)
			break;
		assert_int_equal(r, 0);
	}
}

static void a_full_pair_drops_up_to_the_next_key(void **state)
{
	struct state *s = *state;
	struct camcast_msg_unit unit = {0};
	int small = 1; /* the kernel's minimum */
	uint8_t n;

	assert_int_equal(setsockopt(s->pair[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
	fill_pair(s, &n);
	assert_in_range(n, 2, UINT8_MAX - 1);
	assert_true(logwriter_needs_key(s->writer));
	assert_int_equal(append(s, 100, 10, KEY), -EAGAIN); /* still full */
	for (uint8_t i = 1; i < n; i++)
		unit = receive_unit(s);
	assert_int_equal(append(s, 101, 10, 0), -EAGAIN); /* room, but no key */
	assert_nothing_waits(s);
	assert_int_equal(append(s, 102, 10, KEY), 0);
	/* Unpublished bytes leave no hole. */
	n = (uint8_t)unit.offset;
	unit = receive_unit(s);
	assert_int_equal(unit.offset, n + 10);
	assert_unit_holds(s, &unit, 102);
	assert_int_equal(logwriter_stats(s->writer)->dropped, 3);
}

static void a_segment_whose_first_unit_was_dropped_comes_with_the_next(void **state)
{
	struct state *s = *state;
	struct camcast_msg_unit unit;
	int small = 1;
	uint8_t n;

	assert_int_equal(setsockopt(s->pair[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
	fill_pair(s, &n);
	assert_int_equal(append(s, 200, SEGMENT, KEY), -EAGAIN);
	for (uint8_t i = 1; i < n; i++)
		receive_unit(s);
	assert_int_equal(append(s, 201, 10, KEY), 0);
	unit = receive_unit(s);
	assert_int_equal(unit.segment, 2);
	assert_int_equal(unit.flags, KEY | CAMCAST_UNIT_SEGMENT);
	assert_unit_holds(s, &unit, 201);
}

static void no_memory_for_a_unit_drops_it_and_counts(void **state)
{
	struct state *s = *state;
	struct camcast_msg_unit unit;

	assert_int_equal(append(s, 1, 100, KEY), 0);
	pwritev_error = ENOSPC;
	assert_int_equal(append(s, 2, 100, 0), -ENOSPC);
	assert_true(logwriter_needs_key(s->writer));
	assert_int_equal(append(s, 3, 100, 0), -EAGAIN);
	pwritev_error = ENOMEM;
	assert_int_equal(append(s, 4, 100, KEY), -ENOMEM);
	assert_int_equal(append(s, 5, 100, KEY), 0);
	receive_unit(s);
	unit = receive_unit(s);
	assert_int_equal(unit.offset, 100);
	assert_unit_holds(s, &unit, 5);
	assert_int_equal(logwriter_stats(s->writer)->no_space, 2);
	assert_int_equal(logwriter_stats(s->writer)->dropped, 3);
}

static void no_memory_for_a_segment_drops_up_to_the_next_key(void **state)
{
	struct state *s = *state;
	struct camcast_msg_unit unit;

	assert_int_equal(append(s, 1, SEGMENT, KEY), 0);
	memfd_error = ENOMEM;
	assert_int_equal(append(s, 2, 10, 0), -ENOMEM);
	memfd_error = 0;
	assert_int_equal(append(s, 3, 10, 0), -EAGAIN);
	assert_int_equal(append(s, 4, 10, KEY), 0);
	receive_unit(s);
	unit = receive_unit(s);
	assert_int_equal(unit.segment, 2);
	assert_unit_holds(s, &unit, 4);
}

static void short_and_interrupted_writes_are_continued(void **state)
{
	struct state *s = *state;
	struct camcast_msg_unit unit;

	for (size_t at_most = 1; at_most < 70; at_most += 4) {
		pwritev_at_most = at_most;
		pwritev_error = EINTR;
		assert_int_equal(append(s, (uint8_t)at_most, 100, KEY), 0);
		unit = receive_unit(s);
		assert_unit_holds(s, &unit, (uint8_t)at_most);
	}
}

static void more_pieces_than_one_write_takes(void **state)
{
	struct state *s = *state;
	struct iovec iov[5000];
	struct camcast_msg_unit unit;
	char data[5000];

	for (int i = 0; i < 5000; i++) {
		data[i] = (char)(i % 251);
		iov[i].iov_base = &data[i];
		iov[i].iov_len = 1;
	}
	assert_int_equal(logwriter_append(s->writer, iov, 5000, &key), 0);
	unit = receive_unit(s);
	assert_int_equal(unit.len, 5000);
	for (int i = 0; i < 5000; i++) {
		char c;

		assert_int_equal(pread(s->segment_fd, &c, 1, i), 1);
		assert_int_equal(c, data[i]);
	}
}

static void empty_and_oversized_units_are_refused(void **state)
{
	struct state *s = *state;
	uint8_t *data = malloc(1 << 20);
	struct iovec iov[17];

	assert_non_null(data);
	for (int i = 0; i < 17; i++) {
		iov[i].iov_base = data;
		iov[i].iov_len = 1 << 20;
	}
	assert_int_equal(logwriter_append(s->writer, iov, 0, &key), -EMSGSIZE);
	assert_int_equal(logwriter_append(s->writer, iov, 17, &key), -EMSGSIZE);
	assert_nothing_waits(s);
	free(data);
}

static void only_the_newest_segment_is_sent_again(void **state)
{
	struct state *s = *state;
	struct camcast_msg_segment message;

	logwriter_resend_segment(s->writer, 1); /* there is none */
	assert_int_equal(append(s, 1, SEGMENT, KEY), 0);
	assert_int_equal(append(s, 2, 10, 0), 0);
	receive_unit(s);
	receive_unit(s);
	logwriter_resend_segment(s->writer, 1);
	assert_nothing_waits(s);
	close(s->segment_fd);
	s->segment_fd = -1;
	logwriter_resend_segment(s->writer, 2);
	assert_true(receive(s, &message, sizeof(message)));
	assert_int_equal(message.type, CAMCAST_MSG_SEGMENT);
	assert_int_equal(message.feed, FEED);
	assert_int_equal(message.segment, 2);
	assert_int_equal(size_of(s->segment_fd), SEGMENT);
}

static void a_closed_pair_is_an_error_and_no_signal(void **state)
{
	struct state *s = *state;

	close(s->pair[1]);
	s->pair[1] = -1;
	assert_int_equal(append(s, 1, 10, KEY), -EPIPE);
}

static void no_descriptor_is_left_behind(void **state)
{
	struct state *s = *state;
	int before, after;

	assert_int_equal(append(s, 1, 10, KEY), 0);
	receive_unit(s);
	before = dup(0);
	close(before);
	for (uint8_t i = 2; i < 50; i++) {
		assert_int_equal(append(s, i, SEGMENT, KEY), 0);
		receive_unit(s);
	}
	after = dup(0);
	close(after);
	assert_int_equal(before, after);
}

/* --- preambles --- */

static int append_key(struct state *s, const char *preamble)
{
	uint8_t byte = 1;
	struct iovec iov = {&byte, 1};
	struct logwriter_unit unit = {
		.flags = KEY, .preamble = preamble, .preamble_len = strlen(preamble)};

	return logwriter_append(s->writer, &iov, 1, &unit);
}

static void receive_preamble(struct state *s, uint32_t version, const char *expected)
{
	struct camcast_msg_preamble preamble;

	assert_false(receive(s, &preamble, sizeof(preamble)));
	assert_int_equal(preamble.type, CAMCAST_MSG_PREAMBLE);
	assert_int_equal(preamble.feed, FEED);
	assert_int_equal(preamble.version, version);
	assert_int_equal(preamble.len, strlen(expected));
	assert_memory_equal(preamble.data, expected, preamble.len);
}

static void a_preamble_is_announced_when_it_changes(void **state)
{
	struct state *s = *state;

	assert_int_equal(append_key(s, "one"), 0);
	receive_preamble(s, 1, "one");
	assert_int_equal(receive_unit(s).preamble, 1);
	assert_int_equal(append(s, 2, 100, 0), 0);
	assert_int_equal(receive_unit(s).preamble, 1);
	assert_int_equal(append_key(s, "one"), 0);
	assert_int_equal(receive_unit(s).preamble, 1);
	/* Not more often than camcastd allows: the units until then are lost. */
	while (append_key(s, "another") == -EAGAIN)
		assert_true(logwriter_needs_key(s->writer));
	receive_preamble(s, 2, "another");
	assert_int_equal(receive_unit(s).preamble, 2);
	assert_nothing_waits(s);
}

static void a_preamble_without_room_in_the_pair_comes_later(void **state)
{
	struct state *s = *state;
	uint64_t message[128] = {0};
	int filled = 0;

	while (send(s->pair[0], message, sizeof(message), MSG_DONTWAIT) > 0)
		filled++;
	assert_int_equal(append_key(s, "one"), -EAGAIN);
	while (filled-- > 0)
		assert_int_equal(recv(s->pair[1], message, sizeof(message), MSG_DONTWAIT),
				 sizeof(message));
	assert_int_equal(append(s, 2, 100, 0), -EAGAIN);
	assert_int_equal(append_key(s, "one"), 0);
	receive_preamble(s, 1, "one");
	assert_int_equal(receive_unit(s).preamble, 1);
}

static void a_preamble_must_fit_its_message(void **state)
{
	struct state *s = *state;
	char preamble[CAMCAST_PREAMBLE_MAX + 2];

	memset(preamble, 'x', sizeof(preamble));
	preamble[sizeof(preamble) - 1] = '\0';
	assert_int_equal(append_key(s, preamble), -EMSGSIZE);
	preamble[sizeof(preamble) - 2] = '\0';
	assert_int_equal(append_key(s, preamble), 0);
	receive_preamble(s, 1, preamble);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(first_unit_carries_a_sealed_segment),
		CASE(untouched_pages_cost_nothing),
		CASE(units_before_the_first_key_are_refused),
		CASE(a_gap_on_purpose_ends_at_a_key),
		CASE(gops_share_a_segment_while_they_fit),
		CASE(a_key_starts_a_segment_when_a_gop_a_quarter_larger_may_not_fit),
		CASE(a_unit_that_does_not_fit_starts_a_segment_inside_the_gop),
		CASE(a_unit_fills_a_segment_to_the_last_byte),
		CASE(a_huge_unit_gets_a_segment_of_its_size),
		CASE(a_finished_segment_cannot_be_written_by_anyone),
		CASE(a_full_pair_drops_up_to_the_next_key),
		CASE(a_segment_whose_first_unit_was_dropped_comes_with_the_next),
		CASE(no_memory_for_a_unit_drops_it_and_counts),
		CASE(no_memory_for_a_segment_drops_up_to_the_next_key),
		CASE(short_and_interrupted_writes_are_continued),
		CASE(more_pieces_than_one_write_takes),
		CASE(empty_and_oversized_units_are_refused),
		CASE(only_the_newest_segment_is_sent_again),
		CASE(a_closed_pair_is_an_error_and_no_signal),
		CASE(no_descriptor_is_left_behind),
		CASE(a_preamble_is_announced_when_it_changes),
		CASE(a_preamble_without_room_in_the_pair_comes_later),
		CASE(a_preamble_must_fit_its_message),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
