/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Three passes, so that one run reports everything that is wrong: file.c reads the lines, the
 * structures are built from them here, check.c checks what spans several keys.
 */
#include "config/config.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/nearest.h"
#include "config/file.h"

static void set_option(struct config_file *file, void *target, const struct option *option,
		       struct entry *entry)
{
	char why[OPTION_WHY_MAX];
	int r = option_set(option, target, entry ? entry->value : option->value, why);

	if (r == -ENOMEM) {
		file->no_memory = true;
	} else if (r < 0) {
		assert(entry); /* a default is always good */
		entry->bad = true;
		config_file_mistake(file, entry->line, "%s", why);
	}
}

static void set_defaults(struct config_file *file, enum option_section kind, void *target)
{
	for (size_t i = 0; i < n_options; i++)
		if (options[i].section == kind && options[i].value)
			set_option(file, target, &options[i], NULL);
}

static void set_entries(struct config_file *file, struct section *s, void *target)
{
	for (size_t i = 0; i < s->n_entries; i++)
		if (s->entries[i].option)
			set_option(file, target, s->entries[i].option, &s->entries[i]);
}

static void note_places(struct config *config, const struct section *s)
{
	for (size_t i = 0; i < s->n_entries; i++)
		if (s->entries[i].option)
			config->places[config->n_places++] = (struct config_place){
				.key = s->entries[i].option->key,
				.section = s->line,
				.line = s->entries[i].line,
			};
}

static void build_places(struct config_file *file, struct config *config)
{
	size_t n = 1;

	for (int kind = 0; kind < OPTION_SECTIONS; kind++)
		for (size_t i = 0; i < file->sections[kind].n; i++)
			n += file->sections[kind].items[i].n_entries;
	config->places = calloc(n, sizeof *config->places);
	if (!config->places) {
		file->no_memory = true;
		return;
	}
	for (int kind = 0; kind < OPTION_SECTIONS; kind++)
		for (size_t i = 0; i < file->sections[kind].n; i++)
			note_places(config, &file->sections[kind].items[i]);
}

int config_line(const struct config *config, int section, const char *key)
{
	for (size_t i = 0; i < config->n_places; i++)
		if (config->places[i].section == section && strcmp(config->places[i].key, key) == 0)
			return config->places[i].line;
	return section;
}

static void build_controls(struct config_file *file, const struct section *s,
			   struct config_camera *camera)
{
	camera->controls = calloc(s->n_entries + 1, sizeof *camera->controls);
	if (!camera->controls) {
		file->no_memory = true;
		return;
	}
	for (size_t i = 0; i < s->n_entries; i++) {
		const struct entry *entry = &s->entries[i];
		struct config_control *control = &camera->controls[camera->n_controls];

		if (entry->option && !option_is_control(entry->option))
			continue;
		control->name = strdup(entry->key);
		control->value = strdup(option_control_value(entry->option, entry->value));
		control->line = entry->line;
		control->raw = !entry->option;
		camera->n_controls++;
		if (!control->name || !control->value)
			file->no_memory = true;
	}
}

bool config_has_certificates(const struct config *config)
{
	return config->tls.client_ca && config->tls.client_ca[0];
}

static bool are_loopback(const struct net_address *addresses, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!net_host_is_loopback(addresses[i].host))
			return false;
	return true;
}

bool config_is_loopback_only(const struct config *config)
{
	const struct config_daemon *daemon = &config->daemon;
	bool only = are_loopback(daemon->http, daemon->n_http) &&
		    are_loopback(daemon->rtsp, daemon->n_rtsp);

	for (size_t i = 0; i < config->n_feeds; i++)
		only = only && are_loopback(config->feeds[i].listen, config->feeds[i].n_listen);
	for (size_t i = 0; i < config->n_streams; i++)
		only = only && !config->streams[i].multicast[0];
	return only;
}

bool config_has_raw(const struct config *config)
{
	for (size_t i = 0; i < config->n_feeds; i++)
		if (config->feeds[i].n_listen > 0)
			return true;
	return false;
}

bool config_uses_tls(const struct config *config)
{
	if (config->daemon.n_http + config->daemon.n_rtsp > 0 &&
	    config->daemon.tls != CONFIG_TLS_NO)
		return true;
	for (size_t i = 0; i < config->n_feeds; i++)
		if (config->feeds[i].n_listen > 0 &&
		    config->streams[config->feeds[i].stream].tls != CONFIG_TLS_NO)
			return true;
	return false;
}

/* Finds the camera that a stream names, or reports it. */
static void resolve_camera(struct config_file *file, const struct config *config, struct section *s,
			   unsigned *camera)
{
	struct entry *entry = section_find(s, "camera");
	char list[256] = "", hint[NEAREST_HINT_MAX];
	struct nearest nearest;
	size_t len = 0;

	if (!entry) {
		config_file_mistake(file, s->line, "stream \"%s\" needs camera = NAME", s->name);
		return;
	}
	nearest_init(&nearest, entry->value);
	for (unsigned i = 0; i < config->n_cameras; i++) {
		const char *name = config->cameras[i].name;

		if (strcmp(name, entry->value) == 0) {
			*camera = i;
			return;
		}
		nearest_try(&nearest, name);
		if (len + strlen(name) + 3 < sizeof list)
			len += (size_t)snprintf(list + len, sizeof list - len, "%s%s",
						len ? ", " : "", name);
	}
	entry->bad = true;
	config_file_mistake(file, entry->line,
			    "there is no section [camera %s]; the cameras are: %s%s", entry->value,
			    len ? list : "none", nearest_hint(&nearest, hint));
}

static bool carries(enum config_framing framing, enum config_codec codec)
{
	switch (framing) {
	case CONFIG_FRAMING_LENGTH_PREFIXED:
		return true;
	case CONFIG_FRAMING_JPEG:
	case CONFIG_FRAMING_MULTIPART:
	case CONFIG_FRAMING_MULTIPART_EARLY:
	case CONFIG_FRAMING_RTP_JPEG:
		return codec == CONFIG_CODEC_MJPEG;
	default:
		return codec == CONFIG_CODEC_H264;
	}
}

static void build_listeners(struct config_file *file, struct config_feed *feed, struct entry *entry)
{
	char why[OPTION_WHY_MAX];

	if (option_parse_listeners(entry->option, entry->value, feed->listen, &feed->n_listen,
				   why) < 0) {
		feed->n_listen = 0;
		config_file_mistake(file, entry->line, "%s", why);
	}
}

static void build_feeds(struct config_file *file, struct config *config, struct section *s,
			unsigned stream)
{
	struct config_feed *first = &config->feeds[config->n_feeds];
	bool on_demand = config->streams[stream].on_demand, has_address = false;

	for (enum config_framing framing = 0; framing < CONFIG_FRAMINGS; framing++) {
		struct entry *entry = section_find(s, config_framing_name(framing));
		struct config_feed *feed = &config->feeds[config->n_feeds];

		if (!carries(framing, config->streams[stream].codec))
			continue;
		feed->stream = stream;
		feed->framing = framing;
		config->n_feeds++;
		if (entry)
			build_listeners(file, feed, entry);
		feed->kept = feed->n_listen > 0 && !on_demand;
		has_address = has_address || feed->n_listen > 0;
	}
	if (!has_address)
		first->kept = !on_demand;
}

/* The first MJPEG stream of a camera, or NULL. */
static const struct config_stream *find_mjpeg(const struct config *config, unsigned camera)
{
	for (size_t i = 0; i < config->n_streams; i++)
		if (config->streams[i].camera == camera &&
		    config->streams[i].codec == CONFIG_CODEC_MJPEG)
			return &config->streams[i];
	return NULL;
}

const struct config_stream *config_snapshot_stream(const struct config *config,
						   const struct config_stream *stream)
{
	return stream->codec == CONFIG_CODEC_MJPEG ? stream : find_mjpeg(config, stream->camera);
}

/* Over HTTP every camera has pictures as JPEG. These streams follow all others, so that the others
 * have the same numbers with and without HTTP. */
static void imply_streams(struct config_file *file, struct config *config)
{
	struct section none = {.n_entries = 0};

	for (unsigned i = 0; config->daemon.n_http > 0 && i < config->n_cameras; i++) {
		const struct config_camera *camera = &config->cameras[i];
		struct config_stream *stream = &config->streams[config->n_streams];

		if (find_mjpeg(config, i))
			continue;
		snprintf(stream->name, sizeof stream->name, "%s:jpeg", camera->name);
		stream->line = camera->line;
		stream->implied = true;
		stream->camera = i;
		set_defaults(file, OPTION_STREAM, stream);
		stream->codec = CONFIG_CODEC_MJPEG;
		stream->encoder = CONFIG_ENCODER_MJPEG;
		stream->on_demand = true;
		build_feeds(file, config, &none, (unsigned)config->n_streams++);
	}
}

/* What camcastd and its workers call a camera's streams and feeds (camcast/worker.h). */
static void number(struct config *config)
{
	for (size_t i = 0; i < config->n_streams; i++) {
		struct config_stream *stream = &config->streams[i];

		stream->number = config->cameras[stream->camera].n_streams++;
	}
	for (size_t i = 0; i < config->n_feeds; i++) {
		struct config_feed *feed = &config->feeds[i];

		feed->number = config->cameras[config->streams[feed->stream].camera].n_feeds++;
	}
}

static void build(struct config_file *file, struct config *config)
{
	const struct section_list *daemons = &file->sections[OPTION_DAEMON];
	const struct section_list *tlses = &file->sections[OPTION_TLS];
	const struct section_list *mqtts = &file->sections[OPTION_MQTT];
	const struct section_list *onvifs = &file->sections[OPTION_ONVIF];
	const struct section_list *users = &file->sections[OPTION_USER];
	const struct section_list *cameras = &file->sections[OPTION_CAMERA];
	const struct section_list *streams = &file->sections[OPTION_STREAM];
	const size_t most = streams->n + cameras->n; /* a camera may imply a stream */

	config->users = calloc(users->n + 1, sizeof *config->users);
	config->cameras = calloc(cameras->n + 1, sizeof *config->cameras);
	config->streams = calloc(most + 1, sizeof *config->streams);
	config->feeds = calloc(CONFIG_FRAMINGS * most + 1, sizeof *config->feeds);
	if (!config->users || !config->cameras || !config->streams || !config->feeds) {
		file->no_memory = true;
		return;
	}
	build_places(file, config);
	set_defaults(file, OPTION_DAEMON, &config->daemon);
	if (daemons->n > 0) {
		config->daemon.line = daemons->items->line;
		set_entries(file, daemons->items, &config->daemon);
	}
	set_defaults(file, OPTION_TLS, &config->tls);
	if (tlses->n > 0) {
		config->tls.line = tlses->items->line;
		set_entries(file, tlses->items, &config->tls);
	}
	config->tls.on = config->tls.certificate && config->tls.certificate[0];
	set_defaults(file, OPTION_MQTT, &config->mqtt);
	if (mqtts->n > 0) {
		config->mqtt.line = mqtts->items->line;
		set_entries(file, mqtts->items, &config->mqtt);
	}
	config->mqtt.on = mqtts->n > 0 && config->mqtt.broker && config->mqtt.broker[0];
	set_defaults(file, OPTION_ONVIF, &config->onvif);
	if (onvifs->n > 0)
		set_entries(file, onvifs->items, &config->onvif);
	config->onvif.on = onvifs->n > 0;
	for (size_t i = 0; i < users->n; i++) {
		struct config_user *user = &config->users[config->n_users++];

		strcpy(user->name, users->items[i].name);
		user->line = users->items[i].line;
		set_defaults(file, OPTION_USER, user);
		set_entries(file, &users->items[i], user);
	}
	for (size_t i = 0; i < cameras->n; i++) {
		struct config_camera *camera = &config->cameras[config->n_cameras++];

		strcpy(camera->name, cameras->items[i].name);
		camera->line = cameras->items[i].line;
		set_defaults(file, OPTION_CAMERA, camera);
		set_entries(file, &cameras->items[i], camera);
		build_controls(file, &cameras->items[i], camera);
	}
	for (size_t i = 0; i < streams->n; i++) {
		struct config_stream *stream = &config->streams[config->n_streams++];

		strcpy(stream->name, streams->items[i].name);
		stream->line = streams->items[i].line;
		set_defaults(file, OPTION_STREAM, stream);
		set_entries(file, &streams->items[i], stream);
		resolve_camera(file, config, &streams->items[i], &stream->camera);
		build_feeds(file, config, &streams->items[i], (unsigned)i);
	}
}

unsigned config_anonymous(const struct config *config)
{
	if (!(config->daemon.anonymous & CONFIG_MAY_AUTO))
		return config->daemon.anonymous;
	if (config->n_users > 0 || config_has_certificates(config))
		return 0;
	return CONFIG_MAY_VIEW | CONFIG_MAY_STATUS |
	       (config->daemon.control ? CONFIG_MAY_CONTROL : 0);
}

int config_parse(struct config **out, const char *name, const char *text, size_t len, FILE *errors)
{
	struct config_file file = {.name = name};
	struct config *config = calloc(1, sizeof *config);
	int r;

	if (!config)
		return -ENOMEM;
	config_file_read(&file, text, len);
	if (!file.no_memory && !file.unreadable)
		build(&file, config);
	if (!file.no_memory && !file.unreadable)
		config_check(&file, config);
	if (!file.no_memory && file.n_mistakes == 0) {
		imply_streams(&file, config);
		number(config);
	}
	config_file_write_mistakes(&file, errors);
	r = file.no_memory ? -ENOMEM : file.n_mistakes > 0 ? -EINVAL : 0;
	config_file_finish(&file);
	if (r < 0)
		config_destroy(config);
	else
		*out = config;
	return r;
}

/* Reads all of fd into *text. Returns 0 or -errno. */
static int read_all(int fd, char **text, size_t *len)
{
	char *buf = malloc(CONFIG_FILE_MAX + 1);
	ssize_t n;

	if (!buf)
		return -ENOMEM;
	*len = 0;
	do {
		n = read(fd, buf + *len, CONFIG_FILE_MAX + 1 - *len);
		if (n > 0)
			*len += (size_t)n;
	} while (n > 0 || (n < 0 && errno == EINTR));
	if (n < 0 || *len > CONFIG_FILE_MAX) {
		int error = n < 0 ? -errno : -EFBIG;

		free(buf);
		return error;
	}
	*text = buf;
	return 0;
}

int config_load(struct config **out, const char *path, FILE *errors, char **text, size_t *len)
{
	char *buf = NULL;
	size_t n = 0;
	int fd, r;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	r = fd < 0 ? -errno : read_all(fd, &buf, &n);
	if (fd >= 0)
		close(fd);
	if (r < 0) {
		fprintf(errors, "%s: %s\n", path, strerror(-r));
		return r;
	}
	r = config_parse(out, path, buf, n, errors);
	if (r == 0 && text && len) {
		*text = buf;
		*len = n;
	} else {
		free(buf);
	}
	return r;
}

static void free_texts(enum option_section section, void *target)
{
	for (size_t i = 0; i < n_options; i++)
		if (options[i].section == section)
			option_free(&options[i], target);
}

void config_destroy(struct config *config)
{
	if (!config)
		return;
	for (size_t i = 0; i < config->n_streams; i++)
		free_texts(OPTION_STREAM, &config->streams[i]);
	for (size_t i = 0; i < config->n_cameras; i++) {
		struct config_camera *camera = &config->cameras[i];

		for (size_t j = 0; j < camera->n_controls; j++) {
			free(camera->controls[j].name);
			free(camera->controls[j].value);
		}
		free(camera->controls);
		free_texts(OPTION_CAMERA, camera);
	}
	for (size_t i = 0; i < config->n_users; i++)
		free_texts(OPTION_USER, &config->users[i]);
	free_texts(OPTION_ONVIF, &config->onvif);
	free_texts(OPTION_MQTT, &config->mqtt);
	free_texts(OPTION_TLS, &config->tls);
	free_texts(OPTION_DAEMON, &config->daemon);
	free(config->places);
	free(config->feeds);
	free(config->streams);
	free(config->cameras);
	free(config->users);
	free(config);
}
