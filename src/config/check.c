/* SPDX-License-Identifier: BSD-2-Clause */
/* Checks of what spans several keys or sections. A key that is bad by itself was reported already,
 * and checks that need it are left out. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/nearest.h"
#include "config/file.h"

static int later_line(const struct section *s, const char *key, const char *key2)
{
	int line = section_line(s, key), line2 = section_line(s, key2);

	return line > line2 ? line : line2;
}

static void check_less(struct config_file *file, const struct section *s, const char *key,
		       uint32_t value, const char *key2, uint32_t value2)
{
	if (section_is_bad(s, key) || section_is_bad(s, key2) || value < value2)
		return;
	config_file_mistake(file, later_line(s, key, key2),
			    "%s = %u must be less than %s = %u in section [stream %s]", key, value,
			    key2, value2, s->name);
}

static bool encoder_makes(enum config_encoder encoder, enum config_codec codec)
{
	if (encoder == CONFIG_ENCODER_AUTO || encoder == CONFIG_ENCODER_COPY)
		return true;
	return (encoder == CONFIG_ENCODER_MJPEG) == (codec == CONFIG_CODEC_MJPEG);
}

static void check_codec(struct config_file *file, const struct section *s,
			struct config_stream *stream)
{
	bool h264 = stream->codec == CONFIG_CODEC_H264;

	if (section_is_bad(s, "codec"))
		return;
	if (!section_is_bad(s, "encoder") && !encoder_makes(stream->encoder, stream->codec))
		config_file_mistake(
			file, later_line(s, "encoder", "codec"),
			"encoder = %s does not make %s; allowed for codec = %s: %s",
			config_encoder_name(stream->encoder), config_codec_name(stream->codec),
			config_codec_name(stream->codec),
			h264 ? "auto, v4l2m2m, openh264, x264, copy" : "auto, mjpeg, copy");
	if (!h264 && section_find(s, "annexb"))
		config_file_mistake(file, section_line(s, "annexb"),
				    "annexb needs codec = h264; use length_prefixed for "
				    "codec = mjpeg");
	if (!h264 && stream->push[0])
		config_file_mistake(file, section_line(s, "push"),
				    "push needs codec = h264: servers take no MJPEG");
	if (!h264 && stream->sei)
		config_file_mistake(file, section_line(s, "sei"), "sei = yes needs codec = h264");
	if (section_is_bad(s, "temporal_layers") || section_is_bad(s, "encoder") ||
	    stream->temporal_layers == 1)
		return;
	if (h264 && stream->encoder == CONFIG_ENCODER_AUTO)
		stream->encoder = CONFIG_ENCODER_OPENH264;
	if (stream->encoder != CONFIG_ENCODER_OPENH264)
		config_file_mistake(file, later_line(s, "temporal_layers", "encoder"),
				    "temporal_layers = %u needs codec = h264 and encoder = "
				    "openh264 or auto",
				    stream->temporal_layers);
}

static const char *codec_title(enum config_codec codec)
{
	return codec == CONFIG_CODEC_H264 ? "H.264" : "MJPEG";
}

/* `copy` needs a source that delivers coded pictures, and it delivers one codec. */
static void check_copy(struct config_file *file, const struct config *config, size_t index)
{
	const struct section_list *streams = &file->sections[OPTION_STREAM];
	const struct section *s = &streams->items[index];
	const struct config_stream *stream = &config->streams[index];
	const struct config_camera *camera = &config->cameras[stream->camera];
	const struct section *cs = &file->sections[OPTION_CAMERA].items[stream->camera];
	enum config_source_kind kind;
	char shown[CONFIG_SOURCE_SHOWN_MAX];
	bool coded;

	if (stream->encoder != CONFIG_ENCODER_COPY || section_is_bad(s, "codec") ||
	    section_is_bad(cs, "source"))
		return;
	kind = config_source_kind(camera->source, NULL);
	coded = kind == CONFIG_SOURCE_FILE || config_source_is_live(camera->source);
	config_source_show(camera->source, shown);
	if (!coded && !(kind == CONFIG_SOURCE_LIBCAMERA && stream->codec == CONFIG_CODEC_MJPEG))
		config_file_mistake(file, section_line(s, "encoder"),
				    "encoder = copy with codec = %s needs a camera with source = "
				    "%s, but camera \"%s\" has source = %s",
				    config_codec_name(stream->codec),
				    stream->codec == CONFIG_CODEC_MJPEG
					    ? "file:PATH, url:URL, exec:PROGRAM, pipe:PATH or "
					      "libcamera[:ID]"
					    : "file:PATH, url:URL, exec:PROGRAM or pipe:PATH",
				    camera->name, shown);
	for (size_t i = 0; i < index; i++) {
		const struct config_stream *other = &config->streams[i];
		const struct section *os = &streams->items[i];

		if (other->camera != stream->camera || section_is_bad(os, "camera") ||
		    !section_find(os, "camera") || section_is_bad(os, "codec") ||
		    other->encoder != CONFIG_ENCODER_COPY || other->codec == stream->codec)
			continue;
		config_file_mistake(
			file, later_line(s, "codec", "encoder"),
			"stream \"%s\" cannot copy %s: stream \"%s\" copies %s from "
			"camera \"%s\", which delivers only one of the two. Use encoder "
			"= auto, and camcast decodes and encodes the pictures for this "
			"stream",
			stream->name, codec_title(stream->codec), other->name,
			codec_title(other->codec), camera->name);
		return;
	}
}

static void check_cameras(struct config_file *file, const struct config *config)
{
	for (size_t i = 0; i < config->n_cameras; i++) {
		const struct section *s = &file->sections[OPTION_CAMERA].items[i];
		const struct config_camera *camera = &config->cameras[i];

		if (camera->url_options[0] && !section_is_bad(s, "source") &&
		    config_source_kind(camera->source, NULL) != CONFIG_SOURCE_URL)
			config_file_mistake(file, section_line(s, "url_options"),
					    "url_options needs source = url:URL in section [camera "
					    "%s]",
					    s->name);
	}
}

/* Whether two groups share a port: of RTP, or of RTCP. */
static bool groups_clash(const char *a, const char *b)
{
	struct net_peer of_a, of_b;

	return net_group_parse(&of_a, a) == 0 && net_group_parse(&of_b, b) == 0 &&
	       memcmp(of_a.address, of_b.address, sizeof of_a.address) == 0 &&
	       of_a.port == of_b.port;
}

/* Players must be able to ask for a group that is not sent all the time. */
static void check_asking(struct config_file *file, const struct config *config,
			 const struct section *s)
{
	const struct section_list *daemons = &file->sections[OPTION_DAEMON];
	const struct section *daemon = daemons->n > 0 ? daemons->items : NULL;

	if (daemon && (section_is_bad(daemon, "rtsp") || section_is_bad(daemon, "tls")))
		return;
	if (config->daemon.n_rtsp == 0)
		config_file_mistake(file, section_line(s, "multicast"),
				    "multicast needs rtsp in section [daemon], over which players "
				    "ask for it, or multicast_always = yes, or sap = yes");
	else if (config->daemon.tls == CONFIG_TLS_YES)
		config_file_mistake(file, section_line(s, "multicast"),
				    "multicast is not for players that come through TLS; use tls = "
				    "auto or no in section [daemon], or multicast_always = yes, or "
				    "sap = yes");
}

/* A link-local group of IPv6 is one of an interface (RFC 4007 clause 6). */
static void check_scope(struct config_file *file, const struct config *config,
			const struct section *s, const char *text)
{
	const struct section_list *daemons = &file->sections[OPTION_DAEMON];
	struct net_peer group;

	if (net_group_parse(&group, text) < 0 || net_peer_is_ipv4(&group) ||
	    (group.address[1] & 0x0f) != 2 || config->daemon.multicast_interface[0] ||
	    (daemons->n > 0 && section_is_bad(daemons->items, "multicast_interface")))
		return;
	config_file_mistake(file, section_line(s, "multicast"),
			    "multicast = %s is a group of one link, and needs multicast_interface "
			    "in section [daemon]",
			    text);
}

/* A group of a transport stream: of what can be in one, and for clients of SAT>IP. */
static void check_transport_stream(struct config_file *file, const struct config *config,
				   const struct section *s, const struct config_stream *stream)
{
	size_t line = section_line(s, "multicast_ts");

	if (!stream->multicast[0])
		config_file_mistake(file, line,
				    "multicast_ts = yes needs multicast = GROUP:PORT in section "
				    "[stream %s]",
				    s->name);
	else if (stream->codec != CONFIG_CODEC_H264 && !section_is_bad(s, "codec"))
		config_file_mistake(file, line,
				    "multicast_ts = yes needs codec = h264; a transport stream "
				    "carries no JPEGs");
	else if (!config->daemon.satip && !stream->multicast_always && !stream->sap)
		config_file_mistake(file, line,
				    "multicast_ts = yes needs satip = yes in section [daemon], by "
				    "which players ask for it, or multicast_always = yes, or sap = "
				    "yes");
}

static void check_multicast(struct config_file *file, const struct config *config, size_t index)
{
	const struct section_list *streams = &file->sections[OPTION_STREAM];
	const struct section *s = &streams->items[index];
	const struct config_stream *stream = &config->streams[index];

	if (section_is_bad(s, "multicast"))
		return;
	if (!stream->multicast[0] && stream->multicast_always)
		config_file_mistake(file, section_line(s, "multicast_always"),
				    "multicast_always = yes needs multicast = GROUP:PORT in "
				    "section [stream %s]",
				    s->name);
	if (!stream->multicast[0] && stream->sap)
		config_file_mistake(file, section_line(s, "sap"),
				    "sap = yes needs multicast = GROUP:PORT in section [stream %s]",
				    s->name);
	if (stream->multicast_ts)
		check_transport_stream(file, config, s, stream);
	if (stream->multicast[0] && !stream->multicast_always && !stream->sap)
		check_asking(file, config, s);
	check_scope(file, config, s, stream->multicast);
	for (size_t i = 0; i < index; i++)
		if (groups_clash(stream->multicast, config->streams[i].multicast))
			config_file_mistake(file, section_line(s, "multicast"),
					    "multicast = %s is already used by stream \"%s\"; "
					    "another port is enough",
					    stream->multicast, config->streams[i].name);
}

static void check_streams(struct config_file *file, struct config *config)
{
	bool used[CONFIG_CAMERAS_MAX] = {false}, all_known = !file->bad_section;

	for (size_t i = 0; i < config->n_streams; i++) {
		const struct section *s = &file->sections[OPTION_STREAM].items[i];
		struct config_stream *stream = &config->streams[i];

		check_codec(file, s, stream);
		check_multicast(file, config, i);
		if (section_find(s, "camera") && !section_is_bad(s, "camera")) {
			used[stream->camera] = true;
			check_copy(file, config, i);
		} else {
			all_known = false;
		}
		if (config->daemon.n_http == 0 && config->daemon.n_rtsp == 0 &&
		    !section_find(s, "annexb") && !section_find(s, "length_prefixed") &&
		    !stream->push[0] && !section_is_bad(s, "push") && !stream->multicast[0] &&
		    !section_is_bad(s, "multicast"))
			config_file_mistake(
				file, s->line,
				"stream \"%s\" has no address; add annexb = ADDRESS:PORT "
				"or length_prefixed = ADDRESS:PORT",
				s->name);
		check_less(file, s, "join_burst_ms", stream->join_burst_ms, "shed_lag_ms",
			   stream->shed_lag_ms);
		check_less(file, s, "shed_lag_ms", stream->shed_lag_ms, "max_lag_ms",
			   stream->max_lag_ms);
		check_less(file, s, "max_lag_ms", stream->max_lag_ms, "history_ms",
			   stream->history_ms);
	}
	for (size_t i = 0; all_known && i < config->n_cameras; i++)
		if (!used[i])
			config_file_mistake(file, config->cameras[i].line,
					    "camera \"%s\" has no stream; add [stream NAME] with "
					    "camera = %s, or remove it",
					    config->cameras[i].name, config->cameras[i].name);
}

/* --- discovery --- */

bool config_mqtt_spawns(const struct config_mqtt *mqtt)
{
	return strcmp(mqtt->broker, "spawn") == 0;
}

bool config_mqtt_takes_commands(const struct config_mqtt *mqtt)
{
	return mqtt->commands == CONFIG_COMMANDS_YES ||
	       (mqtt->commands == CONFIG_COMMANDS_AUTO && mqtt->home_assistant);
}

/* Whether a password would leave this machine unencrypted. */
static bool exposes_password(const struct config_mqtt *mqtt)
{
	return mqtt->username[0] != '\0' &&
	       (mqtt->password[0] != '\0' || mqtt->password_file[0] != '\0') && !mqtt->tls &&
	       !mqtt->insecure && !config_mqtt_spawns(mqtt) && !net_host_is_loopback(mqtt->broker);
}

/* `key` is of use only where `other` is given as well. */
static void check_needs(struct config_file *file, const struct section *s, const char *key,
			const char *value, const char *other, bool has_other)
{
	if (value[0] != '\0' && !has_other && !section_is_bad(s, other))
		config_file_mistake(file, section_line(s, key), "%s needs %s in section [mqtt]",
				    key, other);
}

static void check_mqtt(struct config_file *file, const struct config *config)
{
	const struct section *s = file->sections[OPTION_MQTT].items;
	const struct config_mqtt *mqtt = &config->mqtt;
	bool spawns;

	if (file->sections[OPTION_MQTT].n == 0 || section_is_bad(s, "broker"))
		return;
	spawns = config_mqtt_spawns(mqtt);
	check_needs(file, s, "cafile", mqtt->cafile, "tls = yes", mqtt->tls);
	check_needs(file, s, "cert", mqtt->cert, "tls = yes", mqtt->tls);
	check_needs(file, s, "cert", mqtt->cert, "key", mqtt->key[0]);
	check_needs(file, s, "key", mqtt->key, "cert", mqtt->cert[0]);
	check_needs(file, s, "password", mqtt->password, "username", mqtt->username[0]);
	check_needs(file, s, "password_file", mqtt->password_file, "username", mqtt->username[0]);
	check_needs(file, s, "spawn_password_file", mqtt->spawn_password_file, "broker = spawn",
		    spawns);
	check_needs(file, s, "spawn_password_file", mqtt->spawn_password_file, "username",
		    mqtt->username[0]);
	if (mqtt->password[0] && mqtt->password_file[0])
		config_file_mistake(file, later_line(s, "password", "password_file"),
				    "give either password or password_file, not both");
	if (exposes_password(mqtt))
		config_file_mistake(file, later_line(s, "broker", "username"),
				    "the password would go to %s unencrypted; add tls = yes, or "
				    "insecure = yes if nobody can listen on the way",
				    mqtt->broker);
	if (spawns && mqtt->tls)
		config_file_mistake(file, later_line(s, "broker", "tls"),
				    "tls = yes does not work with broker = spawn");
	if (spawns && mqtt->spawn_address[0] == '\0')
		config_file_mistake(
			file, section_line(s, "spawn_address"),
			"spawn_address is empty; use 127.0.0.1 for clients on this machine, or "
			"0.0.0.0 for the network");
	if (mqtt->home_assistant && mqtt->home_assistant_prefix[0] == '\0')
		config_file_mistake(file, section_line(s, "home_assistant_prefix"),
				    "home_assistant = yes needs a home_assistant_prefix");
}

/* --- ONVIF --- */

static void check_onvif(struct config_file *file, const struct config *config)
{
	const struct section_list *onvifs = &file->sections[OPTION_ONVIF];
	const struct section_list *daemons = &file->sections[OPTION_DAEMON];
	bool bad = daemons->n > 0 && (section_is_bad(daemons->items, "http") ||
				      section_is_bad(daemons->items, "rtsp"));

	if (onvifs->n > 0 && !bad && (config->daemon.n_http == 0 || config->daemon.n_rtsp == 0))
		config_file_mistake(file, onvifs->items->line,
				    "section [onvif] needs http and rtsp in section [daemon]");
}

/* --- TLS --- */

static void check_tls_key(struct config_file *file, const struct section *s,
			  enum config_tls_mode tls, bool has_certificate)
{
	if (tls != CONFIG_TLS_NO && !has_certificate && !section_is_bad(s, "tls"))
		config_file_mistake(file, section_line(s, "tls"),
				    "tls = %s needs a section [tls] with certificate = FILE; "
				    "camcastd --make-certificate makes one",
				    tls == CONFIG_TLS_YES ? "yes" : "auto");
}

static void check_tls(struct config_file *file, const struct config *config)
{
	const struct section_list *daemons = &file->sections[OPTION_DAEMON];
	const struct section_list *streams = &file->sections[OPTION_STREAM];
	const struct section_list *tlses = &file->sections[OPTION_TLS];

	if (config->tls.key && config->tls.key[0] && !config->tls.on)
		config_file_mistake(file, section_line(tlses->items, "key"),
				    "key needs certificate in section [tls]");
	if (config->tls.client_ca && config->tls.client_ca[0] && !config->tls.on)
		config_file_mistake(file, section_line(tlses->items, "client_ca"),
				    "client_ca needs certificate in section [tls]");
	if (daemons->n > 0)
		check_tls_key(file, daemons->items, config->daemon.tls, config->tls.on);
	for (size_t i = 0; i < config->n_streams; i++)
		check_tls_key(file, &streams->items[i], config->streams[i].tls, config->tls.on);
}

/* --- users --- */

static bool has_stream(const struct config *config, const char *name, size_t len)
{
	for (size_t i = 0; i < config->n_streams; i++)
		if (strlen(config->streams[i].name) == len &&
		    memcmp(config->streams[i].name, name, len) == 0)
			return true;
	return false;
}

static const char *hint_stream(const struct config *config, const char *name, size_t len,
			       char hint[NEAREST_HINT_MAX])
{
	char wanted[CONFIG_STREAM_NAME_MAX];
	struct nearest nearest;

	hint[0] = '\0';
	if (len >= sizeof wanted)
		return hint;
	memcpy(wanted, name, len);
	wanted[len] = '\0';
	nearest_init(&nearest, wanted);
	for (size_t i = 0; i < config->n_streams; i++)
		nearest_try(&nearest, config->streams[i].name);
	return nearest_hint(&nearest, hint);
}

static void check_user(struct config_file *file, const struct config *config,
		       const struct section *s, const struct config_user *user)
{
	const char *list = user->streams, *name;
	char hint[NEAREST_HINT_MAX];
	size_t len;

	if (!user->password[0] && !user->password_file[0] && !user->token_file[0] &&
	    !config_has_certificates(config) && !section_is_bad(s, "password"))
		config_file_mistake(file, user->line,
				    "user \"%s\" has no password, password_file or token_file, and "
				    "[tls] has no client_ca; \"camcast passwd\" makes a password",
				    user->name);
	if (user->password[0] && user->password_file[0])
		config_file_mistake(file, later_line(s, "password", "password_file"),
				    "give either password or password_file, not both");
	while ((name = config_next_word(&list, &len)))
		if (!has_stream(config, name, len) && !file->bad_section)
			config_file_mistake(file, section_line(s, "streams"),
					    "there is no section [stream %.*s]%s", (int)len, name,
					    hint_stream(config, name, len, hint));
}

static void check_users(struct config_file *file, const struct config *config)
{
	for (size_t i = 0; i < config->n_users; i++)
		check_user(file, config, &file->sections[OPTION_USER].items[i], &config->users[i]);
}

/* --- listeners --- */

struct listener {
	const struct net_address *address;
	const char *key;
	int line;
};

/* Whether the kernel would refuse to listen on both. Names are not resolved. */
static bool addresses_clash(const struct net_address *a, const struct net_address *b)
{
	if (a->port != b->port || a->port == 0)
		return false;
	if (a->host[0] == '\0' || b->host[0] == '\0' || strcasecmp(a->host, b->host) == 0)
		return true;
	if (strcmp(a->host, "0.0.0.0") == 0)
		return net_host_family(b->host) == AF_INET;
	if (strcmp(b->host, "0.0.0.0") == 0)
		return net_host_family(a->host) == AF_INET;
	if (strcmp(a->host, "::") == 0)
		return net_host_family(b->host) == AF_INET6;
	if (strcmp(b->host, "::") == 0)
		return net_host_family(a->host) == AF_INET6;
	return false;
}

static void check_listener(struct config_file *file, struct listener *seen, size_t *n,
			   const struct listener *listener)
{
	for (size_t i = 0; i < *n; i++) {
		if (!addresses_clash(seen[i].address, listener->address))
			continue;
		config_file_mistake(
			file, listener->line, "port %u of %s is already used by %s in line %d",
			listener->address->port, listener->key, seen[i].key, seen[i].line);
		return;
	}
	seen[(*n)++] = *listener;
}

static void check_listeners(struct config_file *file, const struct config *config)
{
	const struct section_list *daemons = &file->sections[OPTION_DAEMON];
	const struct section_list *streams = &file->sections[OPTION_STREAM];
	const struct {
		const char *key;
		const struct net_address *addresses;
		size_t n;
	} servers[] = {{"http", config->daemon.http, config->daemon.n_http},
		       {"rtsp", config->daemon.rtsp, config->daemon.n_rtsp}};
	struct listener *seen = calloc((2 + config->n_feeds) * CONFIG_LISTENERS_MAX, sizeof *seen);
	size_t n = 0;

	if (!seen) {
		file->no_memory = true;
		return;
	}
	for (size_t i = 0; i < sizeof servers / sizeof *servers; i++) {
		for (size_t j = 0; j < servers[i].n; j++) {
			struct listener listener = {
				.address = &servers[i].addresses[j],
				.key = servers[i].key,
				.line = section_line(daemons->items, servers[i].key),
			};

			if (!section_is_bad(daemons->items, servers[i].key))
				check_listener(file, seen, &n, &listener);
		}
	}
	for (size_t i = 0; i < config->n_feeds; i++) {
		const struct config_feed *feed = &config->feeds[i];
		const struct section *s = &streams->items[feed->stream];

		for (size_t j = 0; j < feed->n_listen; j++) {
			struct listener listener = {
				.address = &feed->listen[j],
				.key = config_framing_name(feed->framing),
			};

			listener.line = section_line(s, listener.key);
			check_listener(file, seen, &n, &listener);
		}
	}
	free(seen);
}

void config_check(struct config_file *file, struct config *config)
{
	if (config->n_cameras == 0 && !file->bad_section)
		config_file_mistake(file, file->line > 0 ? file->line : 1,
				    "there is no camera; add a section [camera NAME]");
	check_onvif(file, config);
	check_tls(file, config);
	check_mqtt(file, config);
	check_users(file, config);
	check_cameras(file, config);
	check_streams(file, config);
	check_listeners(file, config);
}
