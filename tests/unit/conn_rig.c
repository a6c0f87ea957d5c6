/* SPDX-License-Identifier: BSD-2-Clause */
#include "conn_rig.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum config_backend backend_of(void **state)
{
	return *(enum config_backend *)*state;
}

/* --- what is sent --- */

struct pages pages;

void open_pages(void)
{
	uint8_t *map;

	pages.fd = memfd_create("pages", MFD_CLOEXEC);
	assert_true(pages.fd >= 0);
	assert_int_equal(ftruncate(pages.fd, PAGES), 0);
	map = mmap(NULL, PAGES, PROT_READ | PROT_WRITE, MAP_SHARED, pages.fd, 0);
	assert_ptr_not_equal(map, MAP_FAILED);
	for (int i = 0; i < PAGES; i++)
		map[i] = (uint8_t)(i * 7 + (i >> 8));
	pages.map = map;
}

void close_pages(void)
{
	munmap((void *)(uintptr_t)pages.map, PAGES);
	close(pages.fd);
}

/* --- peers --- */

void peer_close(struct peer *peer, bool reset)
{
	peer->inside = true;
	loop_conn_close(peer->loop, &peer->conn, reset);
	peer->inside = false;
}

static void peer_sent(struct loop_conn *conn, int result)
{
	struct peer *peer = container_of(conn, struct peer, conn);

	assert_false(peer->inside);
	assert_int_equal(peer->closed, 0);
	peer->sent++;
	peer->result = result;
	if (peer->close_in_sent)
		peer_close(peer, true);
}

static void peer_writable(struct loop_conn *conn)
{
	struct peer *peer = container_of(conn, struct peer, conn);

	assert_false(peer->inside);
	peer->writable++;
	if (peer->close_in_writable)
		peer_close(peer, true);
}

static void peer_failed(struct loop_conn *conn, int error)
{
	struct peer *peer = container_of(conn, struct peer, conn);

	assert_false(peer->inside);
	peer->failures++;
	peer->error = error;
	if (peer->close_in_failed)
		peer_close(peer, true);
}

static void peer_input_ended(struct loop_conn *conn)
{
	struct peer *peer = container_of(conn, struct peer, conn);

	assert_false(peer->inside);
	peer->ended++;
}

/* Byte i of all that the peer says is i. */
static void peer_input(struct loop_conn *conn, const uint8_t *data, size_t len)
{
	struct peer *peer = container_of(conn, struct peer, conn);

	assert_false(peer->inside);
	assert_int_equal(peer->ended, 0);
	for (size_t i = 0; i < len; i++)
		assert_int_equal(data[i], (uint8_t)peer->got++);
	if (peer->close_in_input)
		peer_close(peer, true);
}

static void peer_closed(struct loop_conn *conn)
{
	struct peer *peer = container_of(conn, struct peer, conn);

	assert_false(peer->inside);
	peer->closed++;
}

const struct loop_conn_ops deaf_ops = {
	.sent = peer_sent,
	.writable = peer_writable,
	.input_ended = peer_input_ended,
	.failed = peer_failed,
	.closed = peer_closed,
};
const struct loop_conn_ops listening_ops = {
	.sent = peer_sent,
	.writable = peer_writable,
	.input = peer_input,
	.input_ended = peer_input_ended,
	.failed = peer_failed,
	.closed = peer_closed,
};

void peer_open_with(struct peer *peer, struct loop *loop, int rcvbuf,
		    const struct loop_conn_ops *ops)
{
	int ends[2];

	memset(peer, 0, sizeof(*peer));
	peer->loop = loop;
	peer->close_in_failed = true;
	rig_pair(ends, rcvbuf);
	peer->fd = ends[1];
	assert_int_equal(loop_conn_open(loop, &peer->conn, ends[0], ops), 0);
}

void peer_open(struct peer *peer, struct loop *loop, int rcvbuf)
{
	peer_open_with(peer, loop, rcvbuf, &deaf_ops);
}

void set_linger(int fd)
{
	static const struct linger now = {.l_onoff = 1};

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
}

void peer_send(struct peer *peer, uint32_t offset, uint32_t len)
{
	peer->inside = true;
	loop_conn_send(peer->loop, &peer->conn, &pages, offset, len);
	peer->inside = false;
}

void peer_want(struct peer *peer)
{
	peer->inside = true;
	loop_conn_want_writable(peer->loop, &peer->conn);
	peer->inside = false;
}

size_t peer_fill(struct peer *peer)
{
	size_t total = 0;

	do {
		peer_send(peer, 0, 100000);
		rig_settle(peer->loop);
		total += peer->result > 0 ? (size_t)peer->result : 0;
	} while (peer->result > 0);
	assert_int_equal(peer->result, -EAGAIN);
	return total;
}

size_t drain(int fd)
{
	static uint8_t data[65536];
	size_t total = 0;
	ssize_t n;

	while ((n = recv(fd, data, sizeof(data), MSG_DONTWAIT)) > 0)
		total += (size_t)n;
	return total;
}

size_t drain_until(struct peer *peer, const unsigned *count)
{
	int64_t deadline = rig_deadline();
	size_t total = 0;

	while (*count == 0) {
		rig_wait(peer->loop, deadline);
		total += drain(peer->fd);
	}
	assert_int_equal(*count, 1);
	return total;
}
