/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/push/push.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/memfd.h"
#include "base/text.h"
#include "daemon/fdreserve.h"
#include "daemon/serve/noise.h"
#include "daemon/worker/process.h"

#define BACKOFF_MS 1000
#define BACKOFF_MAX_MS 30000
#define HEALTHY_MS 60000
/* A name server may take long, and libavformat waits for it without a sign of life. */
#define PATIENCE_MS 40000
#define STOP_TIMEOUT_MS 3000   /* from pushes_stop() to the kill; the goodbye takes a second */
#define KILLED_MS 100	       /* how long pushes_finish() waits after the kill */
#define START_FDS 12	       /* as a worker's */
#define SWEEP_PERIOD_US 100000 /* from one look for the end of a process to the next */
/* From one start for new parameters to the next: what a process says may cost no more than that. */
#define RENEW_PERIOD_US 2000000
#define LOG_PERIOD_US 600000000 /* from one failure in the log to the next one in a row */

struct push {
	struct loop *loop;
	struct list link; /* of those that leave */
	const struct pushes_options *options;
	struct push_status status;
	struct output *output; /* the feed that it watches */
	char owner[sizeof "push " + PUSH_NAME_MAX];
	char url[PUSH_URL_MAX];
	int url_fd; /* memfd with the URL; -1: none */
	struct worker_process process;
	struct feed_waiter wants; /* keeps the stream wanted while there is no connection, too */
	struct quota quota;
	struct endpoint endpoint;
	struct connection *connection; /* NULL: none */
	uint64_t dropped;	       /* on earlier ones */

	/* Of the process that runs, or the last one: */
	struct camcast_push_report report; /* being received */
	size_t received;		   /* bytes of it */
	uint64_t noise;			   /* noise_exceeded()'s */
	uint64_t units, bytes;		   /* as it last said */
	int64_t started_us;
	bool renew;	 /* it ended because the pictures need a new connection */
	bool has_reason; /* status.error says why it ended */

	struct diag_limit failures;
	bool told_live; /* the log says so, and no failure since */
};

struct pushes {
	struct pushes_options options;
	size_t n;
	struct push **items;
	struct list leaving; /* their processes or connections have not ended yet */
	struct loop_timer sweep;
	bool started;
};

const char *push_state_name(enum push_state state)
{
	static const char *const names[PUSH_STATES] = {
		[PUSH_WAITING] = "waiting", [PUSH_CONNECTING] = "connecting", [PUSH_LIVE] = "live"};

	return names[state];
}

static void set_state(struct push *push, enum push_state state)
{
	if (push->status.state == state)
		return;
	push->status.state = state;
	push->status.since_us = loop_now_us(push->loop);
}

/* Texts of the process, or of a server elsewhere: cleaned, and without secrets. */
static void set_error(struct push *push, const char *text)
{
	char hidden[sizeof push->status.error];

	text_clean(hidden, sizeof hidden, text);
	push_url_hide(push->url, hidden, sizeof hidden);
	text_set(push->status.error, sizeof push->status.error, hidden);
	push->has_reason = true;
}

/* --- its reports --- */

static void note_live(struct push *push)
{
	set_state(push, PUSH_LIVE);
	if (push->told_live)
		return;
	push->told_live = true;
	diag_info("%s: live at %s", push->owner, push->status.url);
}

static void take_report(struct push *push)
{
	struct camcast_push_report *report = &push->report;

	report->text[sizeof report->text - 1] = '\0';
	if (report->units >= push->units && report->bytes >= push->bytes) {
		push->status.units += report->units - push->units;
		push->status.bytes += report->bytes - push->bytes;
		push->units = report->units;
		push->bytes = report->bytes;
	}
	supervisor_beat(&push->process.supervisor, loop_now_us(push->loop), PATIENCE_MS);
	switch (report->state) {
	case CAMCAST_PUSH_LIVE:
		note_live(push);
		break;
	case CAMCAST_PUSH_FAILED:
	case CAMCAST_PUSH_ENDED:
		push->renew = report->state == CAMCAST_PUSH_ENDED;
		set_error(push, report->text);
		break;
	default: /* connecting; and what this version does not know */
		break;
	}
}

static void take_bytes(struct push *push, const uint8_t *data, size_t len)
{
	while (len > 0) {
		size_t n = sizeof push->report - push->received;

		n = n < len ? n : len;
		memcpy((uint8_t *)&push->report + push->received, data, n);
		push->received += n;
		data += n;
		len -= n;
		if (push->received == sizeof push->report) {
			push->received = 0;
			take_report(push);
		}
	}
}

/* --- its connection --- */

static struct push *of_connection(const struct connection *connection)
{
	return connection->endpoint->user;
}

static int handle_accepted(struct connection *connection)
{
	struct push *push = of_connection(connection);

	push->connection = connection;
	return connection_watch(connection, push->output->feed);
}

static void handle_input(struct connection *connection, const uint8_t *data, size_t len)
{
	struct push *push = of_connection(connection);

	if (noise_exceeded(connection, &push->noise, len))
		set_error(push, "the process sent more than its reports");
	else
		take_bytes(push, data, len);
}

/* It ends by itself, or is killed. */
static void handle_input_ended(struct connection *connection)
{
	connection_close(connection, true);
}

static uint64_t dropped_on(const struct connection *connection)
{
	return connection->cursor.units_dropped + connection->cursor.units_shed;
}

/* The last report may still be in the socket, which the loop closes later. */
static void handle_finished(struct connection *connection)
{
	struct push *push = of_connection(connection);
	uint8_t rest[2 * sizeof push->report];
	ssize_t n = recv(connection->conn.fd, rest, sizeof rest, MSG_DONTWAIT);

	push->dropped += dropped_on(connection);
	push->connection = NULL;
	if (n > 0)
		take_bytes(push, rest, (size_t)n);
	/* Time for the goodbye. */
	supervisor_beat(&push->process.supervisor, loop_now_us(push->loop), STOP_TIMEOUT_MS);
}

static const struct protocol push_protocol = {
	.scheme = "push",
	.accepted = handle_accepted,
	.input = handle_input,
	.input_ended = handle_input_ended,
	.finished = handle_finished,
};

/* --- its process --- */

static int start_process(struct push *push)
{
	char verbose[] = "-v", no_sandbox[] = "--no-sandbox";
	char *argv[] = {"camcast-push", NULL, NULL, NULL};
	struct spawn spawn = {
		.program = push->options->program,
		.argv = argv,
		.n_fds = 2,
		.death_signal = SIGTERM,
	};
	/* What waits here cannot be skipped any more, as with other viewers. */
	const int send_buffer = (int)push->options->cameras->config->daemon.send_buffer;
	size_t n = 1;
	int pair[2];
	int err;

	if (push->options->verbose)
		argv[n++] = verbose;
	if (push->options->no_sandbox)
		argv[n] = no_sandbox;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return -errno;
	(void)setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof send_buffer);
	spawn.fds[0] = pair[1]; /* CAMCAST_PUSH_FD */
	spawn.fds[1] = push->url_fd;
	err = supervisor_start(&push->process.supervisor, &spawn, loop_now_us(push->loop));
	close(pair[1]);
	if (err < 0)
		close(pair[0]);
	else
		/* Where it is refused, the process sees that its socket is closed, and ends. */
		server_accept(push->options->server, &push->endpoint, pair[0]);
	return err;
}

static void note_failure(struct push *push)
{
	const struct supervisor *supervisor = &push->process.supervisor;
	int64_t now_us = loop_now_us(push->loop);
	uint64_t others = 0;

	set_state(push, PUSH_WAITING);
	/* The first one after a time of success is always told. */
	if (supervisor->failures <= 1)
		push->failures = (struct diag_limit){0};
	if (!diag_allowed(&push->failures, now_us, LOG_PERIOD_US, &others))
		return;
	push->told_live = false;
	diag_warn("%s: %s: %s; next try in %.1f s (%" PRIu64
		  " further failures since the last such "
		  "line)",
		  push->owner, push->status.url, push->status.error,
		  (double)(supervisor->due_us - now_us) / 1e6, others);
}

static void handle_due(struct push *push)
{
	struct supervisor *supervisor = &push->process.supervisor;
	char text[sizeof push->status.error];
	int err;

	push->units = push->bytes = 0;
	push->received = 0;
	push->renew = push->has_reason = false;
	push->started_us = loop_now_us(push->loop);
	push->status.restarts = supervisor->restarts;
	err = start_process(push);
	if (err == -EMFILE || err == -ENFILE) {
		fdreserve_give(push->options->reserve, START_FDS);
		err = start_process(push);
	}
	if (err == 0) {
		set_state(push, PUSH_CONNECTING);
		return;
	}
	snprintf(text, sizeof text, "cannot start %s: %s", push->options->program, strerror(-err));
	set_error(push, text);
	supervisor_back_off(supervisor, loop_now_us(push->loop));
	note_failure(push);
}

static void handle_silence(struct push *push)
{
	if (!push->has_reason)
		set_error(push, push->connection ? "hang: the process gave no sign of life"
						 : "the process took no pictures for "
						   "stall_timeout_ms, and did not end");
	supervisor_kill(&push->process.supervisor);
}

static void handle_ended(struct push *push)
{
	struct supervisor *supervisor = &push->process.supervisor;
	int64_t now_us = loop_now_us(push->loop);
	bool stalled = !push->connection;
	char how[64], text[sizeof push->status.error];

	if (push->connection)
		connection_close(push->connection, true);
	if (supervisor->state == SUPERVISOR_STOPPED)
		return;
	if (!push->has_reason && stalled && supervisor->status == 0) {
		set_error(push, "the receiver took no pictures for stall_timeout_ms");
	} else if (!push->has_reason) {
		spawn_describe(supervisor->status, how, sizeof how);
		snprintf(text, sizeof text, "the process ended (%s)", how);
		set_error(push, text);
	}
	if (push->renew && now_us - push->started_us >= RENEW_PERIOD_US) {
		diag_info("%s: %s: a new connection, because %s", push->owner, push->status.url,
			  push->status.error);
		supervisor_hurry(supervisor, now_us);
		set_state(push, PUSH_WAITING);
		return;
	}
	note_failure(push);
}

static void handle_event(struct worker_process *process, enum supervisor_event event)
{
	struct push *push = container_of(process, struct push, process);

	switch (event) {
	case SUPERVISOR_DUE:
		handle_due(push);
		break;
	case SUPERVISOR_SILENT:
		handle_silence(push);
		break;
	case SUPERVISOR_ENDED:
		handle_ended(push);
		break;
	case SUPERVISOR_NOTHING:
		push->status.pid = process->supervisor.pid;
		push->status.retry_at_us = process->supervisor.due_us;
		break;
	}
}

/* --- its life --- */

/* A waiter is called for new units, which are of no interest here. */
static void handle_units(struct feed_waiter *waiter)
{
	(void)waiter;
}

static void set_name(struct push *push, unsigned number)
{
	push_name(push->status.name, push->status.stream->config, number);
	snprintf(push->owner, sizeof push->owner, "push %s", push->status.name);
}

static int init(struct push *push, const struct pushes *pushes, const struct stream *stream,
		const char *url, unsigned number)
{
	struct supervisor_options process = {
		.backoff_ms = BACKOFF_MS,
		.backoff_max_ms = BACKOFF_MAX_MS,
		.healthy_ms = HEALTHY_MS,
		.start_ms = PATIENCE_MS,
		.stop_ms = STOP_TIMEOUT_MS, /* closing the pair asks it to stop */
		.lines = {.program = "camcast-push", .verbose = pushes->options.verbose},
		.lines_stdout = true,
	};

	push->loop = pushes->options.loop;
	push->options = &pushes->options;
	push->output = stream_output(stream, CONFIG_FRAMING_MP4);
	push->status.stream = stream;
	set_name(push, number);
	list_init(&push->link);
	memcpy(push->url, url, strlen(url));
	push_url_redact(url, push->status.url);
	push->status.since_us = loop_now_us(push->loop);
	push->quota.name = push->owner;
	push->endpoint =
		(struct endpoint){.protocol = &push_protocol, .user = push, .quota = &push->quota};
	push->wants.units = push->wants.gone = handle_units;
	process.lines.owner = push->owner;
	worker_process_init(&push->process, push->loop, &process, handle_event);
	push->url_fd = memfd_create_text("camcast-push", url, strlen(url));
	return push->url_fd < 0 ? push->url_fd : push->output ? 0 : -EINVAL;
}

void push_name(char name[PUSH_NAME_MAX], const struct config_stream *stream, unsigned number)
{
	snprintf(name, PUSH_NAME_MAX, "%s/%u", stream->name, number);
}

size_t pushes_configured(const struct config *config)
{
	size_t n = 0;

	for (size_t i = 0; i < config->n_streams; i++) {
		const char *list = config->streams[i].push;
		char url[PUSH_URL_MAX];

		while (push_url_next(&list, url) > 0)
			n++;
	}
	return n;
}

static void start(struct push *push)
{
	(void)feed_wait(push->output->feed, &push->wants);
	worker_process_turn(&push->process);
}

static void stop(struct push *push)
{
	if (feed_waits(&push->wants))
		feed_unwait(push->output->feed, &push->wants);
	supervisor_stop(&push->process.supervisor, clock_now_us());
	worker_process_turn(&push->process);
}

static void finish(struct push *push)
{
	if (worker_process_finish(&push->process, KILLED_MS) != 0)
		diag_warn("%s: the process did not end by itself and was killed", push->owner);
	if (push->url_fd >= 0)
		close(push->url_fd);
	push->url_fd = -1;
}

/* --- which there are --- */

static struct push *create_push(const struct pushes *pushes, const struct stream *stream,
				const char *url, unsigned number)
{
	struct push *push = calloc(1, sizeof *push);

	if (!push)
		return NULL;
	if (init(push, pushes, stream, url, number) == 0)
		return push;
	finish(push);
	free(push);
	return NULL;
}

/* One of the items that pushes this stream there; it is taken out. */
static struct push *take(struct push **items, size_t n, const struct stream *stream,
			 const char *url)
{
	for (size_t i = 0; i < n; i++) {
		struct push *push = items[i];

		if (push && push->status.stream == stream && strcmp(push->url, url) == 0) {
			items[i] = NULL;
			return push;
		}
	}
	return NULL;
}

static int add(struct pushes *pushes, struct push **old, size_t n_old, const struct stream *stream,
	       const char *url, unsigned number)
{
	struct push *push = take(old, n_old, stream, url);

	if (push) {
		set_name(push, number);
	} else {
		push = create_push(pushes, stream, url, number);
		if (push && pushes->started)
			start(push);
	}
	if (!push)
		return -ENOMEM;
	pushes->items[pushes->n++] = push;
	return 0;
}

/* Makes what the configuration names, with those of the old ones that it still names; what is left
 * of those stays in `old`. */
static int fill(struct pushes *pushes, struct push **old, size_t n_old)
{
	const struct cameras *cameras = pushes->options.cameras;
	int err = 0;

	pushes->n = 0;
	pushes->items = calloc(pushes_configured(cameras->config) + 1, sizeof(struct push *));
	if (!pushes->items)
		return -ENOMEM;
	for (size_t i = 0; i < cameras->n_streams; i++) {
		const char *list = cameras->streams[i]->config->push;
		char url[PUSH_URL_MAX];
		unsigned number = 0;

		while (err == 0 && push_url_next(&list, url) > 0)
			err = add(pushes, old, n_old, cameras->streams[i], url, ++number);
	}
	return err;
}

static bool has_ended(const struct push *push)
{
	return push->process.supervisor.pid == 0 && endpoint_is_idle(&push->endpoint);
}

static void handle_sweep(struct loop_timer *timer)
{
	struct pushes *pushes = container_of(timer, struct pushes, sweep);
	struct list *pos, *tmp;

	list_for_each_safe (pos, tmp, &pushes->leaving) {
		struct push *push = container_of(pos, struct push, link);

		if (!has_ended(push))
			continue;
		list_remove(&push->link);
		finish(push);
		free(push);
	}
	if (!list_empty(&pushes->leaving))
		loop_timer_set(pushes->options.loop, timer,
			       loop_now_us(pushes->options.loop) + SWEEP_PERIOD_US);
}

int pushes_create(struct pushes **out, const struct pushes_options *options)
{
	struct pushes *pushes = calloc(1, sizeof *pushes);

	if (!pushes)
		return -ENOMEM;
	pushes->options = *options;
	list_init(&pushes->leaving);
	loop_timer_init(&pushes->sweep, handle_sweep);
	*out = pushes;
	return fill(pushes, NULL, 0);
}

void pushes_start(struct pushes *pushes)
{
	pushes->started = true;
	for (size_t i = 0; i < pushes->n; i++)
		start(pushes->items[i]);
}

void pushes_renew(struct pushes *pushes)
{
	struct push **old = pushes->items;
	size_t n_old = pushes->n;

	if (fill(pushes, old, n_old) < 0)
		diag_error("no memory: not everything is pushed that the configuration names");
	for (size_t i = 0; i < n_old; i++) {
		if (!old[i])
			continue;
		diag_info("%s: ends, as the configuration does not name it any more",
			  old[i]->owner);
		stop(old[i]);
		if (old[i]->connection)
			connection_close(old[i]->connection, false);
		list_append(&pushes->leaving, &old[i]->link);
	}
	free(old);
	loop_timer_set(pushes->options.loop, &pushes->sweep, loop_now_us(pushes->options.loop));
}

void pushes_stop(struct pushes *pushes)
{
	for (size_t i = 0; pushes && i < pushes->n; i++)
		stop(pushes->items[i]);
}

void pushes_finish(struct pushes *pushes)
{
	if (!pushes)
		return;
	loop_timer_cancel(pushes->options.loop, &pushes->sweep);
	for (size_t i = 0; i < pushes->n; i++)
		finish(pushes->items[i]);
	for (struct list *pos = pushes->leaving.next; pos != &pushes->leaving; pos = pos->next)
		finish(container_of(pos, struct push, link));
}

void pushes_destroy(struct pushes *pushes)
{
	struct list *pos, *tmp;

	if (!pushes)
		return;
	list_for_each_safe (pos, tmp, &pushes->leaving)
		free(container_of(pos, struct push, link));
	for (size_t i = 0; i < pushes->n; i++)
		free(pushes->items[i]);
	free(pushes->items);
	free(pushes);
}

size_t pushes_count(const struct pushes *pushes)
{
	return pushes ? pushes->n : 0;
}

const struct push_status *pushes_status(const struct pushes *pushes, size_t i)
{
	return &pushes->items[i]->status;
}

uint64_t push_dropped(const struct push_status *status)
{
	const struct push *push = container_of_const(status, struct push, status);

	return push->dropped + (push->connection ? dropped_on(push->connection) : 0);
}
