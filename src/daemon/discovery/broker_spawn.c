/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/discovery/broker_spawn.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/diag.h"
#include "daemon/discovery/address.h"
#include "process/spawn.h"

#define BACKOFF_MIN_US 100000
#define BACKOFF_MAX_US 10000000
#define HEALTHY_US 30000000 /* after so long the next failure counts as the first */
#define STOP_MS 1000	    /* from SIGTERM to SIGKILL, and from there to giving up */

struct broker_spawn {
	const struct config_mqtt *config;
	char *text; /* of its configuration */
	size_t len;
	pid_t pid;
	int pidfd;
	int64_t started_us, retry_us, backoff_us;
	uint64_t starts;
	char why[192];
};

const char *broker_spawn_host(const struct config_mqtt *config)
{
	if (strcmp(config->spawn_address, "::") == 0)
		return "::1";
	return address_is_any(config->spawn_address) ? "127.0.0.1" : config->spawn_address;
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
	struct broker_spawn *broker = calloc(1, sizeof *broker);
	FILE *file;

	if (!broker)
		return -ENOMEM;
	broker->config = config;
	broker->pidfd = -1;
	broker->backoff_us = BACKOFF_MIN_US;
	file = open_memstream(&broker->text, &broker->len);
	if (!file)
		goto no_memory;
	broker_spawn_write_config(file, config, port);
	if (fclose(file) != 0)
		goto no_memory;
	if (!address_is_loopback(config->spawn_address) && !config->spawn_password_file[0])
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

static int create_config_fd(const struct broker_spawn *broker)
{
	int fd = memfd_create("camcast-mosquitto", MFD_CLOEXEC);
	int err;

	if (fd < 0)
		return -errno;
	for (size_t done = 0; done < broker->len;) {
		ssize_t n = write(fd, broker->text + done, broker->len - done);

		if (n < 0) {
			err = -errno;
			close(fd);
			return err;
		}
		done += (size_t)n;
	}
	return fd;
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

/* 0 or -errno with the reason set. */
static int start(struct broker_spawn *broker)
{
	char *argv[] = {"mosquitto", "-c", "/dev/fd/3", NULL};
	char program[PATH_MAX];
	struct spawn spawn = {.program = program, .argv = argv, .n_fds = 1};
	int err = 0;

	if (!find_mosquitto(program)) {
		snprintf(broker->why, sizeof broker->why,
			 "there is no mosquitto: install the package, or name a broker");
		return -ENOENT;
	}
	spawn.fds[0] = create_config_fd(broker);
	if (spawn.fds[0] < 0) {
		err = spawn.fds[0];
		goto fail;
	}
	broker->pid = spawn_start(&spawn);
	close(spawn.fds[0]);
	if (broker->pid < 0) {
		err = broker->pid;
		broker->pid = 0;
		goto fail;
	}
	broker->pidfd = pidfd_open(broker->pid, 0);
	if (broker->pidfd >= 0)
		return 0;
	err = -errno;
	kill(broker->pid, SIGKILL);
	while (waitpid(broker->pid, NULL, 0) < 0 && errno == EINTR)
		;
	broker->pid = 0;
fail:
	snprintf(broker->why, sizeof broker->why, "mosquitto cannot be started: %s",
		 strerror(-err));
	return err;
}

static void schedule(struct broker_spawn *broker, int64_t now_us)
{
	broker->retry_us = now_us + broker->backoff_us;
	broker->backoff_us *= 2;
	if (broker->backoff_us > BACKOFF_MAX_US)
		broker->backoff_us = BACKOFF_MAX_US;
}

static void reap(struct broker_spawn *broker, int64_t now_us)
{
	char how[96];
	int status;

	if (!spawn_reap(broker->pidfd, &status))
		return;
	spawn_describe(status, how, sizeof how);
	snprintf(broker->why, sizeof broker->why, "mosquitto ended: %s", how);
	close(broker->pidfd);
	broker->pidfd = -1;
	broker->pid = 0;
	if (now_us - broker->started_us >= HEALTHY_US)
		broker->backoff_us = BACKOFF_MIN_US;
	/* Once is worth a line; what goes on is told by the status. */
	if (broker->backoff_us == BACKOFF_MIN_US)
		diag_warn("mqtt: %s; started again in %.1f s", broker->why,
			  (double)broker->backoff_us / 1e6);
	schedule(broker, now_us);
}

bool broker_spawn_turn(struct broker_spawn *broker, int64_t now_us)
{
	if (broker->pidfd >= 0)
		reap(broker, now_us);
	if (broker->pidfd >= 0 || now_us < broker->retry_us)
		return false;
	if (start(broker) < 0) {
		if (broker->backoff_us == BACKOFF_MIN_US)
			diag_warn("mqtt: %s", broker->why);
		schedule(broker, now_us);
		return false;
	}
	broker->started_us = now_us;
	broker->starts++;
	return true;
}

int broker_spawn_wait_ms(const struct broker_spawn *broker, int64_t now_us)
{
	if (broker->pidfd >= 0)
		return -1;
	return now_us >= broker->retry_us ? 0 : (int)((broker->retry_us - now_us + 999) / 1000);
}

int broker_spawn_pidfd(const struct broker_spawn *broker)
{
	return broker->pidfd;
}

pid_t broker_spawn_pid(const struct broker_spawn *broker)
{
	return broker->pid;
}

uint64_t broker_spawn_restarts(const struct broker_spawn *broker)
{
	return broker->starts > 0 ? broker->starts - 1 : 0;
}

const char *broker_spawn_why(const struct broker_spawn *broker)
{
	return broker->why;
}

static bool ends_within(const struct broker_spawn *broker, int ms)
{
	struct pollfd pfd = {.fd = broker->pidfd, .events = POLLIN};
	int status;

	return poll(&pfd, 1, ms) > 0 && spawn_reap(broker->pidfd, &status);
}

void broker_spawn_destroy(struct broker_spawn *broker)
{
	if (!broker)
		return;
	if (broker->pidfd >= 0) {
		kill(broker->pid, SIGTERM);
		if (!ends_within(broker, STOP_MS)) {
			kill(broker->pid, SIGKILL);
			ends_within(broker, STOP_MS);
		}
		close(broker->pidfd);
	}
	free(broker->text);
	free(broker);
}
