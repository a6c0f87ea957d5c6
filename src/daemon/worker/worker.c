/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/worker/worker.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/diag.h"
#include "daemon/worker/demand.h"
#include "daemon/worker/messages.h"
#include "daemon/worker/process.h"
#include "process/spawn.h"

#define BACKOFF_MIN_US 100000
#define BACKOFF_MAX_US 10000000
#define HEALTHY_US 30000000	/* after so long the next failure counts as the first */
#define STOP_TIMEOUT_US 1000000 /* from closing the pair to the kill */
#define GET_SEGMENT_PERIOD_US 100000
#define LATE_US 1000000	     /* a timer that late says that we did not run, not the worker */
#define MESSAGES_PER_TURN 64 /* other cameras and the clients have their turn too */
#define MESSAGES_AT_END 1024 /* more than a pair holds */
/* So many killed processes that do not end, and no more are started: each costs memory. */
#define UNDEAD_MAX 8

struct worker {
	struct loop *loop;
	struct worker_options options;
	const char *name; /* the camera's */
	struct worker_status status;
	struct worker_messages *messages;
	struct worker_process *process; /* NULL: none */
	struct list undead;
	int pair;		 /* -1: none */
	struct loop_watch watch; /* of the pair */
	struct loop_timer alive; /* HELLO, heartbeats, and the end after the pair's end */
	struct loop_timer retry;
	int64_t heard_us, hello_us, stop_us;
	int64_t backoff_us;
	struct diag_limit no_memory;
	struct worker_demand *demand;
	int64_t *get_segment_us; /* by feed: when its segment was last asked for again */
};

static const char *const state_names[WORKER_STATES] = {
	[WORKER_STARTING] = "starting",
	[WORKER_RUNNING] = "running",
	[WORKER_BACKOFF] = "backoff",
	[WORKER_STOPPED] = "stopped",
};

const char *worker_state_name(enum worker_state state)
{
	return state_names[state];
}

const char *worker_camera_state_name(uint32_t state)
{
	static const char *const names[] = {"starting", "running", "silent", "failed"};

	return state < sizeof names / sizeof names[0] ? names[state] : "?";
}

/* --- to the worker --- */

/* False if it did not go: the pair is full, or its other end is gone, which is noticed elsewhere.
 */
static bool say(void *user, const void *message, size_t size)
{
	struct worker *worker = user;

	if (worker->pair < 0)
		return false;
	return send(worker->pair, message, size, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)size;
}

void worker_request_idr(struct worker *worker, unsigned stream)
{
	worker_demand_request_idr(worker->demand, stream);
}

void worker_set_bitrate(struct worker *worker, unsigned stream, uint32_t bitrate_bps)
{
	worker_demand_set_bitrate(worker->demand, stream, bitrate_bps);
}

int worker_set_control(struct worker *worker, const char *name, const char *value)
{
	struct camcast_msg_control control = {.type = CAMCAST_MSG_CONTROL};

	if (strlen(name) >= sizeof control.name || strlen(value) >= sizeof control.value)
		return -EMSGSIZE;
	strcpy(control.name, name);
	strcpy(control.value, value);
	return say(worker, &control, sizeof control) ? 0 : -EAGAIN;
}

/* --- its end --- */

static void close_pair(struct worker *worker)
{
	if (worker->pair < 0)
		return;
	loop_watch_remove(worker->loop, &worker->watch);
	/* io_uring may hold the file for a while after close(): the worker must see the end now. */
	shutdown(worker->pair, SHUT_RDWR);
	close(worker->pair);
	worker->pair = -1;
}

static void handle_ended_undead(struct worker_process *process, int status)
{
	struct worker *worker = process->user;

	(void)status;
	diag_debug("camera %s: worker %d, killed, has ended", worker->name, (int)process->pid);
	worker_process_free(process);
	worker->status.undead--;
}

/* The process is over or given up: clients wait for the next one's first key unit. */
static void let_go(struct worker *worker, bool kill)
{
	const struct camera *camera = worker->options.camera;

	close_pair(worker);
	worker_demand_set_up(worker->demand, false);
	loop_timer_cancel(worker->loop, &worker->alive);
	if (worker->process && kill) {
		worker_process_kill(worker->process);
		worker->process->ended = handle_ended_undead;
		list_append(&worker->undead, &worker->process->link);
		worker->status.undead++;
	} else if (worker->process) {
		worker_process_free(worker->process);
	}
	worker->process = NULL;
	worker->status.pid = 0;
	for (size_t i = 0; i < camera->n_outputs; i++)
		if (camera->outputs[i]->feed)
			feed_reset(camera->outputs[i]->feed);
}

static void schedule_retry(struct worker *worker)
{
	int64_t now = loop_now_us(worker->loop);

	if (worker->status.state == WORKER_RUNNING && now - worker->hello_us >= HEALTHY_US)
		worker->backoff_us = BACKOFF_MIN_US;
	diag_warn("camera %s: %s; next try in %.1f s", worker->name, worker->status.reason,
		  (double)worker->backoff_us / 1e6);
	worker->status.state = WORKER_BACKOFF;
	worker->status.retry_at_us = now + worker->backoff_us;
	loop_timer_set(worker->loop, &worker->retry, worker->status.retry_at_us);
	worker->backoff_us *= 2;
	if (worker->backoff_us > BACKOFF_MAX_US)
		worker->backoff_us = BACKOFF_MAX_US;
}

static void __attribute__((format(printf, 2, 3)))
set_reason(struct worker *worker, const char *format, ...)
{
	const char *own = worker->status.heartbeat.reason;
	size_t len;
	va_list ap;

	va_start(ap, format);
	vsnprintf(worker->status.reason, sizeof worker->status.reason, format, ap);
	va_end(ap);
	len = strlen(worker->status.reason);
	if (own[0])
		snprintf(worker->status.reason + len, sizeof worker->status.reason - len, ": %s",
			 own);
}

static void kill_worker(struct worker *worker)
{
	let_go(worker, true);
	schedule_retry(worker);
}

void worker_restart(struct worker *worker, const char *why)
{
	if (!worker->process || worker->status.state == WORKER_STOPPED)
		return;
	snprintf(worker->status.reason, sizeof worker->status.reason, "%s", why);
	kill_worker(worker);
}

void worker_hurry(struct worker *worker)
{
	/* Also of one that is starting: it may have looked too early. */
	worker->backoff_us = BACKOFF_MIN_US;
	if (worker->status.state != WORKER_BACKOFF)
		return;
	worker->status.retry_at_us = loop_now_us(worker->loop);
	loop_timer_set(worker->loop, &worker->retry, worker->status.retry_at_us);
}

/* --- from the worker --- */

static void handle_lost_segment(struct worker *worker, const struct worker_news *news)
{
	int64_t *asked_us = &worker->get_segment_us[news->number];
	struct camcast_msg_get_segment get = {
		.type = CAMCAST_MSG_GET_SEGMENT,
		.feed = news->number,
		.segment = news->segment,
	};
	int64_t now = loop_now_us(worker->loop);

	if (now - *asked_us < GET_SEGMENT_PERIOD_US)
		return;
	*asked_us = now;
	fdreserve_give(worker->options.reserve, 2);
	say(worker, &get, sizeof get);
}

static void handle_no_memory(struct worker *worker, const struct worker_news *news)
{
	uint64_t suppressed;

	if (diag_allowed(&worker->no_memory, loop_now_us(worker->loop), 10000000, &suppressed))
		diag_warn("camera %s: no room for a segment of feed %s; its clients wait for the "
			  "next one (%llu more since the last such line)",
			  worker->name, worker->options.camera->outputs[news->number]->name,
			  (unsigned long long)suppressed);
}

static void handle_heartbeat(struct worker *worker)
{
	const struct camcast_msg_heartbeat *heartbeat = worker_messages_heartbeat(worker->messages);

	if (heartbeat->frames > worker->status.heartbeat.frames)
		worker->status.frames_at_us = loop_now_us(worker->loop);
	worker->status.heartbeat = *heartbeat;
}

static void handle_stream(struct worker *worker, unsigned number)
{
	const struct stream *stream = worker->options.camera->streams[number];
	bool can = worker_messages_stream(worker->messages, number)->can_force_idr != 0;

	for (size_t i = 0; i < stream->n_outputs; i++)
		feed_set_can_force_idr(stream->outputs[i].feed, can);
}

static void handle_news(struct worker *worker, const struct worker_news *news)
{
	switch (news->event) {
	case WORKER_EVENT_NONE:
		break;
	case WORKER_EVENT_HELLO:
		worker->status.state = WORKER_RUNNING;
		worker_demand_set_up(worker->demand, true);
		worker->hello_us = loop_now_us(worker->loop);
		loop_timer_set(worker->loop, &worker->alive,
			       worker->hello_us + CAMCAST_HANG_TIMEOUT_MS * INT64_C(1000));
		break;
	case WORKER_EVENT_HEARTBEAT:
		handle_heartbeat(worker);
		break;
	case WORKER_EVENT_STREAM:
		handle_stream(worker, news->number);
		break;
	case WORKER_EVENT_KEY:
		worker_demand_key_came(worker->demand, news->number);
		break;
	case WORKER_EVENT_LOST_SEGMENT:
		handle_lost_segment(worker, news);
		break;
	case WORKER_EVENT_GOT_SEGMENT:
		/* Its units up to the next key unit are refused: let that come soon. */
		worker_request_idr(worker,
				   worker->options.camera->outputs[news->number]->stream->number);
		break;
	case WORKER_EVENT_NO_MEMORY:
		handle_no_memory(worker, news);
		break;
	}
}

/* Owns what it finds: the fds go to worker_messages_take(). Returns the message's length, 0 at the
 * pair's end, or -errno. */
static int receive(int pair, struct worker_packet *packet, void *buffer, size_t size)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(2 * sizeof(int))];
	} control;
	struct iovec iov = {.iov_base = buffer, .iov_len = size};
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof control.bytes,
	};
	ssize_t n = recvmsg(pair, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n < 0)
		return -errno;
	memset(packet, 0, sizeof *packet);
	packet->data = buffer;
	packet->len = (size_t)n;
	packet->oversize = msg.msg_flags & MSG_TRUNC;
	packet->truncated = msg.msg_flags & MSG_CTRUNC;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		packet->n_fds = (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(packet->fds, CMSG_DATA(c), packet->n_fds * sizeof(int));
	}
	return (int)n;
}

/* Takes up to `most` messages. Returns -errno when there are no more of them: -EAGAIN, -EPIPE at
 * the pair's end, -EPROTO for a broken rule (with the reason set); 0 when there may be more. */
static int receive_some(struct worker *worker, unsigned most)
{
	union {
		struct camcast_msg_heartbeat heartbeat; /* the largest */
		struct camcast_msg_stream stream;
	} buffer;
	char why[WORKER_WHY_MAX];
	struct worker_packet packet;
	struct worker_news news;
	int ret;

	for (unsigned i = 0; i < most; i++) {
		ret = receive(worker->pair, &packet, &buffer, sizeof buffer);
		if (ret < 0)
			return ret;
		/* An empty message looks the same, and is not allowed either. */
		if (ret == 0 && packet.n_fds == 0 && !packet.truncated)
			return -EPIPE;
		worker->heard_us = loop_now_us(worker->loop);
		ret = worker_messages_take(worker->messages, &packet, worker->heard_us, &news, why);
		if (ret < 0) {
			worker->status.heartbeat.reason[0] = '\0'; /* not what it ended of */
			set_reason(worker, "the worker broke a rule: %s", why);
			return ret;
		}
		handle_news(worker, &news);
	}
	return 0;
}

static void handle_pair(struct loop_watch *watch, uint32_t events)
{
	struct worker *worker = container_of(watch, struct worker, watch);
	/* Mostly there is one message, and asking for another is a syscall for nothing; the watch tells of
	 * it if there is. Who is behind takes all, so that clients get several units a send. */
	int ret = receive_some(worker, loop_slept(worker->loop) ? 1 : MESSAGES_PER_TURN);

	(void)events;
	if (ret == -EPROTO) {
		kill_worker(worker);
	} else if (ret < 0 && ret != -EAGAIN && ret != -EINTR) {
		/* It ends now, so that its exit status can be told, or is killed. */
		close_pair(worker);
		loop_timer_set(worker->loop, &worker->alive,
			       loop_now_us(worker->loop) + STOP_TIMEOUT_US);
	} else {
		worker_demand_say_rest(worker->demand);
	}
}

/* How long a worker may say nothing. */
static int64_t patience_us(const struct worker *worker)
{
	if (worker->status.state != WORKER_RUNNING)
		return CAMCAST_HELLO_TIMEOUT_MS * INT64_C(1000);
	if (worker->status.heartbeat.state == CAMCAST_CAMERA_STARTING)
		return CAMCAST_START_TIMEOUT_MS * INT64_C(1000);
	return CAMCAST_HANG_TIMEOUT_MS * INT64_C(1000);
}

static void handle_alive(struct loop_timer *timer)
{
	struct worker *worker = container_of(timer, struct worker, alive);
	int64_t now = loop_now_us(worker->loop);
	int64_t timeout_us = patience_us(worker);
	bool late = now - timer->at_us > LATE_US;

	if (worker->pair < 0) {
		set_reason(worker, "the worker closed its pair and did not end");
		kill_worker(worker);
		return;
	}
	if (late)
		worker->heard_us = now;
	if (now < worker->heard_us + timeout_us) {
		loop_timer_set(worker->loop, &worker->alive, worker->heard_us + timeout_us);
		return;
	}
	if (worker->status.state == WORKER_RUNNING)
		set_reason(worker, "hang: no sign of life from the worker for %g s%s",
			   (double)timeout_us / 1e6,
			   worker->status.heartbeat.state == CAMCAST_CAMERA_STARTING
				   ? ", which is starting its camera"
				   : "");
	else
		set_reason(worker, "hang: no HELLO from the worker within %g s",
			   (double)timeout_us / 1e6);
	kill_worker(worker);
}

static void handle_ended(struct worker_process *process, int status)
{
	struct worker *worker = process->user;
	char how[64];
	int ret = 0;

	/* What it still said, above all why. */
	if (worker->pair >= 0)
		ret = receive_some(worker, MESSAGES_AT_END);
	if (ret != -EPROTO) {
		spawn_describe(status, how, sizeof how);
		set_reason(worker, "the worker ended (%s)", how);
	}
	let_go(worker, false);
	schedule_retry(worker);
}

/* A stopping worker has ended in time. */
static void handle_ended_stopped(struct worker_process *process, int status)
{
	struct worker *worker = process->user;

	(void)status;
	worker_process_free(process);
	worker->process = NULL;
	worker->status.pid = 0;
}

/* --- its beginning --- */

static int start_process(struct worker *worker)
{
	char name[CONFIG_NAME_MAX];
	char verbose[] = "-v";
	char *argv[] = {"camcast-capture", "-c", "/dev/fd/4", "--camera", name,
			"--worker",	   NULL, NULL};
	int pair[2];
	int err;

	snprintf(name, sizeof name, "%s", worker->name);
	if (worker->options.verbose)
		argv[6] = verbose;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return -errno;
	err = worker_process_start(&worker->process, worker->loop, worker->options.program, argv,
				   pair[1], worker->options.config_fd, handle_ended, worker);
	if (err < 0)
		goto close_pair;
	worker->watch.fd = pair[0];
	worker->watch.events = EPOLLIN;
	worker->watch.ready = handle_pair;
	err = loop_watch_add(worker->loop, &worker->watch);
	if (err < 0)
		goto kill_process;
	close(pair[1]);
	worker->pair = pair[0];
	worker->status.pid = worker->process->pid;
	return 0;

kill_process:
	worker_process_kill(worker->process);
	worker->process->ended = handle_ended_undead;
	list_append(&worker->undead, &worker->process->link);
	worker->status.undead++;
	worker->process = NULL;
close_pair:
	close(pair[0]);
	close(pair[1]);
	return err;
}

void worker_start(struct worker *worker)
{
	int err;

	if (worker->status.undead >= UNDEAD_MAX) {
		snprintf(worker->status.reason, sizeof worker->status.reason,
			 "%u killed workers do not end: a driver is stuck, or a debugger holds "
			 "them",
			 worker->status.undead);
		schedule_retry(worker);
		return;
	}
	worker->status.state = WORKER_STARTING;
	worker_messages_reset(worker->messages);
	memset(&worker->status.heartbeat, 0, sizeof worker->status.heartbeat);
	err = start_process(worker);
	if (err == -EMFILE || err == -ENFILE) {
		fdreserve_give(worker->options.reserve, 4); /* pair, pidfd, and one to spare */
		err = start_process(worker);
	}
	if (err < 0) {
		snprintf(worker->status.reason, sizeof worker->status.reason, "cannot start %s: %s",
			 worker->options.program, strerror(-err));
		schedule_retry(worker);
		return;
	}
	diag_debug("camera %s: worker %d started", worker->name, (int)worker->status.pid);
	worker->heard_us = loop_now_us(worker->loop);
	loop_timer_set(worker->loop, &worker->alive,
		       worker->heard_us + CAMCAST_HELLO_TIMEOUT_MS * INT64_C(1000));
	worker_demand_say_all(worker->demand);
}

static void handle_retry(struct loop_timer *timer)
{
	struct worker *worker = container_of(timer, struct worker, retry);

	worker->status.restarts++;
	worker_start(worker);
}

/* --- life --- */

int worker_create(struct worker **out, struct loop *loop, const struct worker_options *options)
{
	const struct camera *camera = options->camera;
	struct worker *worker = calloc(1, sizeof *worker);
	const struct worker_demand_options demand = {.camera = camera, .say = say, .user = worker};
	int err;

	if (!worker)
		return -ENOMEM;
	worker->loop = loop;
	worker->options = *options;
	worker->name = camera->config->name;
	worker->status.state = WORKER_STOPPED;
	worker->pair = -1;
	worker->backoff_us = BACKOFF_MIN_US;
	list_init(&worker->undead);
	loop_timer_init(&worker->alive, handle_alive);
	loop_timer_init(&worker->retry, handle_retry);
	worker->get_segment_us = calloc(camera->n_outputs + 1, sizeof *worker->get_segment_us);
	if (!worker->get_segment_us) {
		err = -ENOMEM;
		goto free_worker;
	}
	err = worker_messages_create(&worker->messages, camera);
	if (err < 0)
		goto free_worker;
	err = worker_demand_create(&worker->demand, loop, &demand);
	if (err < 0)
		goto destroy_messages;
	*out = worker;
	return 0;

destroy_messages:
	worker_messages_destroy(worker->messages);
free_worker:
	free(worker->get_segment_us);
	free(worker);
	return err;
}

void worker_stop(struct worker *worker)
{
	loop_timer_cancel(worker->loop, &worker->alive);
	loop_timer_cancel(worker->loop, &worker->retry);
	close_pair(worker);
	if (worker->process)
		worker->process->ended = handle_ended_stopped;
	worker->status.state = WORKER_STOPPED;
	worker->stop_us = clock_now_us();
}

static void end_process(struct worker *worker)
{
	int64_t left_us = worker->stop_us + STOP_TIMEOUT_US - clock_now_us();

	if (!worker_process_wait(worker->process, left_us > 0 ? (int)(left_us / 1000) : 0)) {
		diag_warn("camera %s: worker %d did not stop and is killed", worker->name,
			  (int)worker->process->pid);
		worker_process_kill(worker->process);
		worker_process_wait(worker->process, 100);
	}
	worker_process_free(worker->process);
}

void worker_destroy(struct worker *worker)
{
	struct list *pos, *tmp;

	if (!worker)
		return;
	if (worker->status.state != WORKER_STOPPED || worker->process == NULL)
		worker_stop(worker);
	if (worker->process)
		end_process(worker);
	list_for_each_safe (pos, tmp, &worker->undead) {
		struct worker_process *process = container_of(pos, struct worker_process, link);

		worker_process_wait(process, 0);
		worker_process_free(process);
	}
	worker_demand_destroy(worker->demand);
	worker_messages_destroy(worker->messages);
	free(worker->get_segment_us);
	free(worker);
}

struct feed_demand *worker_feed_demand(struct worker *worker, unsigned feed)
{
	return worker_demand_of_feed(worker->demand, feed);
}

const struct worker_status *worker_status(const struct worker *worker)
{
	return &worker->status;
}

const struct camcast_msg_stream *worker_stream_status(const struct worker *worker, unsigned stream)
{
	return worker_messages_stream(worker->messages, stream);
}

int64_t worker_stream_wanted_us(const struct worker *worker, unsigned stream)
{
	return worker_demand_wanted_us(worker->demand, stream);
}
