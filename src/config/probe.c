/* SPDX-License-Identifier: BSD-2-Clause */
/* What a configuration needs of this machine. Nothing is opened for longer than the check takes. */
#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/secret.h"
#include "base/words.h"
#include "config/config.h"
#include "net/interfaces.h"
#include "net/listen.h"

struct probe {
	const struct config *config;
	const char *name; /* of its file */
	FILE *out;
	size_t n; /* warnings written */
};

/* Of a key; section: the line in which its section begins, 0: it is not in the file. */
static void warn(struct probe *probe, int section, const char *key, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

static void warn(struct probe *probe, int section, const char *key, const char *format, ...)
{
	int line = config_line(probe->config, section, key);
	va_list ap;

	fputs(probe->name, probe->out);
	if (line > 0)
		fprintf(probe->out, ":%d", line);
	fputs(": warning: ", probe->out);
	va_start(ap, format);
	vfprintf(probe->out, format, ap);
	va_end(ap);
	fputc('\n', probe->out);
	probe->n++;
}

/* An empty path is one that is not given. */
static void probe_readable(struct probe *probe, int section, const char *key, const char *path)
{
	if (path[0] && access(path, R_OK) < 0)
		warn(probe, section, key, "%s = %s cannot be read: %s", key, path, strerror(errno));
}

static const char *find_file_fault(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0 || access(path, R_OK) < 0)
		return strerror(errno);
	if (S_ISDIR(st.st_mode))
		return "it is a folder";
	if (S_ISFIFO(st.st_mode))
		return "it is a named pipe; pipe:PATH reads what a program writes into it";
	if (S_ISCHR(st.st_mode))
		return "it is a device; cameras are libcamera:ID, and exec:PROGRAM reads what a "
		       "program writes";
	if (!S_ISREG(st.st_mode))
		return "only regular files can be played";
	return st.st_size == 0 ? "it is empty" : NULL;
}

static const char *find_pipe_fault(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0 || access(path, R_OK) < 0)
		return strerror(errno);
	if (S_ISREG(st.st_mode))
		return "it is a regular file; file:PATH plays it";
	return S_ISFIFO(st.st_mode) ? NULL : "it is no named pipe; mkfifo(1) makes one";
}

static const char *find_program_fault(const char *command)
{
	const char *wrong, *fault = NULL;
	char path[PATH_MAX], **words;

	if (words_split(&words, command, &wrong) <= 0)
		return NULL; /* refused before */
	if (words_find_program(words[0], path) < 0)
		fault = strerror(errno);
	free(words);
	return fault;
}

/* What a shell would act on, and is an argument here. */
static void probe_arguments(struct probe *probe, const struct config_camera *camera,
			    const char *command)
{
	static const char *const signs[] = {"|",  "||", "&",	"&&",	      ">",
					    ">>", "<",	"2>&1", "2>/dev/null"};
	const char *wrong;
	char **words;

	if (words_split(&words, command, &wrong) <= 0)
		return;
	for (char **word = words; *word; word++)
		for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
			if (strcmp(*word, signs[i]) == 0)
				warn(probe, camera->line, "source",
				     "camera \"%s\": there is no shell, so that \"%s\" is an "
				     "argument of the program; a script can have it",
				     camera->name, *word);
	free(words);
}

static void probe_source(struct probe *probe, const struct config_camera *camera)
{
	char shown[CONFIG_SOURCE_SHOWN_MAX];
	const char *rest, *fault = NULL, *cannot = "played";

	switch (config_source_kind(camera->source, &rest)) {
	case CONFIG_SOURCE_FILE:
		fault = find_file_fault(rest);
		break;
	case CONFIG_SOURCE_PIPE:
		fault = find_pipe_fault(rest);
		cannot = "read";
		break;
	case CONFIG_SOURCE_EXEC:
		fault = find_program_fault(rest);
		cannot = "started";
		probe_arguments(probe, camera, rest);
		break;
	default:
		break;
	}
	config_source_show(camera->source, shown);
	if (fault)
		warn(probe, camera->line, "source", "camera \"%s\": source = %s cannot be %s: %s",
		     camera->name, cannot[0] == 'p' ? camera->source : shown, cannot, fault);
}

static void probe_address(struct probe *probe, int section, const char *key,
			  const struct net_address *address)
{
	char where[NET_HOST_PORT_MAX];

	net_format_host_port(where, address->host[0] ? address->host : "*", address->port);
	switch (listen_check(address)) {
	case -EACCES:
		warn(probe, section, key,
		     "%s = %s: this user may not listen on a port below 1024; choose a higher "
		     "port, or give camcastd CAP_NET_BIND_SERVICE",
		     key, where);
		break;
	case -EADDRNOTAVAIL:
		warn(probe, section, key, "%s = %s: no interface of this machine has this address",
		     key, where);
		break;
	default: /* a port that is in use may be that of the server that runs with this file */
		break;
	}
}

static void probe_mqtt(struct probe *probe, const struct config_mqtt *mqtt)
{
	if (!mqtt->on)
		return;
	probe_readable(probe, mqtt->line, "password_file", mqtt->password_file);
	probe_readable(probe, mqtt->line, "cafile", mqtt->cafile);
	probe_readable(probe, mqtt->line, "cert", mqtt->cert);
	probe_readable(probe, mqtt->line, "key", mqtt->key);
	probe_readable(probe, mqtt->line, "spawn_password_file", mqtt->spawn_password_file);
}

static void probe_user(struct probe *probe, const struct config_user *user)
{
	const char *const files[][2] = {{"password_file", user->password_file},
					{"token_file", user->token_file}};

	for (size_t i = 0; i < 2; i++) {
		char text[256], why[SECRET_WHY_MAX];

		if (files[i][1][0] && strchr(files[i][1], '/') &&
		    secret_read(files[i][1], text, sizeof text, why) < 0)
			warn(probe, user->line, files[i][0], "%s %s", files[i][0], why);
		explicit_bzero(text, sizeof text);
	}
}

size_t config_probe(const struct config *config, const char *name, FILE *out)
{
	struct probe probe = {.config = config, .name = name, .out = out};
	const struct config_daemon *daemon = &config->daemon;

	for (size_t i = 0; i < daemon->n_http; i++)
		probe_address(&probe, daemon->line, "http", &daemon->http[i]);
	for (size_t i = 0; i < daemon->n_rtsp; i++)
		probe_address(&probe, daemon->line, "rtsp", &daemon->rtsp[i]);
	if (daemon->multicast_interface[0] && net_interface_find(daemon->multicast_interface) < 0)
		warn(&probe, daemon->line, "multicast_interface",
		     "multicast_interface = %s: this machine has no such interface now",
		     daemon->multicast_interface);
	if (daemon->user[0] && !getpwnam(daemon->user))
		warn(&probe, daemon->line, "user", "user = %s: there is no such user",
		     daemon->user);
	if (daemon->capture[0] && access(daemon->capture, X_OK) < 0)
		warn(&probe, daemon->line, "capture", "capture = %s cannot be started: %s",
		     daemon->capture, strerror(errno));
	probe_readable(&probe, config->tls.line, "certificate", config->tls.certificate);
	probe_readable(&probe, config->tls.line, "key", config->tls.key);
	probe_readable(&probe, config->tls.line, "client_ca", config->tls.client_ca);
	probe_mqtt(&probe, &config->mqtt);
	for (size_t i = 0; i < config->n_users; i++)
		probe_user(&probe, &config->users[i]);
	for (size_t i = 0; i < config->n_cameras; i++) {
		const struct config_camera *camera = &config->cameras[i];

		probe_source(&probe, camera);
		/* Only libcamera reads it. */
		if (config_source_kind(camera->source, NULL) == CONFIG_SOURCE_AUTO ||
		    config_source_kind(camera->source, NULL) == CONFIG_SOURCE_LIBCAMERA)
			probe_readable(&probe, camera->line, "tuning_file", camera->tuning_file);
	}
	for (size_t i = 0; i < config->n_streams; i++)
		probe_readable(&probe, config->streams[i].line, "v4l2_device",
			       config->streams[i].v4l2_device);
	for (size_t i = 0; i < config->n_feeds; i++) {
		const struct config_feed *feed = &config->feeds[i];

		for (size_t j = 0; j < feed->n_listen; j++)
			probe_address(&probe, config->streams[feed->stream].line,
				      config_framing_name(feed->framing), &feed->listen[j]);
	}
	return probe.n;
}
