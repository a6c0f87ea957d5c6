/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A capture worker without a camera. It publishes units of one exact size at a fixed rate, on feed
 * 0 of stream 0, so that camcastd and the floor are measured with the same bytes. camcastd starts
 * it through `[daemon] capture = .../bench/feeder`. The environment says what to publish:
 *
 *   CAMCAST_FEEDER="size=33000 rate=30 keyint=30 layers=1 cpu=1"
 *
 * layers=2 makes every other unit droppable. cpu is the core to run on; the default is that of
 * camcastd. CAMCAST_FOOTAGE=FILE.h264 publishes the units of that recording instead.
 *
 * The feeder answers a request for an IDR as a camera does, at most once a second. With a recording
 * it jumps to the next key unit.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench/lib/footage.h"
#include "bench/lib/unit.h"
#include "camcast/worker.h"

#define SEGMENT_SIZE (1u << 20) /* bytes: the default of segment_size */
#define IDR_INTERVAL_US 1000000 /* between forced ones, as in camcast-capture */

struct feeder {
	uint32_t size, rate, keyint, layers;
	struct footage footage; /* n 0: none */
	uint32_t segment_size, bitrate_bps;
	uint8_t *map; /* of the segment being written; NULL: none yet */
	int fd;
	uint32_t id, used;
	uint64_t seq, keys, dropped, idr_requests;
	uint64_t skipped;   /* units of the recording that were jumped over */
	int64_t idr_due_us; /* the earliest time of the next forced one */
	bool idr_wanted;
	uint32_t since_key; /* units since the last key unit, that one included */
	uint32_t gop_bytes; /* the same, in bytes */
	bool need_key, sent_fd;
};

static int send_message(const void *message, size_t len, int fd)
{
	struct iovec iov = {.iov_base = (void *)(uintptr_t)message, .iov_len = len};
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1};

	if (fd >= 0) {
		struct cmsghdr *cmsg;

		header.msg_control = control.bytes;
		header.msg_controllen = sizeof(control.bytes);
		cmsg = CMSG_FIRSTHDR(&header);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	}
	if (sendmsg(CAMCAST_WORKER_FD, &header, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return -errno;
	return 0;
}

static void new_segment(struct feeder *feeder)
{
	if (feeder->map) {
		munmap(feeder->map, feeder->segment_size);
		if (fcntl(feeder->fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE) < 0)
			err(1, "seal");
		close(feeder->fd);
	}
	feeder->fd = memfd_create("feeder", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (feeder->fd < 0 || ftruncate(feeder->fd, feeder->segment_size) < 0 ||
	    fcntl(feeder->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) < 0)
		err(1, "memfd");
	feeder->map =
		mmap(NULL, feeder->segment_size, PROT_READ | PROT_WRITE, MAP_SHARED, feeder->fd, 0);
	if (feeder->map == MAP_FAILED)
		err(1, "mmap");
	feeder->id++;
	feeder->used = 0;
	feeder->sent_fd = false;
}

/* Decides about the next unit: whether it is a key unit, and how many bytes it may need. */
static void choose_unit(struct feeder *feeder, bool *key, bool *droppable, uint32_t *room)
{
	const struct footage *footage = &feeder->footage;
	const struct footage_unit *unit;

	if (footage->n == 0) {
		*key = feeder->need_key || feeder->since_key >= feeder->keyint;
		*droppable = !*key && feeder->layers > 1 && feeder->since_key % 2 == 1;
		*room = feeder->size;
		return;
	}
	unit = footage_at(footage, feeder->seq + feeder->skipped);
	while (feeder->need_key && !unit->key)
		unit = footage_at(footage, feeder->seq + ++feeder->skipped);
	*key = unit->key;
	*droppable = unit->droppable;
	*room = (uint32_t)footage->max_len;
}

/* A key unit begins a new segment if a GOP of the last one's size would no longer fit. */
static void make_room(struct feeder *feeder, uint32_t room, bool key)
{
	uint32_t left = feeder->map ? feeder->segment_size - feeder->used : 0;

	if (left < room ||
	    (key && left < feeder->gop_bytes && feeder->gop_bytes <= feeder->segment_size))
		new_segment(feeder);
}

static uint32_t write_unit(struct feeder *feeder, bool key, bool droppable, int64_t now_us)
{
	uint8_t *out = feeder->map + feeder->used;

	if (feeder->footage.n > 0)
		return (uint32_t)footage_write(&feeder->footage, feeder->seq + feeder->skipped,
					       feeder->seq, now_us, out);
	unit_build(out, feeder->size, feeder->seq, key, droppable, now_us);
	return feeder->size;
}

static void make_unit(struct feeder *feeder, int64_t now_us)
{
	struct camcast_msg_unit message = {.type = CAMCAST_MSG_UNIT, .pts_us = now_us};
	bool key, droppable;
	uint32_t room;
	int result;

	if (feeder->idr_wanted && now_us >= feeder->idr_due_us) {
		feeder->need_key = true;
		feeder->idr_due_us = now_us + IDR_INTERVAL_US;
	}
	choose_unit(feeder, &key, &droppable, &room);
	make_room(feeder, room, key);
	message.len = write_unit(feeder, key, droppable, now_us);
	message.segment = feeder->id;
	message.offset = feeder->used;
	message.flags = (key ? CAMCAST_UNIT_KEY : 0u) | (droppable ? CAMCAST_UNIT_DROPPABLE : 0u) |
			(feeder->sent_fd ? 0u : CAMCAST_UNIT_SEGMENT);
	result = send_message(&message, sizeof(message), feeder->sent_fd ? -1 : feeder->fd);
	if (result == -EPIPE || result == -ECONNRESET)
		exit(0);
	if (result == -EAGAIN) {
		feeder->dropped++;
		feeder->need_key = true;
	} else if (result < 0) {
		errno = -result;
		err(1, "send");
	} else {
		feeder->used += message.len;
		feeder->sent_fd = true;
		feeder->need_key = false;
		feeder->idr_wanted &= !key;
		feeder->keys += key;
		feeder->since_key = key ? 1 : feeder->since_key + 1;
		feeder->gop_bytes = key ? message.len : feeder->gop_bytes + message.len;
	}
	feeder->seq++;
}

static void tell_status(struct feeder *feeder)
{
	struct camcast_msg_heartbeat beat = {.type = CAMCAST_MSG_HEARTBEAT,
					     .state = CAMCAST_CAMERA_RUNNING,
					     .frames = feeder->seq,
					     .fps_milli = feeder->rate * 1000,
					     .width = 1280,
					     .height = 720,
					     .source = "feeder"};
	struct camcast_msg_stream stream = {.type = CAMCAST_MSG_STREAM,
					    .units = feeder->seq,
					    .keys = feeder->keys,
					    .dropped = feeder->dropped,
					    .idr_requests = feeder->idr_requests,
					    .fps_milli = feeder->rate * 1000,
					    .bitrate_bps = feeder->bitrate_bps,
					    .active = 1,
					    .can_force_idr = 1,
					    .encoder = "feeder"};

	send_message(&beat, sizeof(beat), -1);
	send_message(&stream, sizeof(stream), -1);
}

static void read_messages(struct feeder *feeder)
{
	union {
		uint32_t type;
		struct camcast_msg_control largest;
	} message;
	ssize_t n;

	while ((n = recv(CAMCAST_WORKER_FD, &message, sizeof(message), MSG_DONTWAIT)) > 0) {
		if (message.type == CAMCAST_MSG_IDR) {
			feeder->idr_wanted = true;
			feeder->idr_requests++;
		}
	}
	if (n == 0 || (errno != EAGAIN && errno != EINTR))
		exit(0);
}

static void run_on(unsigned core)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(core, &set);
	if (sched_setaffinity(0, sizeof(set), &set) < 0)
		err(1, "cpu");
}

static void configure(struct feeder *feeder)
{
	const char *text = getenv("CAMCAST_FEEDER"), *path;
	char word[16];
	unsigned value;
	uint32_t largest;
	int n;

	for (text = text ? text : ""; sscanf(text, " %15[a-z]=%u%n", word, &value, &n) == 2;
	     text += n) {
		if (strcmp(word, "size") == 0)
			feeder->size = value;
		else if (strcmp(word, "rate") == 0)
			feeder->rate = value;
		else if (strcmp(word, "keyint") == 0)
			feeder->keyint = value;
		else if (strcmp(word, "layers") == 0)
			feeder->layers = value;
		else if (strcmp(word, "cpu") == 0)
			run_on(value);
		else
			break;
	}
	if (*text || feeder->size < UNIT_MIN || feeder->size > CAMCAST_UNIT_MAX ||
	    feeder->rate == 0 || feeder->rate > CAMCAST_UNIT_RATE_MAX || feeder->keyint == 0) {
		errno = EINVAL;
		err(1, "CAMCAST_FEEDER");
	}
	path = getenv("CAMCAST_FOOTAGE");
	if (path && (errno = -footage_open(&feeder->footage, path)) != 0)
		err(1, path);
	largest = feeder->footage.n ? (uint32_t)feeder->footage.max_len : feeder->size;
	feeder->segment_size = largest > SEGMENT_SIZE ? largest : SEGMENT_SIZE;
	feeder->bitrate_bps =
		feeder->rate * 8 *
		(feeder->footage.n ? (uint32_t)feeder->footage.mean_len : feeder->size);
}

int main(void)
{
	struct feeder feeder = {
		.size = 33000, .rate = 30, .keyint = 30, .layers = 1, .need_key = true};
	struct camcast_msg_hello hello = {.type = CAMCAST_MSG_HELLO,
					  .version = CAMCAST_WORKER_VERSION,
					  .pid = (uint32_t)getpid()};
	int64_t next_unit_us, next_status_us;

	configure(&feeder);
	if (send_message(&hello, sizeof(hello), -1) < 0)
		err(1, "hello");
	next_unit_us = next_status_us = clock_now_us();
	for (;;) {
		struct pollfd pair = {.fd = CAMCAST_WORKER_FD, .events = POLLIN};
		int64_t wait_us = next_unit_us - clock_now_us();
		struct timespec timeout = {0};

		if (wait_us > 0) {
			timeout.tv_sec = wait_us / 1000000;
			timeout.tv_nsec = wait_us % 1000000 * 1000;
		}
		if (ppoll(&pair, 1, &timeout, NULL) > 0)
			read_messages(&feeder);
		if (clock_now_us() < next_unit_us)
			continue;
		make_unit(&feeder, clock_now_us());
		next_unit_us += 1000000 / feeder.rate;
		if (next_unit_us >= next_status_us) {
			tell_status(&feeder);
			next_status_us += 500000;
		}
	}
}
