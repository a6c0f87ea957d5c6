/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/text.h"
#include "config/config.h"

/* A camera and a stream that are right, in lines 1 to 5; what follows belongs to the stream. */
#define GOOD "[camera front]\nsource = pattern\n[stream main]\ncamera = front\nannexb = 8888\n"

static char messages[65536];

/* Parses text; the mistakes are in `messages` afterwards. NULL: refused. */
static struct config *parse_bytes(const char *text, size_t len)
{
	struct config *config = NULL;
	FILE *errors = fmemopen(messages, sizeof messages, "w");
	int r;

	assert_non_null(errors);
	messages[0] = '\0';
	r = config_parse(&config, "c.ini", text, len, errors);
	fclose(errors);
	if (r < 0) {
		assert_int_equal(r, -EINVAL);
		assert_true(messages[0] != '\0');
		assert_null(config);
	} else {
		assert_string_equal(messages, "");
	}
	return config;
}

static struct config *parse(const char *text)
{
	return parse_bytes(text, strlen(text));
}

static struct config *parse_good(const char *text)
{
	struct config *config = parse(text);

	if (!config)
		fail_msg("refused: %s", messages);
	return config;
}

struct mistake_case {
	const char *text, *message; /* all of the output */
};

static void check_mistakes(const struct mistake_case *cases, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct config *config = parse(cases[i].text);

		if (config)
			fail_msg("accepted: %s", cases[i].text);
		assert_string_equal(messages, cases[i].message);
	}
}
#define CHECK_MISTAKES(cases) check_mistakes(cases, sizeof(cases) / sizeof *(cases))

/* A key with values that are refused, with one message for line 2, and values that are taken. */
struct value_case {
	const char *key;
	const char *bad[12];
	const char *good[12];
};

static void check_values(const struct value_case *cases, size_t n, const char *format)
{
	char text[512];

	for (size_t i = 0; i < n; i++) {
		const struct value_case *c = &cases[i];

		for (size_t j = 0; c->bad[j]; j++) {
			char start[256];
			struct config *config;

			snprintf(text, sizeof text, format, c->key, c->bad[j]);
			config = parse(text);
			if (config)
				fail_msg("%s = %s was accepted", c->key, c->bad[j]);
			snprintf(start, sizeof start,
				 "c.ini:2: %s = %s: not allowed; allowed: ", c->key, c->bad[j]);
			assert_memory_equal(messages, start, strlen(start));
			/* nothing but this one */
			assert_ptr_equal(strchr(messages, '\n') + 1, strchr(messages, '\0'));
		}
		for (size_t j = 0; c->good[j]; j++) {
			struct config *config;

			snprintf(text, sizeof text, format, c->key, c->good[j]);
			config = parse(text);
			if (!config)
				fail_msg("%s", messages);
			config_destroy(config);
		}
	}
}
#define CHECK_VALUES(cases, format) check_values(cases, sizeof(cases) / sizeof *(cases), format)

/* --- what is right --- */

static void defaults_are_those_of_the_manual(void **state)
{
	struct config *config = parse_good(GOOD);
	const struct config_daemon *d = &config->daemon;
	const struct config_camera *c = config->cameras;
	const struct config_stream *s = config->streams;
	char host[256];

	(void)state;
	assert_int_equal(gethostname(host, sizeof host), 0);
	assert_string_equal(d->name, host);
	assert_int_equal(d->backend, CONFIG_BACKEND_AUTO);
	assert_false(d->http_on);
	assert_int_equal(d->max_clients, 0);
	assert_int_equal(d->max_clients_per_ip, 0);
	assert_int_equal(d->send_buffer, 131072);
	assert_int_equal(d->notsent_lowat, 16384);
	assert_int_equal(d->send_threshold, 4096);
	assert_string_equal(d->capture, "");

	assert_int_equal(config->n_cameras, 1);
	assert_string_equal(c->name, "front");
	assert_int_equal(c->line, 1);
	assert_string_equal(c->source, "pattern");
	assert_int_equal(c->size.width, 1280);
	assert_int_equal(c->size.height, 720);
	assert_int_equal(c->framerate.num, 30);
	assert_int_equal(c->framerate.den, 1);
	assert_int_equal(c->buffers, 6);
	assert_string_equal(c->allocator, "auto");
	assert_false(c->hflip || c->vflip);
	assert_int_equal(c->rotation, 0);
	assert_string_equal(c->tuning_file, "");
	assert_int_equal(c->n_controls, 0);

	assert_int_equal(config->n_streams, 1);
	assert_string_equal(s->name, "main");
	assert_int_equal(s->line, 3);
	assert_int_equal(s->camera, 0);
	assert_int_equal(s->codec, CONFIG_CODEC_H264);
	assert_int_equal(s->encoder, CONFIG_ENCODER_AUTO);
	assert_int_equal(s->bitrate, 2000000);
	assert_int_equal(s->keyframe_interval, 30);
	assert_int_equal(s->quality, 80);
	assert_int_equal(s->temporal_layers, 1);
	assert_int_equal(s->profile, CONFIG_PROFILE_HIGH);
	assert_string_equal(s->level, "auto");
	assert_false(s->sei || s->on_demand);
	assert_int_equal(s->linger_ms, 5000);
	assert_string_equal(s->v4l2_device, "");
	assert_string_equal(s->v4l2_format, "H264");
	assert_int_equal(s->max_clients, 0);
	assert_int_equal(s->join_burst_ms, 500);
	assert_int_equal(s->shed_lag_ms, 800);
	assert_int_equal(s->max_lag_ms, 2000);
	assert_int_equal(s->stall_timeout_ms, 10000);
	assert_int_equal(s->history_ms, 8000);
	assert_int_equal(s->history_max, 0);
	assert_int_equal(s->segment_size, 1 << 20);

	assert_int_equal(config->n_feeds, 1);
	assert_int_equal(config->feeds[0].stream, 0);
	assert_int_equal(config->feeds[0].framing, CONFIG_FRAMING_ANNEXB);
	assert_int_equal(config->feeds[0].n_listen, 1);
	assert_string_equal(config->feeds[0].listen[0].host, "");
	assert_int_equal(config->feeds[0].listen[0].port, 8888);
	config_destroy(config);
}

static void every_kind_of_value_arrives(void **state)
{
	struct config *config = parse_good(
		"[daemon]\nname = a %% b\nbackend = io_uring\nhttp = [::1]:0\n"
		"[stream s]\ncamera=c\nencoder = openh264\nprofile = baseline\nlevel = 4.1\n"
		"sei = on\non_demand = 1\nannexb = 1.2.3.4:5\nhistory_max = 4294967295\n"
		"[camera c]\nsource = file:a b/c;d.avi\nsize = 640x480\nframerate = 30000/1001\n"
		"allocator = dma-heap:linux,cma\nhflip = true\nrotation = 180\n");

	(void)state;
	assert_string_equal(config->daemon.name, "a % b");
	assert_int_equal(config->daemon.backend, CONFIG_BACKEND_URING);
	assert_true(config->daemon.http_on);
	assert_string_equal(config->daemon.http.host, "::1");
	assert_int_equal(config->daemon.http.port, 0);
	assert_int_equal(config->streams[0].encoder, CONFIG_ENCODER_OPENH264);
	assert_int_equal(config->streams[0].profile, CONFIG_PROFILE_BASELINE);
	assert_string_equal(config->streams[0].level, "4.1");
	assert_true(config->streams[0].sei);
	assert_true(config->streams[0].on_demand);
	assert_int_equal(config->streams[0].history_max, UINT32_MAX);
	assert_string_equal(config->cameras[0].source, "file:a b/c;d.avi");
	assert_int_equal(config->cameras[0].size.width, 640);
	assert_int_equal(config->cameras[0].size.height, 480);
	assert_int_equal(config->cameras[0].framerate.num, 30000);
	assert_int_equal(config->cameras[0].framerate.den, 1001);
	assert_string_equal(config->cameras[0].allocator, "dma-heap:linux,cma");
	assert_true(config->cameras[0].hflip);
	assert_int_equal(config->cameras[0].rotation, 180);
	config_destroy(config);
}

static void a_decimal_rate_becomes_a_fraction_in_lowest_terms(void **state)
{
	static const struct {
		const char *text;
		uint32_t num, den;
	} cases[] = {{"29.97", 2997, 100}, {"12.5", 25, 2}, {"60/2", 30, 1}, {"0.1", 1, 10}};
	char text[256];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct config *config;

		snprintf(text, sizeof text,
			 GOOD "[camera b]\nframerate = %s\n"
			      "[stream b]\ncamera = b\nannexb = 1\n",
			 cases[i].text);
		config = parse_good(text);
		assert_int_equal(config->cameras[1].framerate.num, cases[i].num);
		assert_int_equal(config->cameras[1].framerate.den, cases[i].den);
		config_destroy(config);
	}
}

static void addresses_come_in_every_form(void **state)
{
	static const struct net_address want[] = {
		{"0.0.0.0", 1}, {"::", 1}, {"fe80::1%eth0", 2},	 {"cam.example-1.org", 3},
		{"", 4},	{"", 5},   {"localhost", 65535},
	};
	struct config *config = parse_good(
		"[camera c]\n[stream s]\ncamera = c\n"
		"annexb = 0.0.0.0:1, [::]:1,[fe80::1%eth0]:2 , cam.example-1.org:3, :4, 5, "
		"localhost:65535\n");

	(void)state;
	assert_int_equal(config->feeds[0].n_listen, sizeof want / sizeof *want);
	for (size_t i = 0; i < config->feeds[0].n_listen; i++) {
		assert_string_equal(config->feeds[0].listen[i].host, want[i].host);
		assert_int_equal(config->feeds[0].listen[i].port, want[i].port);
	}
	config_destroy(config);
}

static void feeds_are_in_the_order_of_streams_annexb_first(void **state)
{
	struct config *config = parse_good("[stream b]\ncamera=x\nlength_prefixed=1\nannexb=2\n"
					   "[stream a]\ncamera=y\ncodec=mjpeg\nlength_prefixed=3\n"
					   "[camera y]\n[camera x]\n");
	static const struct {
		unsigned stream;
		enum config_framing framing;
		unsigned port;
	} want[] = {{0, CONFIG_FRAMING_ANNEXB, 2},
		    {0, CONFIG_FRAMING_LENGTH_PREFIXED, 1},
		    {1, CONFIG_FRAMING_LENGTH_PREFIXED, 3}};

	(void)state;
	assert_int_equal(config->n_feeds, 3);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(config->feeds[i].stream, want[i].stream);
		assert_int_equal(config->feeds[i].framing, want[i].framing);
		assert_int_equal(config->feeds[i].listen[0].port, want[i].port);
	}
	assert_string_equal(config->streams[0].name, "b");
	assert_int_equal(config->streams[0].camera, 1);
	assert_int_equal(config->streams[1].camera, 0);
	config_destroy(config);
}

static void controls_are_kept_as_written_in_the_order_of_the_file(void **state)
{
	static const struct {
		const char *name, *value;
		int line;
		bool raw;
	} want[] = {{"roi", "0, 0 ,0.5,1", 2, false},
		    {"AeEnable", "false", 3, true},
		    {"brightness", "-0.50", 5, false},
		    {"brightness", "7", 6, true},
		    {"awb", "cloudy", 7, false}};
	struct config *config = parse_good(
		"[camera c]\nroi = 0, 0 ,0.5,1\ncontrol.AeEnable = false ; off\nhflip = yes\n"
		"brightness = -0.50\ncontrol.brightness = 7\nawb = cloudy\n"
		"[stream s]\ncamera = c\nannexb = 1\n");

	(void)state;
	assert_int_equal(config->cameras[0].n_controls, sizeof want / sizeof *want);
	for (size_t i = 0; i < config->cameras[0].n_controls; i++) {
		const struct config_control *control = &config->cameras[0].controls[i];

		assert_string_equal(control->name, want[i].name);
		assert_string_equal(control->value, want[i].value);
		assert_int_equal(control->line, want[i].line);
		assert_int_equal(control->raw, want[i].raw);
	}
	config_destroy(config);
}

static void editors_marks_endings_comments_and_indents_are_understood(void **state)
{
	struct config *config =
		parse_good("\xef\xbb\xbf; comment\r\n"
			   "  # a comment that is much longer than any line with a key may be, and "
			   "that is fine "
			   "because nobody cuts it: [camera nobody] "
			   "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
			   "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx = 1\n"
			   "\n[ camera \t c ] ; comment\r\n\tsource: pattern\r\n   \n"
			   "[stream s]# comment\n  camera = c\n\t annexb=1 ;2");

	(void)state;
	assert_string_equal(config->cameras[0].name, "c");
	assert_string_equal(config->cameras[0].source, "pattern");
	assert_int_equal(config->feeds[0].n_listen, 1);
	config_destroy(config);
}

static void a_value_goes_from_the_sign_to_a_comment(void **state)
{
	static const struct {
		const char *line, *value;
	} cases[] = {
		{"v4l2_device = a ;b", "a"},
		{"v4l2_device = a;b", "a;b"},
		{"v4l2_device = a; b\t; c ; d", "a; b"},
		{"v4l2_device =;a", ";a"},
		{"v4l2_device = ;a", ""},
		{"v4l2_device =", ""},
		{"v4l2_device = a # b", "a # b"},
		{"v4l2_device: a=b", "a=b"},
		{"v4l2_device=a:b=c", "a:b=c"},
		{"\tv4l2_device\t=\t a  b \t\r", "a  b"},
		{"v4l2_device = [a]", "[a]"},
	};
	char text[256];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct config *config;

		snprintf(text, sizeof text, GOOD "%s\n", cases[i].line);
		config = parse_good(text);
		assert_string_equal(config->streams[0].v4l2_device, cases[i].value);
		config_destroy(config);
	}
	assert_null(parse(GOOD "v4l2_device ;= a\n"));
	assert_string_equal(
		messages, "c.ini:6: \"v4l2_device ;= a\" is neither a [section] nor KEY = VALUE\n");
}

static void help_is_a_configuration_with_every_default(void **state)
{
	struct config *config, *defaults = parse_good(GOOD);
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	(void)state;
	assert_non_null(out);
	config_help(out);
	fclose(out);
	config = parse_good(text);
	assert_string_equal(config->daemon.name, defaults->daemon.name);
	assert_int_equal(config->daemon.send_buffer, defaults->daemon.send_buffer);
	assert_int_equal(config->cameras[0].size.width, defaults->cameras[0].size.width);
	assert_int_equal(config->cameras[0].n_controls, 0);
	assert_int_equal(config->streams[0].history_ms, defaults->streams[0].history_ms);
	assert_int_equal(config->n_feeds, 2);
	config_destroy(config);
	config_destroy(defaults);

	/* The examples behind a ';' are good values too. */
	for (char *c = text; (c = strstr(c, "\n;")) != NULL; c++)
		if (c[2] != ' ')
			c[1] = ' ';
	for (char *c = text; (c = strstr(c, " =\n")) != NULL; c++) {
		char *start = c; /* the empty default of a key whose example counts now */

		while (start[-1] != '\n')
			start--;
		*start = ';';
	}
	config = parse_good(text);
	assert_true(config->daemon.http_on);
	assert_int_equal(config->cameras[0].n_controls, 20);
	config_destroy(config);
	free(text);
}

/* --- what is wrong --- */

static void bad_values_are_refused_with_what_is_allowed(void **state)
{
	static const struct value_case daemon[] = {
		{"name",
		 {"", "%x", "a%",
		  "12345678901234567890123456789012345678901234567890123456789012345"},
		 {"%h", "a-%h", "ü"}},
		{"backend", {"", "uring", "Epoll"}, {"auto", "epoll", "io_uring"}},
		{"http",
		 {"x", "1.2.3.4", "1.2.3:80", "::1:80", "[::1]", "[1.2.3.4]:80", "a b:80",
		  "localhost:", "h:65536", "[::1%]:80", "[eth0%eth0]:80"},
		 {"", "80", ":80", "[::]:0", "a-b.c:1"}},
		{"max_clients",
		 {"-1", "x", "1000001", "1e3", "0x10", "99999999999999999999",
		  "10 "
		  "0"},
		 {"0", "1", "1000000"}},
		{"max_clients_per_ip", {"-1"}, {"0", "5"}},
		{"send_buffer", {"4095", "67108865"}, {"4096"}},
		{"notsent_lowat", {"1023"}, {"1024"}},
		{"send_threshold", {"-1"}, {"0", "1073741824"}},
	};
	static const struct value_case camera[] = {
		{"source",
		 {"", "file:", "libcamera:", "webcam", "pattern:x"},
		 {"auto", "libcamera", "libcamera:imx708", "pattern", "file:x"}},
		{"size",
		 {"", "1280", "1280x", "x720", "1280x721", "14x720", "1280x8194", "1280X720",
		  "1280x720x2"},
		 {"16x16", "8192x8192"}},
		{"framerate",
		 {"", "0", "241", "0/1", "30/0", "30/", "/30", "29.9701", "29.", "abc", "-30"},
		 {"240", "0.1", "24000/1001"}},
		{"buffers", {"2", "33"}, {"3", "32"}},
		{"allocator", {"dma-heap", "shm"}, {"udmabuf", "memfd", "dma-heap:system"}},
		{"hflip",
		 {"", "maybe", "2", "YES"},
		 {"yes", "no", "true", "false", "on", "off", "1", "0"}},
		{"vflip", {"ja"}, {"yes"}},
		{"rotation", {"90", "180.0"}, {"0", "180"}},
		{"brightness",
		 {"", "1.1", "-1.1", "nan", "0x1", "1e-3", "--1", "1 2"},
		 {"-1", "1", "+.5", "0.25"}},
		{"contrast", {"-1", "17"}, {"0", "16"}},
		{"saturation", {"-1", "17"}, {"0", "16"}},
		{"sharpness", {"-1", "17"}, {"0", "16"}},
		{"ev", {"-11", "11"}, {"-10", "10"}},
		{"shutter", {"-1", "1000000001"}, {"0", "20000"}},
		{"gain", {"-1", "257"}, {"0", "1.5"}},
		{"exposure", {"fast"}, {"normal", "short", "long", "custom"}},
		{"metering", {"average"}, {"centre", "spot", "matrix", "custom"}},
		{"flicker_period", {"-1", "auto"}, {"0", "8333"}},
		{"awb",
		 {"sunny"},
		 {"auto", "incandescent", "tungsten", "fluorescent", "indoor", "daylight", "cloudy",
		  "custom"}},
		{"awb_gains", {"", "1", "1,2,3", "1,33", "1,x", "1,", ",1"}, {"1,2", "0.5 , 32"}},
		{"denoise", {"on"}, {"auto", "off", "cdn_off", "cdn_fast", "cdn_hq"}},
		{"hdr", {"on"}, {"off", "auto", "sensor", "single-exp"}},
		{"af_mode", {"off"}, {"manual", "auto", "continuous"}},
		{"af_range", {"far"}, {"normal", "macro", "full"}},
		{"af_speed", {"slow"}, {"normal", "fast"}},
		{"lens_position", {"-1", "33"}, {"0.0", "10"}},
		{"roi",
		 {"0,0,1", "0,0,0,1", "0.6,0,0.5,1", "0,0.6,1,0.5", "-0.1,0,1,1", "0,0,1,2"},
		 {"0,0,1,1", "0.5,0.5,0.5,0.5"}},
	};
	static const struct value_case stream[] = {
		{"codec", {"", "h265"}, {"h264"}},
		{"encoder", {"nvenc"}, {"auto", "v4l2m2m", "openh264", "x264"}},
		{"bitrate", {"9999", "2M", "200000001"}, {"10000", "200000000"}},
		{"keyframe_interval", {"0", "10001"}, {"1", "10000"}},
		{"quality", {"0", "101"}, {"1", "100"}},
		{"temporal_layers", {"0", "4"}, {"1", "2", "3"}},
		{"profile", {"extended"}, {"baseline", "main", "high"}},
		{"level", {"4", "9.9"}, {"auto", "3.0", "4.0", "5.2"}},
		{"sei", {"x"}, {"yes"}},
		{"on_demand", {"x"}, {"yes"}},
		{"linger_ms", {"-1", "3600001"}, {"0"}},
		{"v4l2_format", {"", "H26", "H2644", "H.64"}, {"FWHT"}},
		{"length_prefixed",
		 {"", "1,", ",1", "1,,2", "1 2", "x", "1,2,3,4,5,6,7,8,9"},
		 {"0", "0,0", "1,2,3,4,5,6,7,8"}},
		{"max_clients", {"-1"}, {"0", "1"}},
		{"join_burst_ms", {"-1", "60001"}, {"0", "799"}},
		{"shed_lag_ms", {"0"}, {"501", "1999"}},
		{"max_lag_ms", {"0"}, {"801", "7999"}},
		{"stall_timeout_ms", {"99"}, {"100"}},
		{"history_ms", {"0", "600001"}, {"2001"}},
		{"history_max", {"-1", "4294967296"}, {"0", "4294967295"}},
		{"segment_size", {"65535", "67108865"}, {"65536", "67108864"}},
	};

	(void)state;
	CHECK_VALUES(daemon, "[daemon]\n%s = %s\n" GOOD);
	CHECK_VALUES(camera, "[camera c]\n%s = %s\n[stream s]\ncamera = c\nannexb = 99\n");
	CHECK_VALUES(stream, "[stream s]\n%s = %s\ncamera = c\nannexb = 99\n[camera c]\n");
}

static void unknown_names_are_reported_with_the_nearest(void **state)
{
	static const struct mistake_case cases[] = {
		{"[deamon]\n" GOOD,
		 "c.ini:1: unknown section [deamon]; sections are [daemon], [mqtt], [camera NAME], "
		 "[stream NAME]; did you mean \"daemon\"?\n"},
		{"[rtsp]\nport = 554\n" GOOD,
		 "c.ini:1: unknown section [rtsp]; sections are [daemon], [mqtt], [camera NAME], "
		 "[stream NAME]\n"},
		{"[daemon]\nbakend = auto\n" GOOD, "c.ini:2: unknown key \"bakend\" in section "
						   "[daemon]; allowed: name, backend, http, "
						   "max_clients, max_clients_per_ip, send_buffer, "
						   "notsent_lowat, send_threshold, capture; "
						   "did you mean \"backend\"?\n"},
		{"[daemon]\nbitrate = 1\n" GOOD,
		 "c.ini:2: key \"bitrate\" belongs into section [stream NAME], not [daemon]\n"},
		{GOOD "http = 80\n",
		 "c.ini:6: key \"http\" belongs into section [daemon], not [stream main]\n"},
		{GOOD "encoder = X264\n", "c.ini:6: encoder = X264: not allowed; allowed: auto, "
					  "v4l2m2m, openh264, x264, mjpeg, "
					  "copy; did you mean \"x264\"?\n"},
		{"[camera front]\n[camera back]\n[stream a]\nannexb = 1\ncamera = bakc\n",
		 "c.ini:5: no section [camera bakc]; cameras are: front, back; did you mean "
		 "\"back\"?\n"},
		{GOOD "bitrate = 5000000 # five\n", "c.ini:6: bitrate = 5000000 # five: not "
						    "allowed; allowed: 10000 to 200000000 bit/s; a "
						    "comment begins with ;\n"},
		{"[camera c]\nsource = libcam\n[stream s]\ncamera = c\nannexb = 1\n",
		 "c.ini:2: source = libcam: not allowed; allowed: auto, libcamera, libcamera:ID, "
		 "pattern, file:PATH; did you mean \"libcamera\" or \"libcamera:ID\"?\n"},
	};
	struct config *config;

	(void)state;
	CHECK_MISTAKES(cases);
	config = parse("[camera c]\nbrighness = 1\n[stream s]\ncamera = c\nannexb = 1\n");
	assert_null(config);
	assert_memory_equal(messages, "c.ini:2: unknown key \"brighness\" in section [camera c]; ",
			    56);
	assert_non_null(strstr(messages, ", control.NAME; did you mean \"brightness\"?\n"));
}

static void lines_that_are_none_are_reported(void **state)
{
	static const struct mistake_case cases[] = {
		{"http = 80\n" GOOD, "c.ini:1: key \"http\" stands before the first section\n"},
		{GOOD "hello\n", "c.ini:6: \"hello\" is neither a [section] nor KEY = VALUE\n"},
		{GOOD "a line of which only the first part is shown\n",
		 "c.ini:6: \"a line of which only the first p...\" is neither a [section] nor KEY "
		 "= "
		 "VALUE\n"},
		{GOOD "[stream x\n", "c.ini:6: a section is a name in brackets, alone in its line; "
				     "sections are [daemon], [mqtt], "
				     "[camera NAME], [stream NAME]\n"},
		{GOOD "[stream x] camera = y\n", "c.ini:6: a section is a name in brackets, alone "
						 "in its line; sections are [daemon], [mqtt], "
						 "[camera NAME], [stream NAME]\n"},
		{GOOD "[daemon x]\n", "c.ini:6: section [daemon] takes no name\n"},
		{GOOD "[mqtt x]\n", "c.ini:6: section [mqtt] takes no name\n"},
		{GOOD "[camera]\n", "c.ini:6: section [camera NAME] needs a name: 1 to 40 of "
				    "a-z, A-Z, 0-9, '-', '_' or '.'\n"},
		{GOOD "[camera \xec\xa0\x95\xec\x9b\x90]\n",
		 "c.ini:6: section [camera NAME] needs a name: 1 to 40 of "
		 "a-z, A-Z, 0-9, '-', '_' or '.'\n"},
		{GOOD "[stream a b]\n", "c.ini:6: section [stream NAME] needs a name: 1 to 40 of "
					"a-z, A-Z, 0-9, '-', '_' or '.'\n"},
		{GOOD "[stream 12345678901234567890123456789012345678901]\n",
		 "c.ini:6: section [stream NAME] needs a name: 1 to 40 of "
		 "a-z, A-Z, 0-9, '-', '_' or '.'\n"},
		{"[camera c]\ncontrol. = 1\n[stream s]\ncamera = c\nannexb = 1\n",
		 "c.ini:2: control.NAME needs a name: 1 to 40 bytes\n"},
		{"[camera c]\ncontrol.12345678901234567890123456789012345678901 = 1\n[stream s]\n"
		 "camera = c\nannexb = 1\n",
		 "c.ini:2: control.NAME needs a name: 1 to 40 bytes\n"},
		{GOOD "v4l2_device = \x01\n",
		 "c.ini:6: not text; allowed: UTF-8 without control characters\n"},
		{GOOD "v4l2_device = \xe9t\xe9\n",
		 "c.ini:6: not text; allowed: UTF-8 without control characters\n"},
		{"", "c.ini:1: no camera; at least one section [camera NAME] is needed\n"},
		{"\n\n; nothing\n",
		 "c.ini:3: no camera; at least one section [camera NAME] is needed\n"},
	};
	static const char nul[] = GOOD "bit\0rate = 1\n";

	(void)state;
	CHECK_MISTAKES(cases);
	assert_null(parse_bytes(nul, sizeof nul - 1));
	assert_string_equal(messages,
			    "c.ini:6: not text; allowed: UTF-8 without control characters\n");
}

static void only_well_formed_utf8_is_text(void **state)
{
	static const char *const good[] = {"ü", "€", "😀", "\xed\x9f\xbf", "\xf4\x8f\xbf\xbf"};
	static const char *const bad[] = {"\x80",
					  "\xc3",
					  "\xc1\x81",
					  "\xe0\x9f\xbf",
					  "\xed\xa0\x80",
					  "\xe2\x82",
					  "\xf0\x8f\xbf\xbf",
					  "\xf4\x90\x80\x80",
					  "\xf8\x88\x80\x80\x80"};
	char text[256];

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		snprintf(text, sizeof text, "[daemon]\nname = %s\n" GOOD, good[i]);
		config_destroy(parse_good(text));
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		snprintf(text, sizeof text, "[daemon]\nname = %s.\n" GOOD, bad[i]);
		assert_null(parse(text));
	}
}

static void a_line_may_be_as_long_as_the_file(void **state)
{
	static const char beginning[] = GOOD "[camera long]\nsource = file:";
	static const char end[] = " ; comment\n[stream long]\ncamera = long\nannexb = 1\n";
	static const char letter[] = "\xed\x95\x9c"; /* of Hangul */
	const size_t letters = (CONFIG_FILE_MAX - sizeof beginning - sizeof end) / 3;
	char *text = malloc(CONFIG_FILE_MAX), *at = text;
	struct config *config;

	(void)state;
	assert_non_null(text);
	at = stpcpy(at, beginning);
	for (size_t i = 0; i < letters; i++)
		at = stpcpy(at, letter);
	stpcpy(at, end);
	config = parse_good(text);
	assert_int_equal(strlen(config->cameras[1].source), 5 + 3 * letters);
	config_destroy(config);
	free(text);
}

static void a_long_line_is_quoted_in_part(void **state)
{
	static const char *const cases[] = {
		GOOD "%s\n",	      GOOD "%s = 1\n", GOOD "codec = %s\n",
		GOOD "[stream %s]\n", GOOD "[%s]\n",   GOOD "[stream s]\ncamera = %s\nannexb = 1\n",
	};
	char part[3 * 5000 + 1], text[sizeof part + 256];

	(void)state;
	for (size_t i = 0; i < sizeof part - 1; i++)
		part[i] = "\xed\x95\x9c"[i % 3];
	part[sizeof part - 1] = '\0';
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		snprintf(text, sizeof text, cases[i], part);
		assert_null(parse(text));
		assert_memory_equal(messages, "c.ini:", 6);
		assert_in_range(strlen(messages), 1, 2200);
		assert_true(text_is_utf8(messages, strlen(messages)));
	}
}

static void nothing_may_be_said_twice(void **state)
{
	static const struct mistake_case cases[] = {
		{"[daemon]\n[daemon]\nname = x\n" GOOD,
		 "c.ini:2: section [daemon] is there already, in line 1\n"},
		{GOOD "[camera front]\n",
		 "c.ini:6: section [camera front] is there already, in line 1\n"},
		{GOOD "[stream main]\n",
		 "c.ini:6: section [stream main] is there already, in line 3\n"},
		{GOOD "annexb = 1\n", "c.ini:6: key \"annexb\" is there already, in line 5\n"},
		{"[camera c]\ncontrol.A = 1\ncontrol.A = 1\n[stream s]\ncamera = c\nannexb = 1\n",
		 "c.ini:3: key \"control.A\" is there already, in line 2\n"},
		{"[camera c]\nev = 1\n\nev = 1\n[stream s]\ncamera = c\nannexb = 1\n",
		 "c.ini:4: key \"ev\" is there already, in line 2\n"},
	};

	(void)state;
	CHECK_MISTAKES(cases);
	config_destroy(parse_good(GOOD "[stream front]\ncamera = front\nannexb = 1\n"));
}

static void keys_that_contradict_each_other_are_refused(void **state)
{
	static const struct mistake_case cases[] = {
		{GOOD "join_burst_ms = 800\n", "c.ini:6: join_burst_ms = 800 must be less than "
					       "shed_lag_ms = 800 in section [stream "
					       "main]\n"},
		{GOOD "max_lag_ms = 700\n",
		 "c.ini:6: shed_lag_ms = 800 must be less than max_lag_ms = 700 in section [stream "
		 "main]\n"},
		{GOOD "max_lag_ms = 4000\nhistory_ms = 4000\n",
		 "c.ini:7: max_lag_ms = 4000 must be less than history_ms = 4000 in section "
		 "[stream "
		 "main]\n"},
		{"[camera c]\n[stream s]\ncamera = c\n",
		 "c.ini:2: stream \"s\" has no feed; give annexb = ADDRESS:PORT or length_prefixed "
		 "= "
		 "ADDRESS:PORT\n"},
		{"[camera c]\n[stream s]\nannexb = 1\n",
		 "c.ini:2: stream \"s\" needs camera = NAME\n"},
		{"[stream s]\ncamera = c\nannexb = 1\n",
		 "c.ini:2: no section [camera c]; cameras are: none\n"
		 "c.ini:3: no camera; at least one section [camera NAME] is needed\n"},
		{"[camera idle]\n" GOOD,
		 "c.ini:1: camera \"idle\" has no stream; add [stream NAME] with "
		 "camera = idle, or remove it\n"},
		{GOOD "codec = mjpeg\n",
		 "c.ini:5: annexb is for codec = h264 only; allowed for codec = mjpeg: "
		 "length_prefixed\n"},
		{"[camera c]\n[stream s]\ncamera = c\ncodec = mjpeg\nsei = yes\nlength_prefixed = "
		 "1\n",
		 "c.ini:5: sei = yes is for codec = h264 only\n"},
		{"[camera c]\n[stream s]\ncamera = c\ncodec = mjpeg\nencoder = "
		 "x264\nlength_prefixed = "
		 "1\n",
		 "c.ini:5: encoder = x264 does not make mjpeg; allowed for codec = mjpeg: auto, "
		 "mjpeg, "
		 "copy\n"},
		{GOOD "encoder = mjpeg\n", "c.ini:6: encoder = mjpeg does not make h264; allowed "
					   "for codec = h264: auto, v4l2m2m, "
					   "openh264, x264, copy\n"},
		{GOOD "temporal_layers = 2\nencoder = x264\n",
		 "c.ini:7: temporal_layers = 2 needs codec = h264 and encoder = openh264 or "
		 "auto\n"},
		{"[camera c]\n[stream s]\ncamera = c\ncodec = mjpeg\ntemporal_layers = 3\n"
		 "length_prefixed = 1\n",
		 "c.ini:5: temporal_layers = 3 needs codec = h264 and encoder = openh264 or "
		 "auto\n"},
		{GOOD "encoder = copy\n", "c.ini:6: encoder = copy with codec = h264 needs a "
					  "camera with source = file:PATH, but "
					  "camera \"front\" has source = pattern\n"},
		{"[camera c]\nsource = libcamera\n[stream s]\ncamera = c\nencoder = copy\nannexb = "
		 "1\n",
		 "c.ini:5: encoder = copy with codec = h264 needs a camera with source = "
		 "file:PATH, but "
		 "camera \"c\" has source = libcamera\n"},
		{"[camera c]\n[stream s]\ncamera = c\ncodec = mjpeg\nencoder = "
		 "copy\nlength_prefixed = "
		 "1\n",
		 "c.ini:5: encoder = copy with codec = mjpeg needs a camera with source = "
		 "file:PATH or "
		 "libcamera[:ID], but camera \"c\" has source = auto\n"},
		{"[camera c]\nsource = file:x\n[stream s]\ncamera = c\nencoder = copy\nannexb = 1\n"
		 "[stream t]\ncamera = c\nencoder = x264\nannexb = 2\n",
		 "c.ini:9: stream \"s\" copies what camera \"c\" delivers, so codec = h264 and "
		 "encoder = "
		 "copy or auto are needed here too\n"},
	};

	(void)state;
	CHECK_MISTAKES(cases);
}

static void what_fits_together_is_accepted(void **state)
{
	static const char *const texts[] = {
		"[camera c]\nsource = file:x\n[stream s]\ncamera = c\nencoder = copy\nannexb = 1\n"
		"[stream t]\ncamera = c\nlength_prefixed = 2\n",
		"[camera c]\nsource = libcamera:usb\n[stream s]\ncamera = c\ncodec = mjpeg\n"
		"encoder = copy\nlength_prefixed = 1\n",
		"[camera c]\n[stream s]\ncamera = c\ncodec = mjpeg\nencoder = mjpeg\n"
		"length_prefixed = 1\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		config_destroy(parse_good(texts[i]));
}

static void auto_means_openh264_with_temporal_layers(void **state)
{
	struct config *config = parse_good(GOOD "temporal_layers = 2\n");

	(void)state;
	assert_int_equal(config->streams[0].encoder, CONFIG_ENCODER_OPENH264);
	config_destroy(config);
}

static void listeners_that_clash_are_refused(void **state)
{
	static const char *const clash[][2] = {
		{"1", "1"},
		{"1", "127.0.0.1:1"},
		{"[::1]:1", ":1"},
		{"0.0.0.0:1", "127.0.0.1:1"},
		{"127.0.0.1:1", "0.0.0.0:1"},
		{"[::]:1", "[::1]:1"},
		{"[::1]:1", "[::]:1"},
		{"[::]:1", "[fe80::1%eth0]:1"},
		{"Host:1", "host:1"},
	};
	static const char *const fine[][2] = {
		{"0", "0"},
		{"0.0.0.0:1", "[::]:1"},
		{"127.0.0.1:1", "127.0.0.2:1"},
		{"127.0.0.1:1", "127.0.0.1:2"},
		{"[::]:1", "1.2.3.4:1"},
	};
	char text[256];

	(void)state;
	for (size_t i = 0; i < sizeof clash / sizeof *clash; i++) {
		snprintf(text, sizeof text, GOOD "length_prefixed = 2, %s\n[daemon]\nhttp = %s\n",
			 clash[i][0], clash[i][1]);
		assert_null(parse(text));
		assert_string_equal(
			messages,
			"c.ini:6: port 1 of length_prefixed is taken already by http in line 8\n");
		snprintf(text, sizeof text, GOOD "length_prefixed = %s,%s\n", clash[i][0],
			 clash[i][1]);
		assert_null(parse(text));
		assert_string_equal(messages, "c.ini:6: port 1 of length_prefixed is taken already "
					      "by length_prefixed in line 6\n");
	}
	for (size_t i = 0; i < sizeof fine / sizeof *fine; i++) {
		snprintf(text, sizeof text, GOOD "length_prefixed = %s,%s\n", fine[i][0],
			 fine[i][1]);
		config_destroy(parse_good(text));
	}
}

static void every_mistake_of_a_file_is_reported_in_its_order(void **state)
{
	static const struct mistake_case cases[] = {
		{"x = 1\n[daemon]\nbackend = select\n[camera front]\nsource = pattern\nsize = 1x1\n"
		 "junk\n[stream a]\ncamera = front\nannexb = 1\nmax_lag_ms = 100\n[stream b]\n"
		 "camera = fornt\nlength_prefixed = 1\n",
		 "c.ini:1: key \"x\" stands before the first section\n"
		 "c.ini:3: backend = select: not allowed; allowed: auto, epoll, io_uring\n"
		 "c.ini:6: size = 1x1: not allowed; allowed: WIDTHxHEIGHT, even numbers from 16 to "
		 "8192\n"
		 "c.ini:7: \"junk\" is neither a [section] nor KEY = VALUE\n"
		 "c.ini:11: shed_lag_ms = 800 must be less than max_lag_ms = 100 in section "
		 "[stream "
		 "a]\n"
		 "c.ini:13: no section [camera fornt]; cameras are: front; did you mean "
		 "\"front\"?\n"
		 "c.ini:14: port 1 of length_prefixed is taken already by annexb in line 10\n"},
		/* A bad key is not reported again by a check that needs it. */
		{GOOD "max_lag_ms = x\nshed_lag_ms = 5000\n",
		 "c.ini:6: max_lag_ms = x: not allowed; allowed: 1 to 600000 ms\n"},
	};

	(void)state;
	CHECK_MISTAKES(cases);
}

/* Repeats `format` (with one %zu) n times into a text of its own. */
static char *repeat(const char *start, const char *format, size_t n)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	fputs(start, out);
	for (size_t i = 0; i < n; i++)
		fprintf(out, format, i);
	fclose(out);
	return text;
}

static void numbers_of_things_are_bounded(void **state)
{
	char *text = repeat(GOOD, "[camera c%zu]\n", CONFIG_CAMERAS_MAX - 1);

	(void)state;
	assert_null(parse(text)); /* they have no streams */
	assert_null(strstr(messages, "more than"));
	free(text);
	text = repeat(GOOD, "[camera c%zu]\n", CONFIG_CAMERAS_MAX);
	assert_null(parse(text));
	assert_non_null(strstr(messages, "more than 64 sections [camera NAME]\n"));
	free(text);

	text = repeat("[camera front]\n", "[stream s%zu]\ncamera = front\nannexb = 0\n",
		      CONFIG_STREAMS_MAX);
	config_destroy(parse_good(text));
	free(text);
	text = repeat("[camera front]\n", "[stream s%zu]\ncamera = front\nannexb = 0\n",
		      CONFIG_STREAMS_MAX + 1);
	assert_null(parse(text));
	assert_non_null(strstr(messages, "more than 256 sections [stream NAME]\n"));
	free(text);

	text = repeat(GOOD "[camera b]\n", "control.C%zu = 1\n", CONFIG_CONTROLS_MAX + 1);
	assert_null(parse(text));
	assert_non_null(strstr(messages, "c.ini:71: more than 64 controls\n"));
	free(text);
}

static void a_file_of_rubbish_gets_a_bounded_answer(void **state)
{
	char *text = repeat("", "rubbish %zu\n", 5000), *errors = NULL;
	struct config *config = NULL;
	size_t len = 0, lines = 0;
	FILE *out = open_memstream(&errors, &len);

	(void)state;
	assert_int_equal(config_parse(&config, "c.ini", text, strlen(text), out), -EINVAL);
	fclose(out);
	for (const char *c = errors; *c; c++)
		lines += *c == '\n';
	assert_int_equal(lines, 1001);
	assert_non_null(strstr(errors, ": more mistakes than are shown\n"));
	free(errors);
	free(text);
}

/* --- files --- */

static char folder[] = "/tmp/camcast-test-XXXXXX";
static char path[64];

static int make_folder(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof path, "%s/c.ini", folder);
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(folder);
}

static int load(struct config **config, const char *name, char **text, size_t *len)
{
	FILE *errors = fmemopen(messages, sizeof messages, "w");
	int r;

	assert_non_null(errors);
	messages[0] = '\0';
	r = config_load(config, name, errors, text, len);
	fclose(errors);
	return r;
}

static void a_file_is_loaded_with_its_text(void **state)
{
	struct config *config = NULL;
	FILE *file = fopen(path, "w");
	char *text = NULL;
	size_t len = 0;

	(void)state;
	assert_non_null(file);
	fputs(GOOD, file);
	fclose(file);
	assert_int_equal(load(&config, path, &text, &len), 0);
	assert_string_equal(config->cameras[0].name, "front");
	assert_int_equal(len, strlen(GOOD));
	assert_memory_equal(text, GOOD, len);
	free(text);
	config_destroy(config);
	assert_int_equal(load(&config, path, NULL, NULL), 0);
	config_destroy(config);
}

static void a_file_that_cannot_be_read_is_named(void **state)
{
	struct config *config = NULL;
	char *text = NULL;
	size_t len = 0;

	(void)state;
	assert_int_equal(load(&config, "/nonexistent/c.ini", &text, &len), -ENOENT);
	assert_string_equal(messages, "/nonexistent/c.ini: No such file or directory\n");
	assert_int_equal(load(&config, folder, &text, &len), -EISDIR);
	assert_null(text);
	assert_int_equal(load(&config, "/dev/zero", &text, &len), -EFBIG);
	assert_string_equal(messages, "/dev/zero: File too large\n");
	assert_null(text);
	assert_null(config);
}

static void the_file_that_is_shipped_is_right(void **state)
{
	struct config *config = NULL;

	(void)state;
	if (load(&config, "config.ini", NULL, NULL) < 0)
		fail_msg("%s", messages);
	assert_int_equal(config->n_feeds, 2);
	config_destroy(config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_those_of_the_manual),
		cmocka_unit_test(every_kind_of_value_arrives),
		cmocka_unit_test(a_decimal_rate_becomes_a_fraction_in_lowest_terms),
		cmocka_unit_test(addresses_come_in_every_form),
		cmocka_unit_test(feeds_are_in_the_order_of_streams_annexb_first),
		cmocka_unit_test(controls_are_kept_as_written_in_the_order_of_the_file),
		cmocka_unit_test(editors_marks_endings_comments_and_indents_are_understood),
		cmocka_unit_test(a_value_goes_from_the_sign_to_a_comment),
		cmocka_unit_test(help_is_a_configuration_with_every_default),
		cmocka_unit_test(bad_values_are_refused_with_what_is_allowed),
		cmocka_unit_test(unknown_names_are_reported_with_the_nearest),
		cmocka_unit_test(lines_that_are_none_are_reported),
		cmocka_unit_test(only_well_formed_utf8_is_text),
		cmocka_unit_test(a_line_may_be_as_long_as_the_file),
		cmocka_unit_test(a_long_line_is_quoted_in_part),
		cmocka_unit_test(nothing_may_be_said_twice),
		cmocka_unit_test(keys_that_contradict_each_other_are_refused),
		cmocka_unit_test(what_fits_together_is_accepted),
		cmocka_unit_test(auto_means_openh264_with_temporal_layers),
		cmocka_unit_test(listeners_that_clash_are_refused),
		cmocka_unit_test(every_mistake_of_a_file_is_reported_in_its_order),
		cmocka_unit_test(numbers_of_things_are_bounded),
		cmocka_unit_test(a_file_of_rubbish_gets_a_bounded_answer),
		cmocka_unit_test(a_file_is_loaded_with_its_text),
		cmocka_unit_test(a_file_that_cannot_be_read_is_named),
		cmocka_unit_test(the_file_that_is_shipped_is_right),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
