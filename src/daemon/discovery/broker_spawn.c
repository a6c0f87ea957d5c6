/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/discovery/broker_spawn.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/memfd.h"
#include "net/address.h"
#include "process/supervisor.h"

#define KILLED_MS 1000 /* from SIGKILL to giving up */

struct broker_spawn {
	char *text; /* of its configuration */
	size_t len;
	struct supervisor supervisor;
	uint64_t starts;
	char why[192];
};

const char *broker_spawn_host(const struct config_mqtt *config)
{
	if (strcmp(config->spawn_address, "::") == 0)
		return "::1";
	return net_host_is_any(config->spawn_address) ? "127.0.0.1" : config->spawn_address;
}

void broker_spawn_write_config(FILE *out, const struct config_mqtt *config, uint16_t port)
{
	/* Started by root it would become another user, who cannot read our password file. */
	if (geteuid() == 0)
		fputs("user root\n", out);
	fprintf(out, "listener %u %s\n", port, config->spawn_address);
	fprintf(out, "allow_anonymous %s\n", config->spawn_password_file[0] ? "false" : "true");
	if (config->spawn_password_file[0])
		fprintf(out, "password_file %s\n", config->spawn_password_file);
	fputs("persistence false\n"
	      "log_dest stderr\n"
	      "log_type error\n"
	      "connection_messages false\n"
	      "set_tcp_nodelay true\n"
	      /* Nothing that belongs here is larger. */
	      "max_packet_size 262144\n"
	      "max_connections 4096\n",
	      out);
}

int broker_spawn_create(struct broker_spawn **out, const struct config_mqtt *config, uint16_t port)
{
	static const struct supervisor_options options = {
		.backoff_ms = 100,
		.stop_ms = 1000,
		.stop_signal = SIGTERM,
	};
	struct broker_spawn *broker = calloc(1, sizeof *broker);
	FILE *file;

	if (!broker)
		return -ENOMEM;
	supervisor_init(&broker->supervisor, &options);
	file = open_memstream(&broker->text, &broker->len);
	if (!file)
		goto no_memory;
	broker_spawn_write_config(file, config, port);
	if (fclose(file) != 0)
		goto no_memory;
	if (!net_host_is_loopback(config->spawn_address) && !config->spawn_password_file[0])
		diag_warn("mqtt: everybody who reaches %s port %u may publish there; "
			  "spawn_password_file lets in only those who know a password",
			  config->spawn_address, port);
	*out = broker;
	return 0;

no_memory:
	free(broker->text);
	free(broker);
	return -ENOMEM;
}

/* In PATH, or where Debian has it, which is not in the PATH of ordinary users. */
static bool find_mosquitto(char out[PATH_MAX])
{
	const char *path = getenv("PATH");
	char list[PATH_MAX];

	snprintf(list, sizeof list, "%s:/usr/sbin:/usr/local/sbin", path ? path : "");
	for (const char *at = list; *at;) {
		size_t len = strcspn(at, ":");

		if (len > 0 && snprintf(out, PATH_MAX, "%.*s/mosquitto", (int)len, at) < PATH_MAX &&
		    access(out, X_OK) == 0)
			return true;
		at += len;
		at += *at == ':';
	}
	return false;
}

/* Whether it was started; if not, the reason is set. */
static bool start(struct broker_spawn *broker, int64_t now_us)
{
	char *argv[] = {"mosquitto", "-c", "/dev/fd/3", NULL};
	char program[PATH_MAX];
	struct spawn spawn = {
		.program = program, .argv = argv, .n_fds = 1, .death_signal = SIGTERM};
	int err;

	if (!find_mosquitto(program)) {
		snprintf(broker->why, sizeof broker->why,
			 "there is no mosquitto: install the package, or name a broker");
		return false;
	}
	err = spawn.fds[0] = memfd_create_text("camcast-mosquitto", broker->text, broker->len);
	if (err >= 0) {
		err = supervisor_start(&broker->supervisor, &spawn, now_us);
		close(spawn.fds[0]);
	}
	if (err < 0) {
		snprintf(broker->why, sizeof broker->why, "mosquitto cannot be started: %s",
			 strerror(-err));
		return false;
	}
	broker->starts++;
	return true;
}

static void handle_end(struct broker_spawn *broker, int64_t now_us)
{
	char how[96];

	spawn_describe(broker->supervisor.status, how, sizeof how);
	snprintf(broker->why, sizeof broker->why, "mosquitto ended: %s", how);
	/* Once is worth a line; what goes on is told by the status. */
	if (broker->supervisor.failures == 1)
		diag_warn("mqtt: %s; started again in %.1f s", broker->why,
			  (double)(broker->supervisor.due_us - now_us) / 1e6);
}

bool broker_spawn_turn(struct broker_spawn *broker, int64_t now_us)
{
	enum supervisor_event event;
	bool started = false;

	while ((event = supervisor_turn(&broker->supervisor, now_us)) != SUPERVISOR_NOTHING) {
		if (event == SUPERVISOR_ENDED) {
			handle_end(broker, now_us);
			continue;
		}
		started = start(broker, now_us);
		if (started)
			continue;
		supervisor_back_off(&broker->supervisor, now_us);
		if (broker->supervisor.failures == 1)
			diag_warn("mqtt: %s", broker->why);
	}
	return started;
}

int broker_spawn_wait_ms(const struct broker_spawn *broker, int64_t now_us)
{
	return supervisor_wait_ms(&broker->supervisor, now_us);
}

int broker_spawn_pidfd(const struct broker_spawn *broker)
{
	return supervisor_fd(&broker->supervisor);
}

pid_t broker_spawn_pid(const struct broker_spawn *broker)
{
	return broker->supervisor.pid;
}

uint64_t broker_spawn_restarts(const struct broker_spawn *broker)
{
	return broker->starts > 0 ? broker->starts - 1 : 0;
}

const char *broker_spawn_why(const struct broker_spawn *broker)
{
	return broker->why;
}

void broker_spawn_destroy(struct broker_spawn *broker)
{
	if (!broker)
		return;
	supervisor_finish(&broker->supervisor, KILLED_MS);
	free(broker->text);
	free(broker);
}
