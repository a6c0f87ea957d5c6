/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A test double of camcast-capture: speaks the protocol of camcast/worker.h and sends a
 * deterministic stream of units, well behaved or with one fault. Run by camcastd in place of
 * camcast-capture, with the same arguments; told what to do by FAKEWORKER in the environment, words
 * separated by commas:
 *
 *   fps=N gop=N size=N segment=N   units a second (50), units from key to key (10), bytes of a
 *                                  unit (2000), bytes of a segment (65536)
 *   preamble=N                     a new preamble before every Nth key unit (0: none at all)
 *   tracks=N                       units of track 0 to N-1 in turn (1)
 *   copy                           cannot force an IDR
 *   fault=NAME after=N             after N pictures (20) do NAME of fakeworker_faults.c
 *   camera=NAME                    the fault only in the worker of this camera
 *   once=PATH                      the fault only if PATH does not exist yet, which is then made;
 *                                  stands behind camera=
 *   port=N                         of the peer on 127.0.0.1 that reads nothing, for attacks
 *
 * A unit's payload (behind a start code and NAL header, or a length) is "CAST", then pid, number
 * (from 0, per feed), flags and length of the payload as big-endian u32, then bytes that follow
 * from the number and the place: (number * 7 + i) % 251 + 1. A preamble is a length as in front of
 * a unit, "PREA", its version, and zeros.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/support/fakeworker.h"

#define HEAD 20 /* bytes of a payload before the filling */

struct fake my;

void __attribute__((noreturn)) die(const char *what)
{
	fprintf(stderr, "fakeworker: %s: %s\n", what, strerror(errno));
	exit(99);
}

/* Returns false if the pair is full. */
bool say_fds(const void *message, size_t size, const int *fds, size_t n)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(253 * sizeof(int))];
	} control = {0};
	struct iovec iov = {.iov_base = (void *)(uintptr_t)message, .iov_len = size};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (n > 0) {
		struct cmsghdr *cmsg;

		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(n * sizeof(int));
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(n * sizeof(int));
		memcpy(CMSG_DATA(cmsg), fds, n * sizeof(int));
	}
	if (sendmsg(CAMCAST_WORKER_FD, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
		return true;
	if (errno == EAGAIN)
		return false;
	if (!my.deathless)
		exit(0); /* camcastd is gone, or has had enough of us */
	return true;
}

bool say(const void *message, size_t size)
{
	return say_fds(message, size, NULL, 0);
}

bool say_fd(const void *message, size_t size, int fd)
{
	return say_fds(message, size, &fd, 1);
}

void say_hello(uint32_t version)
{
	struct camcast_msg_hello hello = {
		.type = CAMCAST_MSG_HELLO,
		.version = version,
		.pid = (uint32_t)getpid(),
		.sandbox = "none",
	};

	say(&hello, sizeof hello);
}

void say_heartbeat(enum camcast_camera_state state, const char *reason)
{
	struct camcast_msg_heartbeat heartbeat = {
		.type = CAMCAST_MSG_HEARTBEAT,
		.state = state,
		.frames = my.pictures,
		.fps_milli = my.fps * 1000,
		.width = 320,
		.height = 240,
		.allocator = "memfd",
		.path = "none",
	};

	snprintf(heartbeat.source, sizeof heartbeat.source, "%s", my.camera->source);
	snprintf(heartbeat.reason, sizeof heartbeat.reason, "%s", reason);
	say(&heartbeat, sizeof heartbeat);
}

/* Any of its feeds is wanted. */
static bool is_active(const struct fake_stream *stream)
{
	for (unsigned i = 0; i < my.camera->n_feeds; i++)
		if (my.logs[i].stream == stream && my.logs[i].wanted)
			return true;
	return false;
}

static void say_stream(const struct fake_stream *stream)
{
	struct camcast_msg_stream message = {
		.type = CAMCAST_MSG_STREAM,
		.stream = stream->config->number,
		.units = my.pictures,
		.idr_requests = stream->requests,
		.fps_milli = is_active(stream) ? my.fps * 1000 : 0,
		.bitrate_bps = my.fps * my.size * 8,
		.target_bps = stream->target_bps,
		.active = is_active(stream),
		.can_force_idr = my.can_force_idr,
		.encoder = "fake",
	};

	say(&message, sizeof message);
}

void say_all(void)
{
	if (!my.quiet)
		say_heartbeat(CAMCAST_CAMERA_RUNNING, "");
	for (unsigned i = 0; i < my.camera->n_streams; i++)
		say_stream(&my.streams[i]);
}

/* --- the logs --- */

bool say_preamble(unsigned feed, uint32_t len)
{
	struct camcast_msg_preamble preamble = {.type = CAMCAST_MSG_PREAMBLE,
						.feed = feed,
						.version = my.logs[feed].preamble + 1,
						.len = len};

	uint32_t head[] = {htonl(len - 4), 0, htonl(preamble.version)};

	memcpy(&head[1], "PREA", 4);
	memcpy(preamble.data, head, sizeof head);
	if (!say(&preamble, sizeof preamble))
		return false;
	my.logs[feed].preamble = preamble.version;
	return true;
}

int make_segment(off_t size, int seals)
{
	int fd = memfd_create("fake-segment", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || ftruncate(fd, size) < 0 || (seals && fcntl(fd, F_ADD_SEALS, seals) < 0))
		die("segment");
	return fd;
}

void begin_segment(struct feed_log *log, uint32_t size)
{
	if (log->fd >= 0)
		close(log->fd);
	log->fd = make_segment(size > my.segment ? size : my.segment, SEALS);
	log->id++;
	log->used = 0;
	log->sent = false;
}

static uint32_t write_unit(struct feed_log *log, bool key)
{
	static unsigned char unit[CAMCAST_UNIT_MAX];
	bool annexb = log->config->framing == CONFIG_FRAMING_ANNEXB;
	unsigned skip = annexb ? 5 : 4;
	uint32_t head[] = {0, htonl((uint32_t)getpid()), htonl(log->number),
			   htonl(key ? CAMCAST_UNIT_KEY : 0), htonl(my.size - skip)};
	uint32_t length = htonl(my.size - skip);

	if (annexb)
		memcpy(unit, key ? "\0\0\0\1\x65" : "\0\0\0\1\x41", 5);
	else
		memcpy(unit, &length, 4);
	memcpy(head, "CAST", 4);
	memcpy(unit + skip, head, HEAD);
	for (uint32_t i = skip + HEAD; i < my.size; i++)
		unit[i] = (unsigned char)((log->number * 7 + i - skip) % 251 + 1);
	if (log->fd < 0 || log->used + my.size > my.segment)
		begin_segment(log, my.size);
	if (pwrite(log->fd, unit, my.size, log->used) != (ssize_t)my.size)
		die("write");
	return my.size;
}

struct camcast_msg_unit make_unit(unsigned feed, bool key)
{
	struct feed_log *log = &my.logs[feed];
	uint32_t len = write_unit(log, key);

	return (struct camcast_msg_unit){
		.type = CAMCAST_MSG_UNIT,
		.feed = feed,
		.track = my.tracks ? log->number % my.tracks : 0,
		.preamble = log->preamble,
		.duration_us = 1000000 / my.fps,
		.segment = log->id,
		.offset = log->used,
		.len = len,
		.flags = (key ? CAMCAST_UNIT_KEY : 0u) | (log->sent ? 0u : CAMCAST_UNIT_SEGMENT),
		.pts_us = clock_now_us(),
	};
}

void send_unit(unsigned feed, bool key)
{
	struct feed_log *log = &my.logs[feed];
	struct camcast_msg_unit unit;
	bool went;

	if (log->needs_key && !key)
		return;
	if (key && my.preamble > 0 && log->keys++ % my.preamble == 0 && !say_preamble(feed, 100)) {
		log->keys--;
		log->needs_key = log->lost = true;
		return;
	}
	unit = make_unit(feed, key);
	went = log->sent ? say(&unit, sizeof unit) : say_fd(&unit, sizeof unit, log->fd);
	log->needs_key = log->lost = !went;
	if (!went)
		return;
	log->sent = true;
	log->used += unit.len;
	log->number++;
}

/* As camcast-capture does: a unit that the pair had no room for is followed by a key unit. */
static void end_losses(void)
{
	for (unsigned i = 0; i < my.camera->n_feeds; i++)
		if (my.logs[i].wanted && my.logs[i].lost && my.can_force_idr)
			my.logs[i].stream->idr = true;
}

static void send_picture(void)
{
	end_losses();
	for (unsigned i = 0; i < my.camera->n_feeds; i++) {
		const struct fake_stream *stream = my.logs[i].stream;
		bool key = stream->config->codec == CONFIG_CODEC_MJPEG ||
			   my.logs[i].number % my.gop == 0 || stream->idr;

		if (my.logs[i].wanted)
			send_unit(i, key);
	}
	for (unsigned i = 0; i < my.camera->n_streams; i++)
		my.streams[i].idr = false;
	my.pictures++;
}

/* --- what camcastd says --- */

static void hear(const void *message, size_t size)
{
	struct camcast_msg_want want;
	struct camcast_msg_idr idr;
	struct camcast_msg_bitrate bitrate;
	struct camcast_msg_get_segment get;
	struct fake_stream *stream;
	struct feed_log *log;
	uint32_t type;

	memcpy(&type, message, sizeof type);
	switch (type) {
	case CAMCAST_MSG_WANT:
		memcpy(&want, message, sizeof want);
		log = &my.logs[want.feed];
		if (want.wanted && !log->wanted) {
			log->stream->idr = log->stream->idr || !is_active(log->stream);
			log->needs_key = true;
		}
		log->wanted = want.wanted;
		say_stream(log->stream);
		break;
	case CAMCAST_MSG_IDR:
		memcpy(&idr, message, sizeof idr);
		stream = &my.streams[idr.stream];
		stream->requests++;
		stream->idr = my.can_force_idr;
		say_stream(stream);
		break;
	case CAMCAST_MSG_BITRATE:
		memcpy(&bitrate, message, sizeof bitrate);
		my.streams[bitrate.stream].target_bps = bitrate.bitrate_bps;
		say_stream(&my.streams[bitrate.stream]);
		break;
	case CAMCAST_MSG_CONTROL:
		snprintf(my.control, sizeof my.control, "%s",
			 ((const struct camcast_msg_control *)message)->value);
		break;
	case CAMCAST_MSG_GET_SEGMENT:
		memcpy(&get, message, sizeof get);
		if (get.segment == my.logs[get.feed].id) {
			struct camcast_msg_segment segment = {.type = CAMCAST_MSG_SEGMENT,
							      .feed = get.feed,
							      .segment = get.segment};

			say_fd(&segment, sizeof segment, my.logs[get.feed].fd);
		}
		break;
	default:
		fprintf(stderr, "fakeworker: message of type %u, %zu bytes\n", type, size);
		exit(98);
	}
}

static void hear_all(void)
{
	union {
		uint64_t align;
		char bytes[512];
	} buffer;
	ssize_t n;

	my.control[0] = '\0';
	while ((n = recv(CAMCAST_WORKER_FD, buffer.bytes, sizeof buffer, MSG_DONTWAIT)) > 0)
		hear(buffer.bytes, (size_t)n);
	/* Once for all that came: reports have a rate. */
	if (my.control[0])
		say_heartbeat(CAMCAST_CAMERA_RUNNING, my.control);
	if (n == 0 && !my.deathless)
		exit(0);
	if (n == 0) {
		/* Deathless: the pair is over, and this process goes on. */
		for (;;)
			pause();
	}
}

/* --- life --- */

static void parse_word(char *word)
{
	char *value = strchr(word, '=');
	unsigned number = value ? (unsigned)strtoul(value + 1, NULL, 10) : 0;

	if (value)
		*value++ = '\0';
	if (strcmp(word, "fps") == 0)
		my.fps = number;
	else if (strcmp(word, "gop") == 0)
		my.gop = number;
	else if (strcmp(word, "size") == 0)
		my.size = number;
	else if (strcmp(word, "segment") == 0)
		my.segment = number;
	else if (strcmp(word, "after") == 0)
		my.after = number;
	else if (strcmp(word, "preamble") == 0)
		my.preamble = number;
	else if (strcmp(word, "tracks") == 0)
		my.tracks = number;
	else if (strcmp(word, "copy") == 0)
		my.can_force_idr = false;
	else if (strcmp(word, "fault") == 0)
		my.fault = value;
	else if (strcmp(word, "port") == 0)
		my.port = number;
	else if (strcmp(word, "camera") == 0) {
		if (strcmp(value, my.camera->name) != 0)
			my.fault = NULL;
	} else if (strcmp(word, "once") == 0) {
		if (my.fault && open(value, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600) < 0)
			my.fault = NULL;
	} else {
		errno = EINVAL;
		die(word);
	}
}

static void find_camera(const char *name)
{
	for (size_t i = 0; i < my.config->n_cameras; i++)
		if (strcmp(my.config->cameras[i].name, name) == 0)
			my.camera = &my.config->cameras[i];
	if (!my.camera) {
		errno = ENOENT;
		die(name);
	}
}

static void find_streams(void)
{
	my.streams = calloc(my.camera->n_streams, sizeof *my.streams);
	my.logs = calloc(my.camera->n_feeds, sizeof *my.logs);
	if (!my.streams || !my.logs)
		die("memory");
	for (size_t i = 0; i < my.config->n_streams; i++) {
		const struct config_stream *config = &my.config->streams[i];

		if (&my.config->cameras[config->camera] == my.camera)
			my.streams[config->number].config = config;
	}
	for (size_t i = 0; i < my.config->n_feeds; i++) {
		const struct config_feed *config = &my.config->feeds[i];
		const struct config_stream *stream = &my.config->streams[config->stream];

		if (&my.config->cameras[stream->camera] == my.camera)
			my.logs[config->number] = (struct feed_log){
				.config = config, .stream = &my.streams[stream->number], .fd = -1};
	}
}

static void set_up(int argc, char **argv)
{
	const char *words = getenv("FAKEWORKER");
	char *copy, *word;

	if (argc < 6 || argc > 7 || strcmp(argv[1], "-c") != 0 ||
	    strcmp(argv[3], "--camera") != 0 || strcmp(argv[5], "--worker") != 0) {
		errno = EINVAL;
		die("arguments");
	}
	if (config_load(&my.config, argv[2], stderr, NULL, NULL) < 0)
		exit(97);
	find_camera(argv[4]);
	find_streams();
	my.fps = 50;
	my.gop = 10;
	my.size = 2000;
	my.segment = 65536;
	my.after = 20;
	my.can_force_idr = true;
	copy = words ? strdup(words) : NULL;
	for (word = copy ? strtok(copy, ",") : NULL; word; word = strtok(NULL, ","))
		parse_word(word);
}

int main(int argc, char **argv)
{
	struct pollfd pair = {.fd = CAMCAST_WORKER_FD, .events = POLLIN};
	const struct fault *fault;
	int64_t next_picture, next_report, now;

	set_up(argc, argv);
	fault = my.fault ? fault_find(my.fault) : NULL;
	if (my.fault && !fault) {
		errno = EINVAL;
		die(my.fault);
	}
	my.deaf = my.fault && strcmp(my.fault, "deaf") == 0;
	my.deathless = my.fault && strcmp(my.fault, "deathless") == 0;
	if (my.deathless)
		signal(SIGTERM, SIG_IGN);
	if (fault && fault->first)
		fault->commit();
	else
		say_hello(CAMCAST_WORKER_VERSION);
	next_picture = next_report = clock_now_us();
	for (;;) {
		now = clock_now_us();
		if (now >= next_report) {
			say_all();
			next_report += 1000000;
		}
		if (now >= next_picture) {
			send_picture();
			next_picture += 1000000 / my.fps;
		}
		if (fault && fault->commit && !fault->first && my.pictures == my.after) {
			fault->commit();
			fault = NULL;
		}
		now = clock_now_us();
		if (poll(&pair, my.deaf ? 0 : 1,
			 next_picture > now ? (int)((next_picture - now) / 1000) + 1 : 0) > 0)
			hear_all();
	}
}
