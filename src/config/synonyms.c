/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Words that other programs use, and what they are called here. They are not accepted, for a
 * configuration should look the same everywhere; they only make a message better.
 */
#include <stddef.h>
#include <string.h>
#include <strings.h>

#include "config/options.h"

#define DAEMON (1u << OPTION_DAEMON)
#define MQTT (1u << OPTION_MQTT)
#define CAMERA (1u << OPTION_CAMERA)
#define STREAM (1u << OPTION_STREAM)
#define ANY (DAEMON | MQTT | CAMERA | STREAM)
#define FEEDS "\"annexb = ADDRESS:PORT\" or \"length_prefixed = ADDRESS:PORT\""

#define NETWORK_CAMERA "\"source = url:rtsp://USER:PASSWORD@HOST/PATH\""

struct key_synonym {
	const char *word;
	unsigned sections; /* where it is looked for */
	enum option_section section;
	const char *meant; /* a key of that section, quoted, or something else */
};

static const struct key_synonym key_synonyms[] = {
	{"fps", ANY, OPTION_CAMERA, "\"framerate\""},
	{"frame_rate", ANY, OPTION_CAMERA, "\"framerate\""},
	{"rate", ANY, OPTION_CAMERA, "\"framerate\""},
	{"width", ANY, OPTION_CAMERA, "\"size = WIDTHxHEIGHT\""},
	{"height", ANY, OPTION_CAMERA, "\"size = WIDTHxHEIGHT\""},
	{"resolution", ANY, OPTION_CAMERA, "\"size = WIDTHxHEIGHT\""},
	{"video_size", ANY, OPTION_CAMERA, "\"size = WIDTHxHEIGHT\""},
	{"device", ANY, OPTION_CAMERA, "\"source\""},
	{"input", ANY, OPTION_CAMERA, "\"source\""},
	{"url", CAMERA | STREAM, OPTION_CAMERA, "\"source\""},
	{"file", ANY, OPTION_CAMERA, "\"source = file:PATH\""},
	{"path", ANY, OPTION_CAMERA, "\"source = file:PATH\""},
	{"rotate", ANY, OPTION_CAMERA, "\"rotation\""},
	{"gop", ANY, OPTION_STREAM, "\"keyframe_interval\""},
	{"gop_size", ANY, OPTION_STREAM, "\"keyframe_interval\""},
	{"keyint", ANY, OPTION_STREAM, "\"keyframe_interval\""},
	{"idr_period", ANY, OPTION_STREAM, "\"keyframe_interval\""},
	{"intra", ANY, OPTION_STREAM, "\"keyframe_interval\""},
	{"format", ANY, OPTION_STREAM, "\"codec\""},
	{"port", CAMERA | STREAM, OPTION_STREAM, FEEDS},
	{"listen", CAMERA | STREAM, OPTION_STREAM, FEEDS},
	{"bind", CAMERA | STREAM, OPTION_STREAM, FEEDS},
	{"address", CAMERA | STREAM, OPTION_STREAM, FEEDS},
	{"output", CAMERA | STREAM, OPTION_STREAM, FEEDS},
	{"tcp", ANY, OPTION_STREAM, FEEDS},
	{"port", DAEMON, OPTION_DAEMON, "\"http = ADDRESS:PORT\""},
	{"listen", DAEMON, OPTION_DAEMON, "\"http = ADDRESS:PORT\""},
	{"bind", DAEMON, OPTION_DAEMON, "\"http = ADDRESS:PORT\""},
	{"address", DAEMON, OPTION_DAEMON, "\"http = ADDRESS:PORT\""},
	{"status", DAEMON, OPTION_DAEMON, "\"http = ADDRESS:PORT\""},
	{"username", CAMERA, OPTION_CAMERA, NETWORK_CAMERA},
	{"user", CAMERA, OPTION_CAMERA, NETWORK_CAMERA},
	{"password", CAMERA, OPTION_CAMERA, NETWORK_CAMERA},
	{"https", DAEMON | STREAM, OPTION_DAEMON, "\"tls = yes\""},
	{"ssl", DAEMON | STREAM, OPTION_DAEMON, "\"tls = yes\""},
	{"cert", DAEMON | STREAM, OPTION_TLS, "\"certificate\""},
	{"rtmp", ANY, OPTION_STREAM, "\"push = rtmp://HOST/APP/KEY\""},
	{"hls", ANY, OPTION_DAEMON, "\"http\" (it serves HLS, too)"},
	{"onvif", DAEMON | CAMERA | STREAM, OPTION_DAEMON, "a section [onvif]"},
	{"record", ANY, OPTION_DAEMON, "the program \"camcast record\""},
	{"recording", ANY, OPTION_DAEMON, "the program \"camcast record\""},
	{"host", MQTT, OPTION_MQTT, "\"broker\""},
	{"server", MQTT, OPTION_MQTT, "\"broker\""},
	{"address", MQTT, OPTION_MQTT, "\"broker\""},
	{"url", MQTT, OPTION_MQTT, "\"broker\""},
	{"user", MQTT, OPTION_MQTT, "\"username\""},
	{"topic", MQTT, OPTION_MQTT, "\"request_topic\""},
};

struct value_synonym {
	const char *key, *word;
	const char *meant;
	const char *note; /* a sentence in front, or NULL */
};

static const struct value_synonym value_synonyms[] = {
	{"codec", "h265", "h264", "H.265 is not supported"},
	{"codec", "hevc", "h264", "H.265 is not supported"},
	{"codec", "av1", "h264", "AV1 is not supported"},
	{"codec", "vp8", "h264", "VP8 is not supported"},
	{"codec", "vp9", "h264", "VP9 is not supported"},
	{"codec", "h.264", "h264", NULL},
	{"codec", "avc", "h264", NULL},
	{"codec", "x264", "h264", NULL},
	{"codec", "jpeg", "mjpeg", NULL},
	{"codec", "jpg", "mjpeg", NULL},
	{"codec", "mjpg", "mjpeg", NULL},
	{"encoder", "nvenc", "auto", "NVENC is not supported"},
	{"encoder", "h264_nvenc", "auto", "NVENC is not supported"},
	{"encoder", "vaapi", "auto", "VAAPI is not supported"},
	{"encoder", "h264_vaapi", "auto", "VAAPI is not supported"},
	{"encoder", "qsv", "auto", "Quick Sync is not supported"},
	{"encoder", "omx", "v4l2m2m", "OpenMAX is not supported"},
	{"encoder", "h264_omx", "v4l2m2m", "OpenMAX is not supported"},
	{"encoder", "v4l2", "v4l2m2m", NULL},
	{"encoder", "h264_v4l2m2m", "v4l2m2m", NULL},
	{"encoder", "hardware", "v4l2m2m", NULL},
	{"encoder", "libx264", "x264", NULL},
	{"encoder", "software", "x264", NULL},
	{"encoder", "h264", "auto", NULL},
	{"encoder", "libopenh264", "openh264", NULL},
	{"encoder", "jpeg", "mjpeg", NULL},
	{"encoder", "none", "copy", NULL},
	{"encoder", "passthrough", "copy", NULL},
	{"source", "usb", "libcamera", NULL},
	{"source", "webcam", "libcamera", NULL},
	{"source", "v4l2", "libcamera", NULL},
	{"source", "test", "pattern", NULL},
	{"backend", "uring", "io_uring", NULL},
	{"profile", "constrained_baseline", "baseline", NULL},
	{"level", "3", "3.0", NULL},
	{"level", "4", "4.0", NULL},
	{"level", "5", "5.0", NULL},
};

const char *synonym_of_key(enum option_section section, const char *key,
			   enum option_section *belongs)
{
	for (size_t i = 0; i < sizeof key_synonyms / sizeof key_synonyms[0]; i++) {
		const struct key_synonym *s = &key_synonyms[i];

		if (!(s->sections & 1u << section) || !option_is_key(s->word, key))
			continue;
		*belongs = s->section;
		return s->meant;
	}
	return NULL;
}

const char *synonym_of_value(const char *key, const char *value, const char **note)
{
	for (size_t i = 0; i < sizeof value_synonyms / sizeof value_synonyms[0]; i++) {
		const struct value_synonym *s = &value_synonyms[i];

		if (strcmp(s->key, key) != 0 || strcasecmp(s->word, value) != 0)
			continue;
		*note = s->note;
		return s->meant;
	}
	return NULL;
}
