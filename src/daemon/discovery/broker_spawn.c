/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/discovery/broker_spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/memfd.h"
#include "net/address.h"
#include "process/supervisor.h"

#define KILLED_MS 1000 /* from SIGKILL to giving up */
#define PASSWORDS_MAX (1 << 20)
#define DATA_MAX (192u << 20) /* bytes; its own limit below is lower, and ends no process */

/* A text that mosquitto reads from a memfd. */
struct text {
	char *text;
	size_t len;
};

struct broker_spawn {
	const struct config_mqtt *config; /* borrowed */
	struct text conf, acl;
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

/* The user that mosquitto has where we are root; NULL: there is none. */
static const struct passwd *find_user(void)
{
	const struct passwd *user = getpwnam("mosquitto");

	return user ? user : getpwnam("nobody");
}

/* The filter for everything below the last slash of a prefix. */
static void allow_below(FILE *out, const char *prefix)
{
	const char *slash = strrchr(prefix, '/');

	fprintf(out, "pattern readwrite %.*s#\n", slash ? (int)(slash + 1 - prefix) : 0, prefix);
}

/* The text of acl_file: the topics of camcast, of its clients and of Home Assistant. */
static void write_acl(FILE *out, const struct config_mqtt *config)
{
	const char *list = config->request_topic;
	char topic[CONFIG_TOPIC_MAX];

	fputs("pattern readwrite camcast/#\n"
	      "pattern readwrite commend/#\n" /* recorders: commend/rec, command/rec */
	      "pattern readwrite command/#\n",
	      out);
	while (config_next_topic(&list, topic))
		fprintf(out, "pattern readwrite %s\n", topic);
	allow_below(out, config->response_prefix);
	if (config->home_assistant_prefix[0])
		fprintf(out, "pattern readwrite %s/#\n", config->home_assistant_prefix);
}

void broker_spawn_write_config(FILE *out, const struct config_mqtt *config, uint16_t port)
{
	fprintf(out, "listener %u %s\n", port, config->spawn_address);
	fprintf(out, "allow_anonymous %s\n", config->spawn_password_file[0] ? "false" : "true");
	if (config->spawn_password_file[0])
		fputs("password_file /dev/fd/5\n", out);
	fputs("acl_file /dev/fd/4\n"
	      "persistence false\n"
	      "log_dest stderr\n"
	      "log_type error\n"
	      "connection_messages false\n"
	      "set_tcp_nodelay true\n"
	      /* Nothing that belongs here is larger: SERVER_INFO_MAX of the clients. */
	      "max_packet_size 131072\n"
	      "max_connections 4096\n"
	      "max_inflight_messages 20\n"
	      "max_queued_messages 100\n"
	      "max_queued_bytes 1048576\n"
	      "memory_limit 67108864\n",
	      out);
}

static int write_text(struct text *text, const struct config_mqtt *config, uint16_t port)
{
	FILE *file = open_memstream(&text->text, &text->len);

	if (!file)
		return -ENOMEM;
	if (port)
		broker_spawn_write_config(file, config, port);
	else
		write_acl(file, config);
	return fclose(file) == 0 ? 0 : -ENOMEM;
}

int broker_spawn_create(struct broker_spawn **out, const struct config_mqtt *config, uint16_t port)
{
	static const struct supervisor_options options = {
		.backoff_ms = 100,
		.stop_ms = 1000,
		.stop_signal = SIGTERM,
		.lines = {.program = "mosquitto", .owner = "mqtt"},
		.lines_stdout = true,
	};
	struct broker_spawn *broker = calloc(1, sizeof *broker);

	if (!broker)
		return -ENOMEM;
	broker->config = config;
	supervisor_init(&broker->supervisor, &options);
	if (write_text(&broker->conf, config, port) < 0 || write_text(&broker->acl, config, 0) < 0)
		goto no_memory;
	if (!net_host_is_loopback(config->spawn_address) && !config->spawn_password_file[0])
		diag_warn("mqtt: every client that reaches %s port %u may publish there; "
			  "spawn_password_file restricts it to clients with a password",
			  config->spawn_address, port);
	*out = broker;
	return 0;

no_memory:
	free(broker->conf.text);
	free(broker->acl.text);
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

/* A memfd that only the user of mosquitto can read; or -errno. */
static int open_text(const char *text, size_t len)
{
	const struct passwd *user = geteuid() == 0 ? find_user() : NULL;
	int fd = memfd_create_text("camcast-mosquitto", text, len);

	if (fd >= 0 &&
	    (fchmod(fd, 0600) < 0 || (user && fchown(fd, user->pw_uid, (gid_t)-1) < 0))) {
		int err = -errno;

		close(fd);
		return err;
	}
	return fd;
}

/* A copy of the password file, which mosquitto's user may not be able to read. */
static int open_passwords(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), err = fd < 0 ? -errno : 0;
	char *text = malloc(PASSWORDS_MAX);
	ssize_t n = -1;

	if (fd >= 0 && text)
		n = read(fd, text, PASSWORDS_MAX);
	if (fd >= 0 && n < 0)
		err = text ? -errno : -ENOMEM;
	if (n == PASSWORDS_MAX)
		err = -EFBIG;
	if (fd >= 0)
		close(fd);
	if (err == 0)
		err = open_text(text, (size_t)n);
	if (n > 0)
		explicit_bzero(text, (size_t)n);
	free(text);
	return err;
}

/* Opens what mosquitto gets as descriptors 3, 4 and 5. 0; or -errno with nothing open. */
static int open_texts(const struct broker_spawn *broker, struct spawn *spawn)
{
	const char *passwords = broker->config->spawn_password_file;
	const unsigned n = passwords[0] ? 3 : 2;

	for (unsigned i = 0; i < n; i++) {
		int fd = i == 0	  ? open_text(broker->conf.text, broker->conf.len)
			 : i == 1 ? open_text(broker->acl.text, broker->acl.len)
				  : open_passwords(passwords);

		if (fd < 0) {
			while (spawn->n_fds > 0)
				close(spawn->fds[--spawn->n_fds]);
			return fd;
		}
		spawn->fds[spawn->n_fds++] = fd;
	}
	return 0;
}

/* Whether it was started; if not, the reason is set. */
static bool start(struct broker_spawn *broker, int64_t now_us)
{
	const struct passwd *user = geteuid() == 0 ? find_user() : NULL;
	char *argv[] = {"mosquitto", "-c", "/dev/fd/3", NULL};
	char program[PATH_MAX];
	struct spawn spawn = {.program = program,
			      .argv = argv,
			      .death_signal = SIGTERM,
			      .data_max = DATA_MAX,
			      .uid = user ? user->pw_uid : 0,
			      .gid = user ? user->pw_gid : 0};
	int err;

	if (!find_mosquitto(program)) {
		snprintf(broker->why, sizeof broker->why,
			 "there is no mosquitto: install the package, or name a broker");
		return false;
	}
	err = open_texts(broker, &spawn);
	if (err == 0)
		err = supervisor_start(&broker->supervisor, &spawn, now_us);
	while (spawn.n_fds > 0)
		close(spawn.fds[--spawn.n_fds]);
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
	/* Only the first end is logged; the status shows the others. */
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

int broker_spawn_fd(const struct broker_spawn *broker)
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
	free(broker->conf.text);
	free(broker->acl.text);
	free(broker);
}
