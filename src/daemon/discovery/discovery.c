/* SPDX-License-Identifier: BSD-2-Clause */
/* The loop thread's half. */
#include "daemon/discovery/discovery.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <systemd/sd-id128.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/diag.h"
#include "daemon/discovery/thread.h"
#include "daemon/worker/worker.h"

#define SNAPSHOT_PERIOD_US 1000000
#define ID_NAME_MAX 32 /* bytes of the server's name in a derived id */
#define FDS_GIVEN 8    /* for one attempt to connect */
/* Ours alone: the machine's id itself is not told to others (machine-id(5)). */
static const sd_id128_t application_id = {.bytes = {0x5d, 0x0e, 0x8b, 0x1f, 0x3c, 0x64, 0x4a, 0x9b,
						    0xa1, 0x57, 0x2e, 0x90, 0xc4, 0x7d, 0x66,
						    0x38}};

struct discovery {
	struct discovery_options options;
	struct discovery_crossing crossing;
	struct discovery_thread_options thread_options;
	pthread_t thread;
	struct loop_watch commands;
	struct loop_timer timer;
	bool stopped;
	struct discovery_status *status; /* the newest that was taken out */
	char id[CONFIG_MQTT_ID_MAX];
	char state_folder[PATH_MAX]; /* "": none */
	uint16_t ports[];	     /* by feed */
};

const char *const discovery_state_names[DISCOVERY_STATES] = {
	[DISCOVERY_CONNECTING] = "connecting",
	[DISCOVERY_CONNECTED] = "connected",
	[DISCOVERY_WAITING] = "waiting",
};

/* --- the id --- */

static void derive_id(char id[CONFIG_MQTT_ID_MAX], const char *name, const char *config_path)
{
	uint64_t hash = BYTES_HASH;
	char path[PATH_MAX], host[256] = "";
	sd_id128_t machine;
	size_t len = 0;

	if (sd_id128_get_machine_app_specific(application_id, &machine) >= 0) {
		hash = bytes_hash(hash, &machine, sizeof machine);
	} else { /* a container without one */
		gethostname(host, sizeof host - 1);
		hash = bytes_hash(hash, host, strlen(host) + 1);
	}
	hash = bytes_hash(hash, name, strlen(name) + 1);
	if (!realpath(config_path, path))
		snprintf(path, sizeof path, "%s", config_path);
	hash = bytes_hash(hash, path, strlen(path));
	for (; *name && len < ID_NAME_MAX; name++) {
		bool plain = (*name >= '0' && *name <= '9') || (*name >= 'a' && *name <= 'z') ||
			     (*name >= 'A' && *name <= 'Z') || *name == '-' || *name == '_';

		if (plain)
			id[len++] = *name;
		else if (len > 0 && id[len - 1] != '-')
			id[len++] = '-';
	}
	snprintf(id + len, CONFIG_MQTT_ID_MAX - len, "%s%012llx",
		 len == 0	      ? "camcast-"
		 : id[len - 1] == '-' ? ""
				      : "-",
		 (unsigned long long)(hash >> 16));
}

/* --- crossing --- */

static void send_snapshot(struct discovery *discovery)
{
	const struct discovery_options *options = &discovery->options;
	struct discovery_snapshot *snapshot =
		discovery_snapshot_take(options->cameras, options->pushes);
	uint64_t one = 1;

	if (!snapshot)
		return;
	free(atomic_exchange_explicit(&discovery->crossing.snapshot, snapshot,
				      memory_order_acq_rel));
	(void)!write(discovery->crossing.wake, &one, sizeof one);
}

static void handle_timer(struct loop_timer *timer)
{
	struct discovery *discovery = container_of(timer, struct discovery, timer);
	struct loop *loop = discovery->options.loop;

	send_snapshot(discovery);
	loop_timer_set(loop, timer, loop_now_us(loop) + SNAPSHOT_PERIOD_US);
}

static void carry_out(struct discovery *discovery, const struct discovery_command *command)
{
	const struct discovery_options *options = &discovery->options;
	const struct camera *camera;
	const struct stream *stream;

	switch (command->kind) {
	case DISCOVERY_RESTART:
		camera = options->cameras->cameras[command->index];
		if (worker_restart_asked(camera->worker, "requested over MQTT") == 0)
			diag_info("camera %s: restart requested over MQTT", camera->config->name);
		else
			diag_debug("camera %s: a second restart within a minute is refused",
				   camera->config->name);
		break;
	case DISCOVERY_BITRATE:
		stream = options->cameras->streams[command->index];
		diag_info("stream %s: %u bit/s requested over MQTT", stream->config->name,
			  command->bitrate_bps);
		worker_set_bitrate(stream->camera->worker, stream->number, command->bitrate_bps);
		break;
	case DISCOVERY_NO_FDS:
		fdreserve_give(options->reserve, FDS_GIVEN);
		break;
	}
}

static void handle_commands(struct loop_watch *watch, uint32_t events)
{
	struct discovery *discovery = container_of(watch, struct discovery, commands);
	struct discovery_command command;

	(void)events;
	/* One a turn: the thread's limits apply, and clients go first. */
	if (read(watch->fd, &command, sizeof command) == sizeof command)
		carry_out(discovery, &command);
}

const struct discovery_status *discovery_status(struct discovery *discovery)
{
	struct discovery_status *newest =
		atomic_exchange_explicit(&discovery->crossing.status, NULL, memory_order_acq_rel);

	if (newest) {
		free(discovery->status);
		discovery->status = newest;
	}
	return discovery->status;
}

const char *discovery_id(const struct discovery *discovery)
{
	return discovery->id;
}

const char *discovery_fingerprint(const struct discovery *discovery)
{
	const struct discovery_crossing *crossing = &discovery->crossing;
	bool is_signed = atomic_load_explicit(&crossing->is_signed, memory_order_acquire);

	return is_signed ? crossing->fingerprint : "";
}

/* --- its life --- */

static void close_crossing(struct discovery_crossing *crossing)
{
	int fds[] = {crossing->wake, crossing->command_in, crossing->command_out};

	for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	free(atomic_load(&crossing->snapshot));
	free(atomic_load(&crossing->status));
}

static int open_crossing(struct discovery_crossing *crossing)
{
	int pair[2], err;

	crossing->wake = crossing->command_in = crossing->command_out = -1;
	crossing->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (crossing->wake < 0)
		return -errno;
	if (pipe2(pair, O_NONBLOCK | O_CLOEXEC) < 0) {
		err = -errno;
		close_crossing(crossing);
		return err;
	}
	crossing->command_out = pair[0];
	crossing->command_in = pair[1];
	return 0;
}

static void prepare(struct discovery *discovery, const struct discovery_options *options)
{
	const struct config *config = options->cameras->config;

	discovery->options = *options;
	snprintf(discovery->state_folder, sizeof discovery->state_folder, "%s",
		 options->state_folder ? options->state_folder : "");
	if (config->mqtt.id[0])
		snprintf(discovery->id, sizeof discovery->id, "%s", config->mqtt.id);
	else
		derive_id(discovery->id, config->daemon.name, options->config_path);
	for (size_t i = 0; i < options->cameras->n_outputs; i++)
		discovery->ports[i] = options->cameras->outputs[i]->tcp.port;
	discovery->thread_options = (struct discovery_thread_options){
		.config = config,
		.id = discovery->id,
		.ports = discovery->ports,
		.state_folder = discovery->state_folder,
		.crossing = &discovery->crossing,
	};
	loop_timer_init(&discovery->timer, handle_timer);
	discovery->commands.fd = discovery->crossing.command_out;
	discovery->commands.events = EPOLLIN;
	discovery->commands.ready = handle_commands;
}

int discovery_create(struct discovery **out, const struct discovery_options *options)
{
	struct discovery *discovery =
		calloc(1, sizeof *discovery + options->cameras->n_outputs * sizeof(uint16_t));
	int err = -ENOMEM;

	if (!discovery)
		return -ENOMEM;
	discovery->status = calloc(1, sizeof *discovery->status);
	if (!discovery->status)
		goto free_discovery;
	err = open_crossing(&discovery->crossing);
	if (err < 0)
		goto free_discovery;
	prepare(discovery, options);
	send_snapshot(discovery);
	err = loop_watch_add(options->loop, &discovery->commands);
	if (err < 0)
		goto close_crossing;
	/* Signals are blocked in all threads: they come through the loop's signalfd. */
	err = -pthread_create(&discovery->thread, NULL, discovery_thread_run,
			      &discovery->thread_options);
	if (err < 0)
		goto remove_watch;
	loop_timer_set(options->loop, &discovery->timer,
		       loop_now_us(options->loop) + SNAPSHOT_PERIOD_US);
	*out = discovery;
	return 0;

remove_watch:
	loop_watch_remove(options->loop, &discovery->commands);
close_crossing:
	close_crossing(&discovery->crossing);
free_discovery:
	free(discovery->status);
	free(discovery);
	return err;
}

void discovery_stop(struct discovery *discovery)
{
	uint64_t one = 1;

	if (discovery->stopped)
		return;
	discovery->stopped = true;
	loop_timer_cancel(discovery->options.loop, &discovery->timer);
	loop_watch_remove(discovery->options.loop, &discovery->commands);
	atomic_store_explicit(&discovery->crossing.stop, true, memory_order_release);
	(void)!write(discovery->crossing.wake, &one, sizeof one);
}

bool discovery_has_ended(const struct discovery *discovery)
{
	return atomic_load_explicit(&discovery->crossing.ended, memory_order_acquire);
}

void discovery_destroy(struct discovery *discovery)
{
	if (!discovery)
		return;
	discovery_stop(discovery);
	pthread_join(discovery->thread, NULL);
	close_crossing(&discovery->crossing);
	free(discovery->status);
	free(discovery);
}
