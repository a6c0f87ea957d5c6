/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/feed_rig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAGIC 0x43414d55u
#define PATIENCE_NS 10000000000ll
#define FILL_MAX (1 << 20) /* bytes; more than any buffer takes */

enum config_backend rig_epoll = CONFIG_BACKEND_EPOLL, rig_uring = CONFIG_BACKEND_URING;
_Atomic int64_t rig_clock_us = 1000000000;
int (*rig_on_send)(int fd, size_t *len);
int64_t rig_window_closed_us;
_Atomic unsigned rig_allocations;
unsigned rig_mmaps;
bool rig_no_memory;

/* --- in front of libc (--wrap) --- */

int __real_clock_gettime(clockid_t id, struct timespec *ts);
int __wrap_clock_gettime(clockid_t id, struct timespec *ts);
int __wrap_clock_gettime(clockid_t id, struct timespec *ts)
{
	int64_t now_us;

	if (id != CLOCK_MONOTONIC)
		return __real_clock_gettime(id, ts);
	now_us = rig_clock_us;
	ts->tv_sec = now_us / 1000000;
	ts->tv_nsec = now_us % 1000000 * 1000;
	return 0;
}

int __real_getsockopt(int fd, int level, int name, void *value, socklen_t *len);
ssize_t __real_sendfile(int out, int in, off_t *offset, size_t len);
ssize_t __wrap_sendfile(int out, int in, off_t *offset, size_t len);
ssize_t __wrap_sendfile(int out, int in, off_t *offset, size_t len)
{
	int ret = rig_on_send ? rig_on_send(out, &len) : 0;

	if (ret < 0) {
		errno = -ret;
		return -1;
	}
	return __real_sendfile(out, in, offset, len);
}

static bool is_socket(int fd)
{
	int type;
	socklen_t len = sizeof(type);

	return __real_getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0;
}

ssize_t __real_splice(int in, off_t *in_at, int out, off_t *out_at, size_t len, unsigned flags);
ssize_t __wrap_splice(int in, off_t *in_at, int out, off_t *out_at, size_t len, unsigned flags);
ssize_t __wrap_splice(int in, off_t *in_at, int out, off_t *out_at, size_t len, unsigned flags)
{
	int ret = rig_on_send && is_socket(out) ? rig_on_send(out, &len) : 0;

	if (ret < 0) {
		errno = -ret;
		return -1;
	}
	return __real_splice(in, in_at, out, out_at, len, flags);
}

ssize_t __real_send(int fd, const void *data, size_t len, int flags);
ssize_t __wrap_send(int fd, const void *data, size_t len, int flags);
ssize_t __wrap_send(int fd, const void *data, size_t len, int flags)
{
	int ret = rig_on_send ? rig_on_send(fd, &len) : 0;

	if (ret < 0) {
		errno = -ret;
		return -1;
	}
	return __real_send(fd, data, len, flags);
}

int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *len);
int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
	int ret = __real_getsockopt(fd, level, name, value, len);

	if (ret == 0 && level == IPPROTO_TCP && name == TCP_INFO)
		((struct tcp_info *)value)->tcpi_rwnd_limited = (uint64_t)rig_window_closed_us;
	return ret;
}

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size)
{
	rig_allocations++;
	return rig_no_memory ? NULL : __real_malloc(size);
}

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size)
{
	rig_allocations++;
	return rig_no_memory ? NULL : __real_calloc(n, size);
}

void *__real_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size)
{
	rig_allocations++;
	return rig_no_memory ? NULL : __real_realloc(old, size);
}

void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
	rig_allocations++;
	return rig_no_memory ? NULL : __real_aligned_alloc(alignment, size);
}

void *__real_mmap(void *at, size_t len, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t len, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t len, int prot, int flags, int fd, off_t offset)
{
	rig_mmaps++;
	return __real_mmap(at, len, prot, flags, fd, offset);
}

/* --- the loop alone --- */

/* A CPU handles its loopback packets in their order: at the sender's next syscall at the latest,
 * or, if there is no time, in ksoftirqd. On one CPU, what was sent before a datagram to oneself has
 * arrived when that has. */
static int echo = -1;

static void open_echo(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct timeval lost = {.tv_sec = 1};
	socklen_t len = sizeof(address);

	if (echo >= 0)
		return;
	echo = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_true(echo >= 0);
	assert_int_equal(bind(echo, (struct sockaddr *)&address, len), 0);
	assert_int_equal(getsockname(echo, (struct sockaddr *)&address, &len), 0);
	assert_int_equal(connect(echo, (struct sockaddr *)&address, len), 0);
	assert_int_equal(setsockopt(echo, SOL_SOCKET, SO_RCVTIMEO, &lost, sizeof(lost)), 0);
}

static void let_packets_arrive(void)
{
	static uint32_t sent;
	uint32_t got = 0;

	do {
		sent++;
		assert_int_equal(__real_send(echo, &sent, sizeof(sent), 0), sizeof(sent));
		while (recv(echo, &got, sizeof(got), 0) == sizeof(got) && got != sent)
			;
	} while (got != sent); /* a queue that was full dropped it */
}

struct loop *rig_loop(enum config_backend backend, uint32_t send_threshold)
{
	struct loop_options options = {
		.backend = backend, .send_threshold = send_threshold, .max_conns = 2000};
	struct loop *loop;
	cpu_set_t cpu;

	CPU_ZERO(&cpu);
	CPU_SET((size_t)sched_getcpu(), &cpu);
	assert_int_equal(sched_setaffinity(0, sizeof(cpu), &cpu), 0);
	open_echo();
	rig_on_send = NULL;
	assert_int_equal(loop_create(&loop, &options), 0);
	assert_string_equal(loop_backend_name(loop),
			    backend == CONFIG_BACKEND_URING ? "io_uring" : "epoll");
	return loop;
}

void rig_settle(struct loop *loop)
{
	const struct loop_stats *stats = loop_stats(loop);
	unsigned quiet = 0;

	while (quiet < 4) {
		struct loop_stats before = *stats;

		let_packets_arrive();
		assert_int_equal(loop_turn(loop, 0), 0);
		before.turns = stats->turns;
		quiet = memcmp(&before, stats, sizeof(before)) == 0 ? quiet + 1 : 0;
	}
}

static int64_t real_ns(void)
{
	struct timespec ts;

	__real_clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

int64_t rig_deadline(void)
{
	return real_ns() + PATIENCE_NS;
}

void rig_wait(struct loop *loop, int64_t deadline)
{
	assert_true(real_ns() < deadline);
	assert_int_equal(loop_turn(loop, 1000), 0);
}

void rig_until(struct loop *loop, const bool *flag)
{
	int64_t deadline = rig_deadline();

	while (!*flag)
		rig_wait(loop, deadline);
}

int rig_listen(uint16_t *port)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
	assert_int_equal(listen(fd, 4096), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
	*port = ntohs(address.sin_port);
	return fd;
}

int rig_connect(uint16_t port, int rcvbuf)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_port = htons(port),
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	if (rcvbuf > 0)
		assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof(rcvbuf)), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	return fd;
}

void rig_pair(int ends[2], int rcvbuf)
{
	uint16_t port;
	int listener = rig_listen(&port);

	ends[1] = rig_connect(port, rcvbuf);
	ends[0] = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	assert_true(ends[0] >= 0);
	close(listener);
}

/* --- a feed --- */

static void count_idr(struct feed_demand *demand)
{
	container_of(demand, struct rig, demand)->idrs++;
}

static void count_watched(struct feed_demand *demand)
{
	container_of(demand, struct rig, demand)->watched++;
}

static void count_unwatched(struct feed_demand *demand, bool viewed)
{
	struct rig *rig = container_of(demand, struct rig, demand);

	rig->unwatched++;
	rig->viewed += viewed;
}

void rig_init(struct rig *rig, enum config_backend backend)
{
	rig_window_closed_us = 0;
	*rig = (struct rig){
		.policy = {.codec = CONFIG_CODEC_H264,
			   .encoder = CONFIG_ENCODER_OPENH264,
			   .bitrate = 2000000,
			   .join_burst_ms = 500,
			   .shed_lag_ms = 800,
			   .max_lag_ms = 2000,
			   .stall_timeout_ms = 10000,
			   .history_ms = 3000},
		.options = {.name = "test/annexb", .can_force_idr = true},
		.config = {.max_clients = 10000, .send_buffer = 131072, .notsent_lowat = 16384},
		.quota = {.name = "feed test/annexb", .viewers = true},
		.endpoint = {.protocol = &raw_protocol},
		.demand = {.idr = count_idr,
			   .watched = count_watched,
			   .unwatched = count_unwatched},
		.send_threshold = 8192,
		.segment = -1,
	};
	rig->options.policy = &rig->policy;
	rig->endpoint.quota = &rig->quota;
	rig->backend = backend;
}

void rig_start(struct rig *rig)
{
	rig->loop = rig_loop(rig->backend, rig->send_threshold);
	assert_int_equal(feed_create(&rig->feed, rig->loop, &rig->options, &rig->demand), 0);
	rig->endpoint.user = rig->feed;
	assert_int_equal(fdreserve_create(&rig->reserve, rig->loop, 2), 0);
	assert_int_equal(admission_create(&rig->admission, rig->loop, &rig->config, rig->reserve),
			 0);
	assert_int_equal(server_create(&rig->server, rig->loop, &rig->config, rig->admission), 0);
	rig->segment_size = 1 << 20;
	rig_pass(rig, 1000000); /* no clock at which a test begins is special */
}

void rig_stop(struct rig *rig)
{
	feed_destroy(rig->feed);
	server_destroy(rig->server);
	fdreserve_destroy(rig->reserve);
	loop_destroy(rig->loop);
	admission_destroy(rig->admission);
	if (rig->segment >= 0)
		close(rig->segment);
	rig_on_send = NULL;
}

static void note_drained(void *user)
{
	struct rig *rig = user;

	rig->drained = true;
}

void rig_drain(struct rig *rig)
{
	feed_drain(rig->feed, note_drained, rig);
}

void rig_new_segment(struct rig *rig, uint32_t size)
{
	int fd = memfd_create("segment", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int ours = dup(fd);

	assert_true(fd >= 0 && ours >= 0);
	assert_int_equal(ftruncate(fd, size), 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);
	assert_int_equal(feed_add_segment(rig->feed, ++rig->segment_id, fd, size), 0);
	if (rig->segment >= 0)
		close(rig->segment);
	rig->segment = ours;
	rig->segment_size = size;
	rig->offset = 0;
}

/* Byte i of a unit behind its header. */
static uint8_t body(uint32_t number, uint32_t i)
{
	return (uint8_t)(number * 31 + i + (i >> 8));
}

void rig_make_unit(uint8_t *unit, uint32_t number, uint32_t len, uint32_t flags)
{
	uint32_t header[4] = {MAGIC, number, len, flags};

	assert_true(len >= RIG_UNIT_MIN);
	memcpy(unit, header, sizeof(header));
	for (uint32_t i = sizeof(header); i < len; i++)
		unit[i] = body(number, i);
}

int rig_publish(struct rig *rig, uint32_t segment, uint32_t offset, uint32_t len, uint32_t flags)
{
	struct feed_unit unit = {.offset = offset,
				 .len = len,
				 .flags = flags,
				 .duration_us = RIG_FRAME_US,
				 .pts_us = rig_clock_us};

	return feed_add_unit(rig->feed, segment, &unit);
}

int rig_add(struct rig *rig, uint32_t len, uint32_t flags)
{
	static uint8_t unit[CAMCAST_UNIT_MAX];
	int ret;

	if (rig->segment < 0 || rig->segment_size - rig->offset < len)
		rig_new_segment(rig, rig->segment_size > len ? rig->segment_size : len);
	rig_make_unit(unit, rig->next, len, flags);
	assert_int_equal(pwrite(rig->segment, unit, len, rig->offset), len);
	ret = rig_publish(rig, rig->segment_id, rig->offset, len, flags);
	rig->offset += len;
	rig->next++;
	return ret;
}

uint32_t rig_unit(struct rig *rig, uint32_t len, uint32_t flags)
{
	assert_int_equal(rig_add(rig, len, flags), 0);
	rig_settle(rig->loop);
	return rig->next - 1;
}

static void set_lowat(const struct viewer *viewer, int bytes)
{
	assert_int_equal(setsockopt(viewer->server_fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &bytes,
				    sizeof(bytes)),
			 0);
}

void rig_pass(struct rig *rig, int64_t us)
{
	rig_clock_us += us;
	rig_settle(rig->loop);
}

void rig_admit(struct rig *rig, int fd)
{
	server_accept(rig->server, &rig->endpoint, fd);
}

uint64_t rig_gone(const struct rig *rig)
{
	const struct audience_stats *stats = &feed_stats(rig->feed)->audience;

	return stats->joined - stats->cursors;
}

struct viewer *viewer_join(struct rig *rig, int rcvbuf)
{
	struct viewer *viewer = calloc(1, sizeof(*viewer));
	int ends[2];

	assert_non_null(viewer);
	rig_pair(ends, rcvbuf);
	rig_admit(rig, ends[0]);
	viewer->server_fd = ends[0];
	viewer->fd = ends[1];
	rig_settle(rig->loop);
	return viewer;
}

void viewer_leave(struct viewer *viewer)
{
	struct linger now = {.l_onoff = 1};

	assert_int_equal(setsockopt(viewer->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
	close(viewer->fd);
	free(viewer);
}

static void check(struct viewer *viewer, const uint8_t *data, size_t n)
{
	uint32_t header[4];

	for (size_t i = 0; i < n; i++) {
		if (viewer->have < RIG_UNIT_MIN) {
			viewer->header[viewer->have++] = data[i];
			if (viewer->have < RIG_UNIT_MIN)
				continue;
			memcpy(header, viewer->header, sizeof(header));
			assert_int_equal(header[0], MAGIC);
			viewer->len = header[2];
		} else {
			memcpy(header, viewer->header, sizeof(header));
			if (data[i] != body(header[1], viewer->have))
				fail_msg("unit %u, byte %u is wrong", header[1], viewer->have);
			viewer->have++;
		}
		if (viewer->have == viewer->len) {
			assert_true(viewer->n < RIG_SEEN_MAX);
			viewer->seen[viewer->n].number = header[1];
			viewer->seen[viewer->n++].flags = header[3];
			viewer->have = 0;
		}
	}
}

size_t viewer_read(struct viewer *viewer, size_t max)
{
	static uint8_t data[65536];
	size_t total = 0;

	while (total < max) {
		size_t want = max - total < sizeof(data) ? max - total : sizeof(data);
		ssize_t n = viewer->receive ? viewer->receive(viewer, data, want)
					    : recv(viewer->fd, data, want, MSG_DONTWAIT);

		if (n <= 0) {
			if (n == 0)
				viewer->eof = true;
			else if (errno != EAGAIN)
				viewer->error = errno;
			break;
		}
		check(viewer, data, (size_t)n);
		total += (size_t)n;
	}
	viewer->bytes += total;
	return total;
}

/* A window that was full may open at the sender's next probe only. A connection that the server
 * closed goes on until its end arrives. */
static bool under_way(const struct viewer *viewer)
{
	int bytes;

	return !viewer->eof && !viewer->error &&
	       (ioctl(viewer->server_fd, SIOCOUTQ, &bytes) < 0 || bytes > 0);
}

void viewer_drink(struct rig *rig, struct viewer *viewer)
{
	struct pollfd more = {.fd = viewer->fd, .events = POLLIN};
	int64_t deadline = rig_deadline();
	unsigned quiet = 0; /* the last acknowledgement may have come after the loop's turn */
	int on = 1;

	while (quiet < 2) {
		rig_settle(rig->loop);
		if (viewer_read(viewer, SIZE_MAX) > 0) {
			quiet = 0;
			deadline = rig_deadline();
		} else if (under_way(viewer)) {
			quiet = 0;
			assert_true(real_ns() < deadline);
			/* An acknowledgement may be delayed, and wakes nobody. */
			setsockopt(viewer->fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof(on));
			(void)poll(&more, 1, 1);
		} else {
			quiet++;
		}
	}
}

void rig_fill(struct rig *rig, struct viewer *viewer)
{
	const struct audience_stats *feed = &feed_stats(rig->feed)->audience;

	/* Where a buffer of the kernel ended in the middle of a unit, once more with larger ones.
	 */
	for (uint32_t len = RIG_UNIT_MIN;; len++) {
		uint64_t before, all = 0, sent;

		assert_true(len < 2 * RIG_UNIT_MIN);
		set_lowat(viewer, (int)rig->config.notsent_lowat);
		viewer_drink(rig, viewer);
		before = feed->sent_bytes;
		while (feed->sent_bytes - before == all) {
			assert_true(all < FILL_MAX);
			rig_unit(rig, len, 0);
			all += len;
		}
		sent = feed->sent_bytes - before;
		/* A late packet or a probe of the window makes room in time: not to count. */
		set_lowat(viewer, 4096);
		rig_settle(rig->loop);
		if (sent == all - len && feed->sent_bytes - before == sent)
			return;
	}
}

void viewer_check_gaps(const struct viewer *viewer, const uint8_t *flags)
{
	for (unsigned i = 1; i < viewer->n; i++) {
		uint32_t from = viewer->seen[i - 1].number + 1, to = viewer->seen[i].number;
		bool references_missing = false;

		assert_true(to >= from);
		for (uint32_t number = from; number < to; number++)
			references_missing |= !(flags[number] & DROPPABLE);
		if (references_missing && !(viewer->seen[i].flags & KEY))
			fail_msg("unit %u follows unit %u and is no key unit", to, from - 1);
	}
}
