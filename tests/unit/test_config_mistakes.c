/* SPDX-License-Identifier: BSD-2-Clause */
/* Values, names and combinations of keys that are refused, and the messages about them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/config.h"
#include "tests/unit/config_rig.h"

#define INVISIBLE "this line has a character that looks like a blank or like nothing "
#define TYPE_AGAIN ", and is none; type the line again\n"

static void bad_values_are_refused_with_what_is_allowed(void **state)
{
	static const struct value_case daemon[] = {
		{"name",
		 {"", "%x", "a%",
		  "12345678901234567890123456789012345678901234567890123456789012345"},
		 {"%h", "a-%h", "ü"}},
		{"backend", {"", "uring", "select"}, {"auto", "Epoll", "IO_URING"}},
		{"http",
		 {"x", "1.2.3.4", "1.2.3:80", "::1:80", "[::1]", "[1.2.3.4]:80", "a b:80",
		  "localhost:", "h:65536", "[::1%]:80", "[eth0%eth0]:80"},
		 {"", "80", ":80", "[::]:0", "a-b.c:1", "*:80", "http://[::1]:80/", "off"}},
		{"max_clients",
		 {"-1", "x", "1000001", "1e3", "0x10", "99999999999999999999", "10 0"},
		 {"0", "1", "1000000"}},
		{"max_clients_per_ip", {"-1"}, {"0", "5"}},
		{"send_buffer", {"4095", "67108865", "65M"}, {"4096", "128K", "64 MB"}},
		{"notsent_lowat", {"1023"}, {"1024"}},
		{"send_threshold", {"-1"}, {"0", "1073741824"}},
	};
	static const struct value_case camera[] = {
		{"source",
		 {"", "file:", "libcamera:", "webcam", "pattern:x"},
		 {"auto", "libcamera", "libcamera:imx708", "pattern", "file:x"}},
		{"size",
		 {"", "1280", "1280x", "x720", "1280x721", "14x720", "1280x8194", "480p",
		  "1280x720x2"},
		 {"16x16", "8192x8192", "1280X720", "1280 x 720", "720p"}},
		{"framerate",
		 {"", "0", "241", "0/1", "30/0", "30/", "/30", "29.9700001", "29.", "fps"},
		 {"240", "0.1", "24000/1001", "30fps", "30 FPS", "25 Hz", "29.97003"}},
		{"buffers", {"2", "33"}, {"3", "32"}},
		{"allocator", {"dma-heap", "shm"}, {"udmabuf", "memfd", "dma-heap:system"}},
		{"hflip",
		 {"", "maybe", "2", "ye"},
		 {"yes", "No", "TRUE", "false", "On", "OFF", "1", "0"}},
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
		{"bitrate",
		 {"9999", "9k", "200000001", "2 MB/s", "2x", "-2M"},
		 {"10000", "200000000", "2M", "2000k", "2 Mbit/s", "2.5Mbps"}},
		{"keyframe_interval", {"0", "10001"}, {"1", "10000"}},
		{"quality", {"0", "101"}, {"1", "100"}},
		{"temporal_layers", {"0", "4"}, {"1", "2", "3"}},
		{"profile", {"extended"}, {"baseline", "main", "high"}},
		{"level", {"4", "9.9", "6"}, {"auto", "3.0", "4.0", "5.2"}},
		{"sei", {"x"}, {"yes"}},
		{"on_demand", {"x"}, {"yes"}},
		{"linger_ms", {"-1", "3600001", "2h", "0.5"}, {"0", "5s", "500ms", "1 h"}},
		{"v4l2_format", {"", "H26", "H2644", "H.64"}, {"FWHT"}},
		{"length_prefixed",
		 {"", "1,", ",1", "1,,2", "1 2", "x", "1,2,3,4,5,6,7,8,9", "udp://1.2.3.4:5",
		  "**:1"},
		 {"0", "0,0", "1,2,3,4,5,6,7,8", "*:8888", "tcp+length://0.0.0.0:8888/"}},
		{"max_clients", {"-1"}, {"0", "1"}},
		{"join_burst_ms", {"-1", "60001"}, {"0", "799"}},
		{"shed_lag_ms", {"0"}, {"501", "1999"}},
		{"max_lag_ms", {"0"}, {"801", "7999"}},
		{"stall_timeout_ms", {"99"}, {"100"}},
		{"history_ms", {"0", "600001"}, {"2001"}},
		{"history_max", {"-1", "4294967296"}, {"0", "4294967295"}},
		{"packet_size", {"575", "1441"}, {"576", "1440"}},
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
		{"[deamon]\n" GOOD, "c.ini:1: unknown section [deamon]; the sections are [daemon], "
				    "[tls], [mqtt], [onvif], [user NAME], [camera "
				    "NAME] and [stream NAME]; did you mean \"daemon\"?\n"},
		{"[rtsp]\nport = 554\n" GOOD,
		 "c.ini:1: unknown section [rtsp]; the sections are "
		 "[daemon], [tls], [mqtt], [onvif], [user NAME], [camera "
		 "NAME] and [stream NAME]\n"},
		{"[daemon]\nbakend = auto\n" GOOD, "c.ini:2: unknown key \"bakend\" in section "
						   "[daemon]; did you mean \"backend\"?" ALL_KEYS},
		{"[daemon]\nzzz = auto\n" GOOD,
		 "c.ini:2: unknown key \"zzz\" in section [daemon]; the nearest keys are tls, name "
		 "and http" ALL_KEYS},
		{"[daemon]\nbitrate = 1\n" GOOD,
		 "c.ini:2: key \"bitrate\" belongs in section [stream NAME], not in [daemon]\n"},
		{"[daemon]\npassword = x\n" GOOD,
		 "c.ini:2: key \"password\" belongs in section [mqtt] or [user NAME], not in "
		 "[daemon]\n"},
		{"[daemon]\nonvif = yes\n" GOOD,
		 "c.ini:2: unknown key \"onvif\" in section [daemon]; did you mean a section "
		 "[onvif]?" ALL_KEYS},
		{"[daemon]\nhls = yes\n" GOOD,
		 "c.ini:2: unknown key \"hls\" in section [daemon]; did you mean \"http\" (it "
		 "serves HLS, too)?" ALL_KEYS},
		{"[daemon]\nhttp = https://0.0.0.0:8443\n" GOOD,
		 "c.ini:2: http = https://0.0.0.0:8443 is not allowed; allowed: 1 to 8 of "
		 "ADDRESS:PORT, [IPV6]:PORT, HOST:PORT or PORT, separated by commas, or off; "
		 "\"tls = yes\" encrypts\n"},
		{GOOD "codec = \"h264\"\n",
		 "c.ini:6: codec is not allowed: a value stands without quotation marks\n"},
		{GOOD "codec = \xe2\x80\x9ch264\xe2\x80\x9d\n",
		 "c.ini:6: codec is not allowed: a value stands without quotation marks\n"},
		{GOOD "codec =\xc2\xa0h264\n", "c.ini:6: " INVISIBLE "(U+00A0)" TYPE_AGAIN},
		{GOOD "\xe2\x80\x8b"
		      "codec = h264\n",
		 "c.ini:6: " INVISIBLE "(U+200B)" TYPE_AGAIN},
		{GOOD "http = 80\n",
		 "c.ini:6: key \"http\" belongs in section [daemon], not in [stream main]\n"},
		{GOOD "encoder = X265\n",
		 "c.ini:6: encoder = X265 is not allowed; allowed: auto, v4l2m2m, openh264, x264, "
		 "mjpeg, copy; did you mean \"x264\"?\n"},
		{"[camera front]\n[camera back]\n[stream a]\nannexb = 1\ncamera = bakc\n",
		 "c.ini:5: there is no section [camera bakc]; the cameras are: front, back; did "
		 "you mean \"back\"?\n"},
		{"[camera c]\nsource = v4l2:/dev/video0\n[stream s]\ncamera = c\nannexb = 1\n",
		 "c.ini:2: source = v4l2:/dev/video0 is not allowed; allowed: auto, libcamera, "
		 "libcamera:ID, pattern, file:PATH, url:URL, exec:PROGRAM ARGUMENTS, pipe:PATH; "
		 "\"camcastd --list-cameras\" lists the cameras for libcamera:ID\n"},
		{"[camera c]\nsource = fifo:/x\n[stream s]\ncamera = c\nannexb = 1\n",
		 "c.ini:2: source = fifo:/x is not allowed; allowed: auto, libcamera, "
		 "libcamera:ID, pattern, file:PATH, url:URL, exec:PROGRAM ARGUMENTS, pipe:PATH; "
		 "did you mean \"pipe:PATH\"?\n"},
		{"[camera c]\nsource = 'url:rtsp://u:secret@h/x'\n[stream s]\ncamera = c\n"
		 "annexb = 1\n",
		 "c.ini:2: source is not allowed: a value stands without quotation marks\n"},
		{"[camera c]\nsource = pattern\npassword = x\n[stream s]\ncamera = c\nannexb = 1\n",
		 "c.ini:3: unknown key \"password\" in section [camera c]; did you mean \"source = "
		 "url:rtsp://USER:PASSWORD@HOST/PATH\"?" ALL_KEYS},
		{GOOD "[user anna]\ntoken_file = /x\nstreams = mian\n",
		 "c.ini:8: there is no section [stream mian]; did you mean \"main\"?\n"},
		{"[camera c]\nsource = libcam\n[stream s]\ncamera = c\nannexb = 1\n",
		 "c.ini:2: source = libcam is not allowed; allowed: auto, libcamera, libcamera:ID, "
		 "pattern, file:PATH, url:URL, exec:PROGRAM ARGUMENTS, pipe:PATH; did you mean "
		 "\"libcamera\" or \"libcamera:ID\"?\n"},
		{"[camera c]\nsource = rtsp://me:secret@h/x\n[stream s]\ncamera = c\nannexb = 1\n",
		 "c.ini:2: source = rtsp://h/... is not allowed; did you mean "
		 "\"url:rtsp://h/...\"?\n"},
		{"[camera c]\nsource = url:rtmp://me:secret@h/x\n[stream s]\ncamera = c\nannexb = "
		 "1\n",
		 "c.ini:2: source = url:... is not allowed: it must begin with rtsp://, http://, "
		 "https://, tcp://, srt:// or udp://\n"},
		{"[camera c]\nsource = exec:ffmpeg 'secret\n[stream s]\ncamera = c\nannexb = 1\n",
		 "c.ini:2: source = exec:... is not allowed: a quote is not closed\n"},
		{"[camera c]\nsource = exec:./a\n[stream s]\ncamera = c\nannexb = 1\n",
		 "c.ini:2: source = exec:... is not allowed: the path of the program must begin "
		 "with '/'\n"},
		{"[camera c]\nsource = pipe:x\n[stream s]\ncamera = c\nannexb = 1\n",
		 "c.ini:2: source = pipe:... is not allowed: the path of the pipe must begin with "
		 "'/'\n"},
		{"[camera c]\nsource = file:-\n[stream s]\ncamera = c\nannexb = 1\n",
		 "c.ini:2: source = file:... is not allowed: the standard input cannot be played; "
		 "exec:PROGRAM reads what a program writes, pipe:PATH reads a named pipe\n"},
		{"[camera c]\nsource = file:rtsp://u:secret@h/\n[stream s]\ncamera = c\nannexb = "
		 "1\n",
		 "c.ini:2: source = file:... is not allowed: a URL is no file; url: takes it\n"},
		{"[camera c]\nsource = url:tcp://h:1\nurl_options = passphrase\n[stream s]\ncamera "
		 "= c\nannexb = 1\n",
		 "c.ini:3: url_options is not allowed: each option is NAME=VALUE\n"},
		{"[camera c]\nsource = pattern\nurl_options = a=secret\n[stream s]\ncamera "
		 "= c\nannexb = 1\n",
		 "c.ini:3: url_options needs source = url:URL in section [camera c]\n"},
		{"[camera c]\nbrighness = 1\n[stream s]\ncamera = c\nannexb = 1\n",
		 "c.ini:2: unknown key \"brighness\" in section [camera c]; did you mean "
		 "\"brightness\"?" ALL_KEYS},
	};

	(void)state;
	CHECK_MISTAKES(cases);
}

static void words_of_other_programs_are_translated(void **state)
{
	static const struct {
		const char *section, *key, *meant;
	} keys[] = {
		{"camera c", "fps", "\"framerate\""},
		{"stream s", "FPS", "\"framerate\" in section [camera NAME]"},
		{"camera c", "width", "\"size = WIDTHxHEIGHT\""},
		{"camera c", "height", "\"size = WIDTHxHEIGHT\""},
		{"stream s", "resolution", "\"size = WIDTHxHEIGHT\" in section [camera NAME]"},
		{"stream s", "gop", "\"keyframe_interval\""},
		{"stream s", "keyint", "\"keyframe_interval\""},
		{"camera c", "gop-size", "\"keyframe_interval\" in section [stream NAME]"},
		{"stream s", "port",
		 "\"annexb = ADDRESS:PORT\" or \"length_prefixed = ADDRESS:PORT\""},
		{"stream s", "listen",
		 "\"annexb = ADDRESS:PORT\" or \"length_prefixed = ADDRESS:PORT\""},
		{"daemon", "port", "\"http = ADDRESS:PORT\""},
		{"mqtt", "host", "\"broker\""},
		{"mqtt", "user", "\"username\""},
	};
	static const struct {
		const char *section, *line, *hint;
	} values[] = {
		{"stream s", "codec = h265", "; H.265 is not supported; did you mean \"h264\"?"},
		{"stream s", "codec = HEVC", "; H.265 is not supported; did you mean \"h264\"?"},
		{"stream s", "codec = jpeg", "; did you mean \"mjpeg\"?"},
		{"stream s", "encoder = nvenc", "; NVENC is not supported; did you mean \"auto\"?"},
		{"stream s", "encoder = libx264", "; did you mean \"x264\"?"},
		{"stream s", "level = 4", "; did you mean \"4.0\"?"},
		{"camera c", "rotation = 90", "allowed: 0, 180"},
		{"camera c", "size = 1281x721", "; did you mean \"1280x720\"?"},
		{"camera c", "size = 1281 X 720", "; did you mean \"1280x720\"?"},
		{"camera c", "size = 480p", "; did you mean \"640x480\" or \"854x480\"?"},
		{"camera c", "size = 9999x9999", "and the like"},
		{"camera c", "source = /srv/a.mp4", "; did you mean \"file:/srv/a.mp4\"?"},
		{"camera c", "source = /dev/video0",
		 "; \"camcastd --list-cameras\" lists the cameras for libcamera:ID"},
		{"camera c", "source = rtsp://h/", "; did you mean \"url:rtsp://h/...\"?"},
		{"camera c", "source = webcam", "; did you mean \"libcamera\"?"},
		{"mqtt", "broker = h:1883", "; a port has a key of its own"},
		{"daemon", "backend = uring", "; did you mean \"io_uring\"?"},
	};
	char text[512], expected[512];

	(void)state;
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		snprintf(text, sizeof text, "[%s]\n%s = 1\n", keys[i].section, keys[i].key);
		snprintf(expected, sizeof expected,
			 "c.ini:2: unknown key \"%s\" in section [%s]; did you mean %s?" ALL_KEYS,
			 keys[i].key, keys[i].section, keys[i].meant);
		assert_null(parse(text));
		if (strncmp(messages, expected, strlen(expected)) != 0 &&
		    !strstr(messages, expected))
			fail_msg("%s", messages);
	}
	for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
		snprintf(text, sizeof text, "[%s]\n%s\n", values[i].section, values[i].line);
		snprintf(expected, sizeof expected, "%s\n", values[i].hint);
		assert_null(parse(text));
		if (!strstr(messages, expected))
			fail_msg("%s: %s", values[i].line, messages);
	}
}

static void keys_that_contradict_each_other_are_refused(void **state)
{
	static const struct mistake_case cases[] = {
		{GOOD "join_burst_ms = 800\n", "c.ini:6: join_burst_ms = 800 must be less than "
					       "shed_lag_ms = 800 in section [stream main]\n"},
		{GOOD "max_lag_ms = 700\n", "c.ini:6: shed_lag_ms = 800 must be less than "
					    "max_lag_ms = 700 in section [stream main]\n"},
		{GOOD "max_lag_ms = 4000\nhistory_ms = 4000\n",
		 "c.ini:7: max_lag_ms = 4000 must be less than history_ms = 4000 in section "
		 "[stream main]\n"},
		{"[camera c]\n[stream s]\ncamera = c\n",
		 "c.ini:2: stream \"s\" has no address; add annexb = ADDRESS:PORT or "
		 "length_prefixed = ADDRESS:PORT\n"},
		{GOOD "multicast = 239.1.2.3:5004\n",
		 "c.ini:6: multicast needs rtsp in section [daemon], over which players ask for "
		 "it, or multicast_always = yes, or sap = yes\n"},
		{GOOD "multicast = 239.1.2.3:5004\n[daemon]\nrtsp = :8554\ntls = yes\n[tls]\n"
		      "certificate = c.pem\n",
		 "c.ini:6: multicast is not for players that come through TLS; use tls = auto or "
		 "no "
		 "in section [daemon], or multicast_always = yes, or sap = yes\n"},
		{GOOD "multicast = [ff12::77]:5006\nsap = yes\n",
		 "c.ini:6: multicast = [ff12::77]:5006 is a group of one link, and needs "
		 "multicast_interface in section [daemon]\n"},
		{GOOD "sap = yes\n",
		 "c.ini:6: sap = yes needs multicast = GROUP:PORT in section [stream main]\n"},
		{GOOD "multicast_always = yes\n",
		 "c.ini:6: multicast_always = yes needs multicast = GROUP:PORT in section [stream "
		 "main]\n"},
		{GOOD "multicast_ts = yes\n",
		 "c.ini:6: multicast_ts = yes needs multicast = GROUP:PORT in section [stream "
		 "main]\n"},
		{GOOD "multicast = 239.1.2.3:5004\nmulticast_ts = yes\n[daemon]\nrtsp = :8554\n"
		      "satip = no\n",
		 "c.ini:7: multicast_ts = yes needs satip = yes in section [daemon], by which "
		 "players ask for it, or multicast_always = yes, or sap = yes\n"},
		{"[camera c]\n[stream s]\ncamera = c\ncodec = mjpeg\nsap = 1\nmulticast = "
		 "239.1.2.3:5004\nmulticast_ts = 1\n",
		 "c.ini:7: multicast_ts = yes needs codec = h264; a transport stream carries no "
		 "JPEGs\n"},
		{"[camera c]\n[stream s]\ncamera = c\nmulticast_always = 1\nmulticast = "
		 "239.1.2.3:4\n",
		 "c.ini:5: multicast = 239.1.2.3:4 is not allowed; allowed: GROUP:PORT of a "
		 "multicast group (224.0.1.0 to 239.255.255.255, or [IPV6]) with an even port from "
		 "1024 on, or nothing\n"},
		{GOOD "multicast_always = 1\nmulticast = 239.1.2.3:5004\n[stream s]\ncamera = "
		      "front\nmulticast_always = 1\nmulticast = 239.1.2.3:5004\n",
		 "c.ini:11: multicast = 239.1.2.3:5004 is already used by stream \"main\"; another "
		 "port is enough\n"},
		{"[camera c]\n[stream s]\nannexb = 1\n",
		 "c.ini:2: stream \"s\" needs camera = NAME\n"},
		{"[stream s]\ncamera = c\nannexb = 1\n",
		 "c.ini:2: there is no section [camera c]; the cameras are: none\nc.ini:3: there "
		 "is no camera; add a section [camera NAME]\n"},
		{"[camera idle]\n" GOOD, "c.ini:1: camera \"idle\" has no stream; add [stream "
					 "NAME] with camera = idle, or remove it\n"},
		{GOOD "codec = mjpeg\n",
		 "c.ini:5: annexb needs codec = h264; use length_prefixed for codec = mjpeg\n"},
		{"[camera c]\n[stream s]\ncamera = c\ncodec = mjpeg\nsei = yes\nlength_prefixed = "
		 "1\n",
		 "c.ini:5: sei = yes needs codec = h264\n"},
		{"[camera c]\n[stream s]\ncamera = c\ncodec = mjpeg\nencoder = "
		 "x264\nlength_prefixed = 1\n",
		 "c.ini:5: encoder = x264 does not make mjpeg; allowed for codec = mjpeg: auto, "
		 "mjpeg, copy\n"},
		{GOOD "encoder = mjpeg\n",
		 "c.ini:6: encoder = mjpeg does not make h264; allowed for codec = h264: auto, "
		 "v4l2m2m, openh264, x264, copy\n"},
		{GOOD "temporal_layers = 2\nencoder = x264\n",
		 "c.ini:7: temporal_layers = 2 needs codec = h264 and encoder = openh264 or "
		 "auto\n"},
		{"[camera c]\n[stream s]\ncamera = c\ncodec = mjpeg\ntemporal_layers = "
		 "3\nlength_prefixed = 1\n",
		 "c.ini:5: temporal_layers = 3 needs codec = h264 and encoder = openh264 or "
		 "auto\n"},
		{GOOD "encoder = copy\n",
		 "c.ini:6: encoder = copy with codec = h264 needs a camera with source = "
		 "file:PATH, url:URL, exec:PROGRAM or pipe:PATH, but camera \"front\" has source = "
		 "pattern\n"},
		{"[camera c]\nsource = libcamera\n[stream s]\ncamera = c\nencoder = copy\nannexb = "
		 "1\n",
		 "c.ini:5: encoder = copy with codec = h264 needs a camera with source = "
		 "file:PATH, url:URL, exec:PROGRAM or pipe:PATH, but camera \"c\" has source = "
		 "libcamera\n"},
		{"[camera c]\n[stream s]\ncamera = c\ncodec = mjpeg\nencoder = "
		 "copy\nlength_prefixed = 1\n",
		 "c.ini:5: encoder = copy with codec = mjpeg needs a camera with source = "
		 "file:PATH, url:URL, exec:PROGRAM, pipe:PATH or libcamera[:ID], but camera \"c\" "
		 "has source = auto\n"},
		{"[camera c]\nsource = file:x\n[stream s]\ncamera = c\nencoder = copy\nannexb = "
		 "1\n[stream t]\ncamera = c\ncodec = mjpeg\nencoder = copy\nlength_prefixed = 2\n",
		 "c.ini:10: stream \"t\" cannot copy MJPEG: stream \"s\" copies H.264 from camera "
		 "\"c\", which delivers only one of the two. Use encoder = auto, and camcast "
		 "decodes and encodes the pictures for this stream\n"},
	};

	(void)state;
	CHECK_MISTAKES(cases);
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
			"c.ini:6: port 1 of length_prefixed is already used by http in line 8\n");
		snprintf(text, sizeof text, GOOD "length_prefixed = %s,%s\n", clash[i][0],
			 clash[i][1]);
		assert_null(parse(text));
		assert_string_equal(messages, "c.ini:6: port 1 of length_prefixed is already used "
					      "by length_prefixed in line 6\n");
	}
	for (size_t i = 0; i < sizeof fine / sizeof *fine; i++) {
		snprintf(text, sizeof text, GOOD "length_prefixed = %s,%s\n", fine[i][0],
			 fine[i][1]);
		config_destroy(parse_good(text));
	}
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
	assert_non_null(strstr(messages, "there are more than 64 sections [camera NAME]\n"));
	free(text);

	text = repeat("[camera front]\n", "[stream s%zu]\ncamera = front\nannexb = 0\n",
		      CONFIG_STREAMS_MAX);
	config_destroy(parse_good(text));
	free(text);
	text = repeat("[camera front]\n", "[stream s%zu]\ncamera = front\nannexb = 0\n",
		      CONFIG_STREAMS_MAX + 1);
	assert_null(parse(text));
	assert_non_null(strstr(messages, "there are more than 256 sections [stream NAME]\n"));
	free(text);

	text = repeat(GOOD "[camera b]\n", "control.C%zu = 1\n", CONFIG_CONTROLS_MAX + 1);
	assert_null(parse(text));
	assert_non_null(strstr(messages, "c.ini:71: there are more than 64 controls\n"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_values_are_refused_with_what_is_allowed),
		cmocka_unit_test(unknown_names_are_reported_with_the_nearest),
		cmocka_unit_test(words_of_other_programs_are_translated),
		cmocka_unit_test(keys_that_contradict_each_other_are_refused),
		cmocka_unit_test(listeners_that_clash_are_refused),
		cmocka_unit_test(numbers_of_things_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
