/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/worker/worker.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/memfd.h"
#include "base/text.h"
#include "daemon/worker/closer.h"
#include "daemon/worker/controls.h"
#include "daemon/worker/demand.h"
#include "daemon/worker/messages.h"
#include "daemon/worker/process.h"

#define STOP_TIMEOUT_MS 1000 /* from closing the pair to the kill */
#define KILLED_MS 100	     /* how long destroying a worker waits after the kill */
#define START_FDS 12 /* the pair, two pipes, an epoll set, four in the child, one to spare */
#define GET_SEGMENT_PERIOD_US 100000
#define RESTART_PERIOD_US 60000000 /* from one restart that was asked for to the next */
#define MESSAGES_PER_TURN 64	   /* so that other cameras and the clients are served too */
#define MESSAGES_AT_END 1024	   /* more than a pair holds */

struct worker {
	struct loop *loop;
	struct worker_options options;
	int config_fd;		    /* memfd with the camera's part of the configuration */
	char name[CONFIG_NAME_MAX]; /* the camera's */
	char owner[sizeof "camera " + CONFIG_NAME_MAX]; /* of its log lines */
	struct worker_status status;
	struct worker_messages *messages;
	struct worker_process process;
	int pair;		     /* -1: none */
	struct closer *closer;	     /* has room for what this process leaves behind */
	int refused[CLOSER_FDS_MAX]; /* descriptors of a message that broke a rule; the closer gets
					them with the pair */
	unsigned n_refused;
	struct loop_watch watch; /* of the pair */
	struct diag_limit no_memory;
	struct worker_demand *demand;
	struct worker_controls controls;
	int64_t asked_us;	 /* when a restart was last asked for; 0: never */
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

/* False if the message was not sent: the pair is full, or its other end is closed, which is handled
 * elsewhere. */
static bool say(void *user, const void *message, size_t size)
{
	struct worker *worker = user;

	if (worker->pair < 0 ||
	    send(worker->pair, message, size, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)size)
		return false;
	worker_messages_sent(worker->messages, message, size, loop_now_us(worker->loop));
	return true;
}

void worker_set_bitrate(struct worker *worker, unsigned stream, uint32_t bitrate_bps)
{
	worker_demand_set_bitrate(worker->demand, stream, bitrate_bps);
}

int worker_set_control(struct worker *worker, const char *name, const char *value)
{
	int err = worker_controls_set(&worker->controls, name, value);

	if (err == 0)
		worker_controls_say(&worker->controls, say, worker);
	return err;
}

const char *worker_control(const struct worker *worker, const char *name)
{
	return worker_controls_value(&worker->controls, name);
}

/* --- its end --- */

static void close_pair(struct worker *worker)
{
	if (worker->pair < 0)
		return;
	loop_watch_remove(worker->loop, &worker->watch);
	/* The closer may be slow, but the worker must see the end now. Nothing is
	 * queued any more. */
	shutdown(worker->pair, SHUT_RDWR);
	closer_give(worker->closer, worker->pair, worker->refused, worker->n_refused);
	worker->pair = -1;
	worker->n_refused = 0;
}

/* The process has ended or will be killed: clients wait for the first key unit of the next one. */
static void let_go(struct worker *worker)
{
	const struct camera *camera = worker->options.camera;

	close_pair(worker);
	worker_demand_set_up(worker->demand, false);
	for (size_t i = 0; i < camera->n_outputs; i++)
		if (camera->outputs[i]->feed)
			feed_reset(camera->outputs[i]->feed);
}

/* Called when the reason is set and the next start is scheduled. */
static void note_backoff(struct worker *worker)
{
	int64_t due_us = worker->process.supervisor.due_us;

	worker->status.state = WORKER_BACKOFF;
	diag_warn("camera %s: %s; next try in %.1f s", worker->name, worker->status.reason,
		  (double)(due_us - loop_now_us(worker->loop)) / 1e6);
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
	supervisor_kill(&worker->process.supervisor);
	worker_process_turn(&worker->process);
}

void worker_restart(struct worker *worker, const char *why)
{
	if (worker->process.supervisor.state != SUPERVISOR_RUNNING)
		return;
	snprintf(worker->status.reason, sizeof worker->status.reason, "%s", why);
	kill_worker(worker);
}

int worker_restart_asked(struct worker *worker, const char *why)
{
	int64_t now_us = loop_now_us(worker->loop);

	if (worker->asked_us && now_us - worker->asked_us < RESTART_PERIOD_US)
		return -EBUSY;
	worker->asked_us = now_us;
	worker_restart(worker, why);
	worker_hurry(worker);
	return 0;
}

void worker_hurry(struct worker *worker)
{
	/* This includes a worker that is starting, because it may have looked too early. One that
	 * was not started waits for the end of another one. */
	if (worker->status.state != WORKER_STOPPED)
		worker_process_hurry(&worker->process);
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
		diag_warn("camera %s: no room for a segment or preamble of feed %s; its clients "
			  "wait for the "
			  "next one (%llu more since the last such line)",
			  worker->name, worker->options.camera->outputs[news->number]->name,
			  (unsigned long long)suppressed);
}

static void handle_heartbeat(struct worker *worker)
{
	const struct camcast_msg_heartbeat *heartbeat = worker_messages_heartbeat(worker->messages);

	if (heartbeat->frames > worker->status.heartbeat.frames)
		worker->status.frames_at_us = loop_now_us(worker->loop);
	if (heartbeat->wait_ms)
		worker->status.due_us =
			loop_now_us(worker->loop) + (int64_t)heartbeat->wait_ms * 1000;
	worker->status.heartbeat = *heartbeat;
}

static void handle_stream(struct worker *worker, unsigned number)
{
	const struct stream *stream = worker->options.camera->streams[number];
	bool can = worker_messages_streams(worker->messages)[number].can_force_idr != 0;

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
		text_set(worker->status.sandbox, sizeof worker->status.sandbox,
			 worker_messages_sandbox(worker->messages));
		worker_demand_set_up(worker->demand, true);
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
		/* Units up to the next key unit are refused, so one is requested soon. */
		worker_demand_request_idr(worker->demand, news->number);
		break;
	case WORKER_EVENT_NO_MEMORY:
		handle_no_memory(worker, news);
		break;
	}
}

/* Receives a message, and its descriptors into fds[CLOSER_FDS_MAX]. Returns the message's length, 0
 * at the pair's end, or -errno. There is room for every descriptor that a message can carry,
 * because the kernel would close the others in this call. */
static int receive(int pair, struct worker_packet *packet, void *buffer, size_t size, int *fds)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(CLOSER_FDS_MAX * sizeof(int))];
	} control;
	struct iovec iov = {.iov_base = buffer, .iov_len = size};
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof control.bytes,
	};
	ssize_t n = recvmsg(pair, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	/* The worker ended before it had read all messages. The kernel reports this once, before
	 * the worker's last messages, which may say why it ended. */
	if (n < 0 && errno == ECONNRESET)
		n = recvmsg(pair, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n < 0)
		return -errno;
	*packet = (struct worker_packet){
		.data = buffer,
		.len = (size_t)n,
		.oversize = msg.msg_flags & MSG_TRUNC,
		.truncated = msg.msg_flags & MSG_CTRUNC,
		.fds = fds,
	};
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		packet->n_fds = (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(fds, CMSG_DATA(c), packet->n_fds * sizeof(int));
	}
	return (int)n;
}

/* How long a worker may send nothing. */
static uint32_t patience_ms(const struct worker *worker)
{
	if (worker->status.state != WORKER_RUNNING)
		return CAMCAST_HELLO_TIMEOUT_MS;
	if (worker->status.heartbeat.state == CAMCAST_CAMERA_STARTING)
		return CAMCAST_START_TIMEOUT_MS;
	return CAMCAST_HANG_TIMEOUT_MS;
}

/* Keeps the descriptors of a message that broke a rule for the closer. */
static void note_refused(struct worker *worker, const struct worker_packet *packet)
{
	worker->n_refused = packet->n_fds;
	if (packet->n_fds > 0 && worker->refused[0] < 0)
		worker->refused[0] = worker->refused[--worker->n_refused];
}

/* Takes up to `most` messages. Returns 0 if there may be more, or -errno: -EAGAIN (none is left),
 * -EPIPE (the pair's end), -EPROTO (a broken rule; the reason is set). */
static int receive_some(struct worker *worker, unsigned most)
{
	union {
		struct camcast_msg_preamble preamble; /* the largest */
		uint64_t align;
	} buffer;
	char why[WORKER_WHY_MAX];
	struct worker_packet packet = {0};
	struct worker_news news;
	int64_t now = loop_now_us(worker->loop);
	int ret;

	for (unsigned i = 0; i < most; i++) {
		ret = receive(worker->pair, &packet, &buffer, sizeof buffer, worker->refused);
		if (ret < 0)
			return ret;
		/* An empty message looks the same, and is against the rules. */
		if (ret == 0 && packet.n_fds == 0 && !packet.truncated)
			return -EPIPE;
		ret = worker_messages_take(worker->messages, &packet, now, &news, why);
		if (ret < 0) {
			note_refused(worker, &packet);
			worker->status.heartbeat.reason[0] = '\0'; /* not the reason of this end */
			set_reason(worker, "the worker broke a rule: %s", why);
			return ret;
		}
		handle_news(worker, &news);
		supervisor_beat(&worker->process.supervisor, now, patience_ms(worker));
	}
	return 0;
}

static void handle_pair(struct loop_watch *watch, uint32_t events)
{
	struct worker *worker = container_of(watch, struct worker, watch);
	/* Mostly there is one message, and trying to read another would waste a syscall; the watch
	 * reports further ones. A loop that is behind reads all of them, so that clients get
	 * several units in one send. */
	int ret = receive_some(worker, loop_slept(worker->loop) ? 1 : MESSAGES_PER_TURN);

	(void)events;
	if (ret == -EPROTO) {
		kill_worker(worker);
	} else if (ret < 0 && ret != -EAGAIN && ret != -EINTR) {
		/* Either the worker exits by itself now, so that its exit status can be reported,
		 * or it is killed. */
		close_pair(worker);
		supervisor_beat(&worker->process.supervisor, loop_now_us(worker->loop),
				STOP_TIMEOUT_MS);
	} else {
		worker_demand_say_rest(worker->demand);
		worker_controls_say(&worker->controls, say, worker);
	}
}

/* --- its beginning --- */

static int start_process(struct worker *worker)
{
	char name[CONFIG_NAME_MAX];
	char verbose[] = "-v", no_sandbox[] = "--no-sandbox";
	char *argv[] = {"camcast-capture", "-c", "/dev/fd/4", "--camera", name,
			"--worker",	   NULL, NULL,	      NULL};
	struct spawn spawn = {
		.program = worker->options.program,
		.argv = argv,
		.n_fds = 2,
		.death_signal = SIGTERM,
	};
	size_t n = 6;
	int pair[2];
	int err;

	snprintf(name, sizeof name, "%s", worker->name);
	if (worker->options.verbose)
		argv[n++] = verbose;
	if (worker->options.no_sandbox)
		argv[n++] = no_sandbox;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return -errno;
	worker->watch.fd = pair[0];
	worker->watch.events = EPOLLIN;
	worker->watch.ready = handle_pair;
	err = loop_watch_add(worker->loop, &worker->watch);
	if (err < 0)
		goto close_pair;
	spawn.fds[0] = pair[1]; /* CAMCAST_WORKER_FD */
	spawn.fds[1] = worker->config_fd;
	err = supervisor_start(&worker->process.supervisor, &spawn, loop_now_us(worker->loop));
	if (err < 0)
		goto remove_watch;
	close(pair[1]);
	worker->pair = pair[0];
	return 0;

remove_watch:
	loop_watch_remove(worker->loop, &worker->watch);
close_pair:
	close(pair[0]);
	close(pair[1]);
	return err;
}

static void handle_due(struct worker *worker)
{
	struct supervisor *supervisor = &worker->process.supervisor;
	int err;

	worker->status.state = WORKER_STARTING;
	worker->status.restarts = supervisor->restarts;
	worker_messages_reset(worker->messages);
	memset(&worker->status.heartbeat, 0, sizeof worker->status.heartbeat);
	worker->status.sandbox[0] = '\0';
	worker->status.due_us = 0;
	if (closer_pending(worker->closer) == CLOSER_BATCHES_MAX) {
		snprintf(worker->status.reason, sizeof worker->status.reason,
			 "descriptors of the last %d workers cannot be closed: a peer or a driver "
			 "holds them up",
			 CLOSER_BATCHES_MAX);
		supervisor_back_off(supervisor, loop_now_us(worker->loop));
		note_backoff(worker);
		return;
	}
	err = start_process(worker);
	if (err == -EMFILE || err == -ENFILE) {
		fdreserve_give(worker->options.reserve, START_FDS);
		err = start_process(worker);
	}
	if (err == 0) {
		diag_debug("camera %s: worker %d started", worker->name, (int)supervisor->pid);
		worker_demand_say_all(worker->demand);
		worker_controls_reset(&worker->controls);
		worker_controls_say(&worker->controls, say, worker);
		return;
	}
	if (err == -EBUSY)
		snprintf(worker->status.reason, sizeof worker->status.reason,
			 "%u killed workers do not end: a driver is stuck, or a debugger holds "
			 "them",
			 supervisor->n_left);
	else
		snprintf(worker->status.reason, sizeof worker->status.reason, "cannot start %s: %s",
			 worker->options.program, strerror(-err));
	supervisor_back_off(supervisor, loop_now_us(worker->loop));
	note_backoff(worker);
}

/* --- its life --- */

static void handle_silence(struct worker *worker)
{
	double patience_s = worker->process.supervisor.patience_ms / 1e3;

	if (worker->pair < 0)
		set_reason(worker, "the worker closed its socket but did not exit");
	else if (worker->status.state != WORKER_RUNNING)
		set_reason(worker, "hang: no HELLO from the worker within %g s", patience_s);
	else
		set_reason(worker, "hang: no sign of life from the worker for %g s%s", patience_s,
			   worker->status.heartbeat.state == CAMCAST_CAMERA_STARTING
				   ? ", which is starting its camera"
				   : "");
	supervisor_kill(&worker->process.supervisor);
}

static void handle_ended(struct worker *worker)
{
	const struct supervisor *supervisor = &worker->process.supervisor;
	char how[64];
	int ret = 0;

	if (supervisor->state == SUPERVISOR_STOPPED)
		return;
	if (!supervisor->killed) { /* otherwise the reason is already set */
		/* Reads the worker's last messages, which may contain the reason. */
		if (worker->pair >= 0)
			ret = receive_some(worker, MESSAGES_AT_END);
		if (ret != -EPROTO) {
			spawn_describe(supervisor->status, how, sizeof how);
			set_reason(worker, "the worker ended (%s)", how);
		}
	}
	let_go(worker);
	note_backoff(worker);
}

static void handle_event(struct worker_process *process, enum supervisor_event event)
{
	struct worker *worker = container_of(process, struct worker, process);

	switch (event) {
	case SUPERVISOR_DUE:
		handle_due(worker);
		break;
	case SUPERVISOR_SILENT:
		handle_silence(worker);
		break;
	case SUPERVISOR_ENDED:
		handle_ended(worker);
		break;
	case SUPERVISOR_NOTHING:
		worker->status.pid = process->supervisor.pid;
		worker->status.retry_at_us = process->supervisor.due_us;
		worker->status.undead = process->supervisor.n_left;
		break;
	}
}

void worker_start(struct worker *worker)
{
	worker_process_turn(&worker->process);
}

/* A memfd that nobody can change, with what the process needs to know: 0 or -errno. */
static int create_config(struct worker *worker)
{
	const struct worker_options *options = &worker->options;
	char *text;
	size_t len;
	int err = config_excerpt(&text, &len, options->config_text, options->config_len,
				 worker->name);

	if (err < 0)
		return err;
	worker->config_fd = memfd_create_text("camcast-config", text, len);
	free(text);
	return worker->config_fd < 0 ? worker->config_fd : 0;
}

int worker_create(struct worker **out, struct loop *loop, const struct worker_options *options)
{
	struct supervisor_options process = {
		.backoff_ms = 100,
		.start_ms = CAMCAST_HELLO_TIMEOUT_MS,
		.stop_ms = STOP_TIMEOUT_MS, /* closing the pair asks it to stop */
		.lines = {.program = "camcast-capture", .verbose = options->verbose},
		.lines_stdout = true,
	};
	const struct camera *camera = options->camera;
	struct worker *worker = calloc(1, sizeof *worker);
	const struct worker_demand_options demand = {.camera = camera, .say = say, .user = worker};
	int err;

	if (!worker)
		return -ENOMEM;
	worker->loop = loop;
	worker->options = *options;
	snprintf(worker->name, sizeof worker->name, "%s", camera->config->name);
	worker->status.state = WORKER_STOPPED;
	worker->pair = -1;
	snprintf(worker->owner, sizeof worker->owner, "camera %s", worker->name);
	process.lines.owner = worker->owner;
	worker_process_init(&worker->process, loop, &process, handle_event);
	worker->get_segment_us = calloc(camera->n_outputs + 1, sizeof *worker->get_segment_us);
	if (!worker->get_segment_us) {
		err = -ENOMEM;
		goto free_worker;
	}
	err = create_config(worker);
	if (err < 0)
		goto free_worker;
	err = worker_messages_create(&worker->messages, camera);
	if (err < 0)
		goto close_config;
	err = worker_demand_create(&worker->demand, loop, &demand);
	if (err < 0)
		goto destroy_messages;
	err = closer_create(&worker->closer);
	if (err < 0)
		goto destroy_demand;
	worker->status.streams = worker_messages_streams(worker->messages);
	worker->status.wanted_us = worker_demand_wanted_us(worker->demand);
	*out = worker;
	return 0;

destroy_demand:
	worker_demand_destroy(worker->demand);
destroy_messages:
	worker_messages_destroy(worker->messages);
close_config:
	close(worker->config_fd);
free_worker:
	free(worker->get_segment_us);
	free(worker);
	return err;
}

void worker_stop(struct worker *worker)
{
	close_pair(worker);
	worker_demand_stop(worker->demand);
	worker->status.state = WORKER_STOPPED;
	supervisor_stop(&worker->process.supervisor, clock_now_us());
	worker_process_turn(&worker->process);
}

bool worker_is_over(const struct worker *worker)
{
	return worker->process.supervisor.pid == 0 || worker->process.supervisor.killed;
}

bool worker_has_ended(struct worker *worker)
{
	return worker->process.supervisor.pid == 0 && closer_pending(worker->closer) == 0;
}

void worker_renew(struct worker *worker)
{
	worker_demand_renew(worker->demand);
}

void worker_destroy(struct worker *worker)
{
	if (!worker)
		return;
	close_pair(worker);
	if (worker_process_finish(&worker->process, KILLED_MS) != 0)
		diag_warn("camera %s: the worker did not stop in time and is killed", worker->name);
	closer_destroy(worker->closer);
	worker_controls_finish(&worker->controls);
	worker_demand_destroy(worker->demand);
	worker_messages_destroy(worker->messages);
	close(worker->config_fd);
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
