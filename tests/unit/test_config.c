/* SPDX-License-Identifier: BSD-2-Clause */
/* What keys and values mean. Those that are refused: test_config_mistakes.c. The text of a file:
 * test_config_file.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/config.h"
#include "tests/unit/config_rig.h"

/* --- what keys and values mean --- */

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
	assert_int_equal(d->n_http, 0);
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
	assert_int_equal(s->packet_size, 1400);

	assert_int_equal(config->n_feeds, 7);
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
		"[daemon]\nname = a %% b\nbackend = io_uring\nhttp = [::1]:0\nrtsp = rtsp://:8554, "
		"[::]:554\n[stream "
		"s]\ncamera=c\nencoder = openh264\nprofile = baseline\nlevel = 4.1\nsei = "
		"on\non_demand = 1\nannexb = 1.2.3.4:5\nhistory_max = 4294967295\n[camera "
		"c]\nsource = file:a b/c;d.avi\nsize = 640x480\nframerate = 30000/1001\nallocator "
		"= dma-heap:linux,cma\nhflip = true\nrotation = 180\n");

	(void)state;
	assert_string_equal(config->daemon.name, "a % b");
	assert_int_equal(config->daemon.backend, CONFIG_BACKEND_URING);
	assert_int_equal(config->daemon.n_http, 1);
	assert_string_equal(config->daemon.http[0].host, "::1");
	assert_int_equal(config->daemon.n_rtsp, 2);
	assert_string_equal(config->daemon.rtsp[0].host, "");
	assert_int_equal(config->daemon.rtsp[0].port, 8554);
	assert_string_equal(config->daemon.rtsp[1].host, "::");
	assert_int_equal(config->daemon.http[0].port, 0);
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
	} cases[] = {{"29.97", 2997, 100},
		     {"12.5", 25, 2},
		     {"60/2", 30, 1},
		     {"0.1", 1, 10},
		     {"30fps", 30, 1},
		     {"25.000 Hz", 25, 1},
		     {"29.97003", 2997003, 100000},
		     {"239.999999", 239999999, 1000000}};
	char text[256];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct config *config;

		snprintf(text, sizeof text,
			 GOOD "[camera b]\nframerate = %s\n[stream b]\ncamera = b\nannexb = 1\n",
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
		"[camera c]\n[stream s]\ncamera = c\nannexb = 0.0.0.0:1, [::]:1,[fe80::1%eth0]:2 , "
		"cam.example-1.org:3, :4, 5, localhost:65535\n");

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
	struct config *config = parse_good(
		"[stream b]\ncamera=x\nlength_prefixed=1\nannexb=2\n[stream "
		"a]\ncamera=y\ncodec=mjpeg\nlength_prefixed=3\n[camera y]\n[camera x]\n");
	static const struct {
		unsigned stream;
		enum config_framing framing;
		unsigned port; /* 0: none */
	} want[] = {{0, CONFIG_FRAMING_ANNEXB, 2},
		    {0, CONFIG_FRAMING_LENGTH_PREFIXED, 1},
		    {0, CONFIG_FRAMING_MP4, 0},
		    {0, CONFIG_FRAMING_MP4_WS, 0},
		    {0, CONFIG_FRAMING_MPEGTS, 0},
		    {0, CONFIG_FRAMING_RTP, 0},
		    {0, CONFIG_FRAMING_RTP_TS, 0},
		    {1, CONFIG_FRAMING_LENGTH_PREFIXED, 3},
		    {1, CONFIG_FRAMING_JPEG, 0},
		    {1, CONFIG_FRAMING_MULTIPART, 0},
		    {1, CONFIG_FRAMING_MULTIPART_EARLY, 0},
		    {1, CONFIG_FRAMING_RTP_JPEG, 0}};

	(void)state;
	assert_int_equal(config->n_feeds, sizeof want / sizeof *want);
	for (size_t i = 0; i < config->n_feeds; i++) {
		assert_int_equal(config->feeds[i].stream, want[i].stream);
		assert_int_equal(config->feeds[i].framing, want[i].framing);
		assert_int_equal(config->feeds[i].listen[0].port, want[i].port);
		assert_int_equal(config->feeds[i].n_listen, want[i].port > 0);
		assert_int_equal(config->feeds[i].kept, want[i].port > 0);
	}
	assert_string_equal(config->streams[0].name, "b");
	assert_int_equal(config->streams[0].camera, 1);
	assert_int_equal(config->streams[1].camera, 0);
	config_destroy(config);
}

static void with_http_a_stream_needs_no_address(void **state)
{
	struct config *config =
		parse_good("[daemon]\nhttp = 80\n[camera c]\n[stream h]\ncamera = c\n[stream "
			   "j]\ncamera = c\ncodec = mjpeg\n[stream d]\ncamera = c\non_demand = "
			   "yes\n[stream l]\ncamera = c\nlength_prefixed = 1\n");

	(void)state;
	/* The first feeds of the streams "h" and "j", and the one with an address. */
	for (size_t i = 0; i < config->n_feeds; i++)
		assert_int_equal(config->feeds[i].kept, i == 0 || i == 7 || i == 20);
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
	struct config *config =
		parse_good("[camera c]\nroi = 0, 0 ,0.5,1\ncontrol.AeEnable = false ; off\nhflip = "
			   "yes\nbrightness = -0.50\ncontrol.brightness = 7\nawb = cloudy\n[stream "
			   "s]\ncamera = c\nannexb = 1\n");

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
	assert_int_equal(config->feeds[1].n_listen, 1);
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
	assert_int_equal(config->daemon.n_http, 1);
	assert_int_equal(config->cameras[0].n_controls, 20);
	config_destroy(config);
	free(text);
}

static void what_fits_together_is_accepted(void **state)
{
	static const char *const texts[] = {
		"[camera c]\nsource = file:x\n[stream s]\ncamera = c\nencoder = copy\nannexb = "
		"1\n[stream t]\ncamera = c\nlength_prefixed = 2\n",
		"[camera c]\nsource = file:x\n[stream s]\ncamera = c\nencoder = copy\nannexb = "
		"1\n[stream t]\ncamera = c\nencoder = x264\nannexb = 2\n[stream u]\ncamera = "
		"c\ncodec = mjpeg\nlength_prefixed = 3\n",
		"[camera c]\nsource = libcamera\n[stream s]\ncamera = c\ncodec = mjpeg\nencoder = "
		"copy\nlength_prefixed = 1\n[stream t]\ncamera = c\nannexb = 2\n",
		"[camera c]\nsource = libcamera:usb\n[stream s]\ncamera = c\ncodec = "
		"mjpeg\nencoder = copy\nlength_prefixed = 1\n",
		"[camera c]\n[stream s]\ncamera = c\ncodec = mjpeg\nencoder = "
		"mjpeg\nlength_prefixed = 1\n",
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

static void values_are_read_as_people_write_them(void **state)
{
	struct config *config = parse_good(
		"[MQTT]\nKeepAlive = 1m # a minute\n[Camera Front]\nSize = 640 X 480\nframerate = "
		"30 fps\nSource = FILE:/A # b.mp4\nHFLIP = Yes\nAWB = Cloudy\nControl.AeEnable = "
		"false\n[Stream s]\nCAMERA = Front\ncodec = H264\nBITRATE = 2 Mbit/s\nhistory-ms = "
		"9s\nsegment_size = 2 MiB\nlevel = AUTO\nannexb = tcp://*:8888, 1\n[daemon]\nhttp "
		"= http://127.0.0.1:8080/\n");
	const struct config_camera *camera = config->cameras;
	const struct config_stream *stream = config->streams;

	(void)state;
	assert_int_equal(config->mqtt.keepalive, 60);
	assert_string_equal(camera->name, "Front");
	assert_int_equal(camera->size.width, 640);
	assert_int_equal(camera->size.height, 480);
	assert_int_equal(camera->framerate.num, 30);
	assert_string_equal(camera->source, "file:/A");
	assert_true(camera->hflip);
	assert_string_equal(camera->controls[0].name, "awb");
	assert_string_equal(camera->controls[0].value, "cloudy");
	assert_string_equal(camera->controls[1].name, "AeEnable");
	assert_int_equal(stream->codec, CONFIG_CODEC_H264);
	assert_int_equal(stream->bitrate, 2000000);
	assert_int_equal(stream->history_ms, 9000);
	assert_int_equal(stream->segment_size, 2 << 20);
	assert_string_equal(stream->level, "auto");
	assert_string_equal(config->feeds[0].listen[0].host, "");
	assert_int_equal(config->feeds[0].listen[0].port, 8888);
	assert_int_equal(config->feeds[0].listen[1].port, 1);
	assert_string_equal(config->daemon.http[0].host, "127.0.0.1");
	assert_int_equal(config->daemon.http[0].port, 8080);
	config_destroy(config);
}

/* --- streams that HTTP needs --- */

#define TWO_CAMERAS                                                                                \
	"[camera a]\n[camera b]\n[stream one]\ncamera = b\nannexb = 1\n[stream two]\ncamera = "    \
	"a\nannexb = 2\n[stream three]\ncamera = b\ncodec = mjpeg\nlength_prefixed = 3\n"

static void a_camera_without_mjpeg_gets_a_stream_for_http(void **state)
{
	struct config *config = parse_good("[daemon]\nhttp = 8080\n" TWO_CAMERAS);
	const struct config_stream *implied = &config->streams[3];

	(void)state;
	assert_int_equal(config->n_streams, 4);
	for (int i = 0; i < 3; i++)
		assert_false(config->streams[i].implied);
	assert_true(implied->implied);
	assert_string_equal(implied->name, "a:jpeg");
	assert_int_equal(implied->line, 3);
	assert_int_equal(implied->camera, 0);
	assert_int_equal(implied->number, 1);
	assert_int_equal(config->cameras[0].n_streams, 2);
	assert_int_equal(implied->codec, CONFIG_CODEC_MJPEG);
	assert_int_equal(implied->encoder, CONFIG_ENCODER_MJPEG);
	assert_int_equal(implied->quality, 80);
	assert_true(implied->on_demand);
	assert_int_equal(implied->linger_ms, 5000);
	for (size_t i = 0; i < config->n_feeds; i++)
		if (config->feeds[i].stream == 3)
			assert_int_equal(config->feeds[i].n_listen, 0);

	/* The stream from which a JPEG of a stream's camera is made. */
	assert_ptr_equal(config_snapshot_stream(config, &config->streams[0]), &config->streams[2]);
	assert_ptr_equal(config_snapshot_stream(config, &config->streams[1]), implied);
	assert_ptr_equal(config_snapshot_stream(config, &config->streams[2]), &config->streams[2]);
	assert_ptr_equal(config_snapshot_stream(config, implied), implied);
	config_destroy(config);
}

static void without_http_no_stream_is_implied(void **state)
{
	struct config *config = parse_good("[daemon]\nhttp = off\n" TWO_CAMERAS);

	(void)state;
	assert_int_equal(config->n_streams, 3);
	assert_null(config_snapshot_stream(config, &config->streams[1]));
	config_destroy(config);
}

static void every_one_of_64_cameras_may_imply_a_stream(void **state)
{
	char *cameras = repeat(
		"[daemon]\nhttp = 8080\n",
		"[camera a-name-of-40-bytes-for-the-camera-nu%1$02d]\n"
		"[stream s%1$d]\ncamera = a-name-of-40-bytes-for-the-camera-nu%1$02d\nannexb = 0\n",
		CONFIG_CAMERAS_MAX);
	struct config *config = parse_good(cameras);

	(void)state;
	assert_int_equal(config->n_streams, 2 * CONFIG_CAMERAS_MAX);
	assert_string_equal(config->streams[2 * CONFIG_CAMERAS_MAX - 1].name,
			    "a-name-of-40-bytes-for-the-camera-nu63:jpeg");
	config_destroy(config);
	free(cameras);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_those_of_the_manual),
		cmocka_unit_test(every_kind_of_value_arrives),
		cmocka_unit_test(a_decimal_rate_becomes_a_fraction_in_lowest_terms),
		cmocka_unit_test(addresses_come_in_every_form),
		cmocka_unit_test(feeds_are_in_the_order_of_streams_annexb_first),
		cmocka_unit_test(with_http_a_stream_needs_no_address),
		cmocka_unit_test(controls_are_kept_as_written_in_the_order_of_the_file),
		cmocka_unit_test(help_is_a_configuration_with_every_default),
		cmocka_unit_test(values_are_read_as_people_write_them),
		cmocka_unit_test(what_fits_together_is_accepted),
		cmocka_unit_test(a_camera_without_mjpeg_gets_a_stream_for_http),
		cmocka_unit_test(without_http_no_stream_is_implied),
		cmocka_unit_test(every_one_of_64_cameras_may_imply_a_stream),
		cmocka_unit_test(auto_means_openh264_with_temporal_layers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
