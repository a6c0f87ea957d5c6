/* SPDX-License-Identifier: BSD-2-Clause */
#include "config/options.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "camcast/rtp.h"
#include "camcast/worker.h"
#include "net/ranges.h"

#define WORDS(...)                                                                                 \
	(const char *const[])                                                                      \
	{                                                                                          \
		__VA_ARGS__, NULL                                                                  \
	}

const char *const option_section_words[OPTION_SECTIONS] = {"daemon", "tls",    "mqtt",	"onvif",
							   "user",   "camera", "stream"};

/* In the order of their enums. */
static const char *const backend_words[] = {"auto", "epoll", "io_uring", NULL};
static const char *const sandbox_words[] = {"auto", "no", NULL};
static const char *const tls_kernel_words[] = {"auto", "no", NULL};
static const char *const tls_words[] = {"no", "yes", "auto", NULL};
static const char *const digest_words[] = {"no", "md5", "sha256", NULL};
static const char *const codec_words[] = {"h264", "mjpeg", NULL};
static const char *const encoder_words[] = {"auto",  "v4l2m2m", "openh264", "x264",
					    "mjpeg", "copy",	NULL};
static const char *const profile_words[] = {"baseline", "main", "high", NULL};
static const char *const mqtt_commands_words[] = {"auto", "yes", "no", NULL};
static const char *const mqtt_version_words[] = {"auto", "5", "3.1.1", NULL};
static const char *const framing_words[CONFIG_FRAMINGS] = {
	"annexb",    "length_prefixed", "jpeg", "mp4",	    "mp4_ws", "mpegts",
	"multipart", "multipart_early", "rtp",	"rtp_jpeg", "rtp_ts",
};

#define DAEMON(name, opt_type, member)                                                             \
	.section = OPTION_DAEMON, .key = name, .type = opt_type,                                   \
	.offset = offsetof(struct config_daemon, member)
#define TLS(name, as, member)                                                                      \
	.section = OPTION_TLS, .key = name, .type = as,                                            \
	.offset = offsetof(struct config_tls, member)
#define MQTT(name, opt_type, member)                                                               \
	.section = OPTION_MQTT, .key = name, .type = opt_type,                                     \
	.offset = offsetof(struct config_mqtt, member)
#define ONVIF(name, opt_type, member)                                                              \
	.section = OPTION_ONVIF, .key = name, .type = opt_type,                                    \
	.offset = offsetof(struct config_onvif, member)
#define USER(name, opt_type, member)                                                               \
	.section = OPTION_USER, .key = name, .type = opt_type,                                     \
	.offset = offsetof(struct config_user, member)
#define CAMERA(name, opt_type, member)                                                             \
	.section = OPTION_CAMERA, .key = name, .type = opt_type,                                   \
	.offset = offsetof(struct config_camera, member)
#define STREAM(name, opt_type, member)                                                             \
	.section = OPTION_STREAM, .key = name, .type = opt_type,                                   \
	.offset = offsetof(struct config_stream, member)
#define CONTROL(name, opt_type) .section = OPTION_CAMERA, .key = name, .type = opt_type
#define FEED(name) .section = OPTION_STREAM, .key = name, .type = OPTION_LISTENERS

const struct option options[] = {
	/* clang-format off */
	{DAEMON("name", OPTION_NAME, name), .value = "%h",
	 .help = "Name of this server, shown to clients and in the status. %h is the host "
		 "name."},
	{DAEMON("backend", OPTION_WORD, backend), .value = "auto", .words = backend_words,
	 .help = "Kernel interface of the event loop. auto uses the best one that this "
		 "kernel allows."},
	{DAEMON("http", OPTION_HTTP, http), .value = "", .example = "0.0.0.0:8080",
	 .help = "Addresses of the HTTP server: the page with all cameras, every stream for "
		 "browsers and players (docs/API.md), and the status. Empty or off: none."},
	{DAEMON("rtsp", OPTION_RTSP, rtsp), .value = "", .example = "0.0.0.0:8554",
	 .help = "Addresses of the RTSP server: every stream for recorders and players, at "
		 "rtsp://HOST:PORT/STREAM (docs/RTSP.md). Empty or off: none."},
	{DAEMON("rtsp_udp", OPTION_BOOL, rtsp_udp), .value = "yes",
	 .help = "Whether viewers over RTSP may ask for UDP, as many players do first. What is lost "
		 "then is missing in their picture. no: they get TCP."},
	{DAEMON("satip", OPTION_BOOL, satip), .value = "yes",
	 .help = "Whether RTSP speaks SAT>IP with clients that ask for a stream without asking what "
		 "it is, as the VLC of Debian and Ubuntu does: they get H.264 in an MPEG transport "
		 "stream. no: they get what all others get, which that VLC cannot show."},
	{DAEMON("multicast_ttl", OPTION_NUMBER, multicast_ttl), .value = "1", .min = 1, .max = 255,
	 .help = "How far packets of multicast go (docs/RTSP.md): with 1 they stay in this "
		 "network, and each router on their way needs one more."},
	{DAEMON("multicast_interface", OPTION_HOST, multicast_interface), .value = "",
	 .example = "eth0",
	 .help = "Interface through which multicast is sent: its name, or its address. Empty: as the "
		 "routes of this machine say."},
	{DAEMON("mdns", OPTION_BOOL, mdns), .value = "yes",
	 .help = "Whether the page and the streams over RTSP are announced on the local network, by "
		 "mDNS (docs/DISCOVERY.md), so that programs list them. The Avahi daemon of this "
		 "machine does it, where one runs. Addresses of this machine alone are never announced."},
	{DAEMON("tls", OPTION_WORD, tls), .value = "no", .words = tls_words,
	 .help = "Whether the addresses of http and rtsp speak TLS (https://, rtsps://). auto: "
		 "TLS and plain, told apart by the first byte. This needs a section [tls]."},
	{DAEMON("http_hosts", OPTION_TEXT, http_hosts), .value = "",
	 .example = "cam.example.org, cam",
	 .help = "Names of this machine that requests to the status server may use, besides "
		 "its addresses, localhost, the host name, and the host name with .local. "
		 "Requests with other names are refused, so that a web site cannot read "
		 "the status through a browser. *: every name."},
	{DAEMON("allow", OPTION_RANGES, allow), .value = "", .example = "local, 192.168.7.0/24",
	 .help = "Addresses that may connect, over HTTP and raw TCP. local: the networks of this "
		 "machine's interfaces, loopback and link-local addresses. Empty: all."},
	{DAEMON("deny", OPTION_RANGES, deny), .value = "", .example = "192.168.7.99",
	 .help = "Addresses that may not connect, even if allow names them."},
	{DAEMON("control", OPTION_BOOL, control), .value = "no",
	 .help = "While there is no section [user]: let everybody who reaches the web page set the "
		 "controls of cameras and the bitrates of streams, and restart cameras. Pages of "
		 "other web sites may not. With users, may = control does that."},
	{DAEMON("anonymous", OPTION_MAY, anonymous), .value = "auto", .example = "view, status",
	 .help = "What those may do who give no name: view (watch), status, control. auto is view "
		 "and status while there is no section [user] and no client_ca, else nothing."},
	{DAEMON("rtsp_digest", OPTION_WORD, rtsp_digest), .value = "md5", .words = digest_words,
	 .help = "How RTSP asks for a user: by Digest with this hash, for users with a password_file, "
		 "and by Basic over TLS alone. Few players know sha256. no: by Basic, which without "
		 "TLS sends passwords in clear text."},
	{DAEMON("cors", OPTION_WORDS, cors), .value = "", .example = "https://ha.example.org:8123",
	 .help = "Web sites whose pages may read what is served here, with a password or token of "
		 "their own: origins as browsers send them. They may change nothing. *: every "
		 "site. Empty: none."},
	{DAEMON("max_clients", OPTION_NUMBER, max_clients), .value = "0",
	 .min = 0, .max = 1000000,
	 .help = "Limit of clients in all feeds together; the server closes further ones "
		 "at once. 0: as many as this machine's file descriptors and TCP memory "
		 "allow, at most 8192."},
	{DAEMON("max_clients_per_ip", OPTION_NUMBER, max_clients_per_ip), .value = "0",
	 .min = 0, .max = 1000000,
	 .help = "Limit of clients from one address. 0: three quarters of max_clients, at "
		 "least 64, and no limit for this machine itself."},
	{DAEMON("send_buffer", OPTION_NUMBER, send_buffer), .value = "131072", .unit = "bytes",
	 .min = 4096, .max = 64 << 20,
	 .help = "Limit of data that the kernel holds for one client (SO_SNDBUF)."},
	{DAEMON("notsent_lowat", OPTION_NUMBER, notsent_lowat), .value = "16384", .unit = "bytes",
	 .min = 1024, .max = 16 << 20,
	 .help = "Limit of unsent data that the kernel holds for one client "
		 "(TCP_NOTSENT_LOWAT). Data beyond it waits in camcastd, where it can "
		 "still be dropped. From 16384 on it is at least 32896, two records, for "
		 "clients with TLS in the kernel."},
	{DAEMON("send_threshold", OPTION_NUMBER, send_threshold), .value = "4096", .unit = "bytes",
	 .min = 0, .max = 1 << 30,
	 .help = "Pieces shorter than this are copied to the kernel; longer ones are sent "
		 "by reference."},
	{DAEMON("capture", OPTION_TEXT, capture), .value = "",
	 .example = "/usr/local/bin/camcast-capture",
	 .help = "Path of camcast-capture. Empty: beside camcastd, else in PATH."},
	{DAEMON("user", OPTION_TEXT, user), .value = "", .example = "camcast",
	 .help = "User that camcastd and its workers become after the ports are open, if root "
		 "starts camcastd. They also get the groups video and render. Files that are named "
		 "here must be readable for this user. Empty: the user stays."},
	{DAEMON("sandbox", OPTION_WORD, sandbox), .value = "auto", .words = sandbox_words,
	 .help = "Restrictions of the workers, which drive the cameras and decode recordings: "
		 "auto refuses them all files, devices and system calls that they do not need, "
		 "as far as this kernel can. no is for debuggers: it also makes the memory of "
		 "camcastd readable for other processes of its user."},

	{TLS("certificate", OPTION_TEXT, certificate), .value = "", .example = "/etc/camcast/certificate.pem",
	 .help = "Certificate of this server and, behind it, those of the authorities between it "
		 "and the one that clients trust, as PEM. camcastd --make-certificate makes one. A "
		 "file that changes is read again, without a restart."},
	{TLS("key", OPTION_TEXT, key), .value = "", .example = "/etc/camcast/key.pem",
	 .help = "Private key of the certificate, as PEM, without a passphrase. Empty: it is in "
		 "the file of the certificate."},
	{TLS("client_ca", OPTION_TEXT, client_ca), .value = "", .example = "/etc/camcast/viewers.pem",
	 .help = "Authorities, as PEM, whose certificates let viewers in: over raw TCP, HTTP and "
		 "RTSP with TLS. The common name (CN) of a certificate names its user; without "
		 "users each of them may view. A file that changes is read again, without a "
		 "restart."},
	{TLS("kernel", OPTION_WORD, kernel), .value = "no", .example = "auto",
	 .words = tls_kernel_words,
	 .help = "no: camcastd encrypts what is sent. auto: the kernel does, where it has its "
		 "module tls, so that the bytes of pictures need not be copied before. It changes "
		 "no keys: its viewers connect again after about a week."},

	{MQTT("broker", OPTION_HOST, broker), .value = "localhost", .example = "spawn",
	 .help = "Host of the MQTT broker through which clients find this server. spawn "
		 "starts a private mosquitto. Empty: no discovery, as without a section "
		 "[mqtt]."},
	{MQTT("port", OPTION_NUMBER, port), .value = "0", .min = 0, .max = 65535,
	 .help = "Port of the broker. 0: 1883, or 8883 with tls = yes."},
	{MQTT("username", OPTION_TEXT, username), .value = "", .example = "camcast",
	 .help = "User name for the broker. Empty: anonymous."},
	{MQTT("password", OPTION_TEXT, password), .value = "",
	 .help = "Password for the broker. A password_file is safer: everyone who can "
		 "read the configuration can read the password here. A blank followed by "
		 "; or # begins a comment."},
	{MQTT("password_file", OPTION_TEXT, password_file), .value = "",
	 .example = "/etc/camcast/mqtt-password",
	 .help = "File whose first line is the password. It is read at each connection. As a "
		 "service, camcastd takes a name without a slash for a credential of systemd "
		 "(LoadCredential=)."},
	{MQTT("client_id", OPTION_ID, client_id), .value = "",
	 .help = "MQTT client id. Empty: camcast- and the id. A broker accepts only one "
		 "client with the same id at a time."},
	{MQTT("keepalive", OPTION_NUMBER, keepalive), .value = "15", .unit = "s",
	 .min = 5, .max = 3600,
	 .help = "The broker reports this server as offline after one and a half of this "
		 "time without a sign of life."},
	{MQTT("version", OPTION_WORD, version), .value = "auto", .words = mqtt_version_words,
	 .help = "MQTT version. auto is 5, or 3.1.1 if the broker does not support 5."},
	{MQTT("tls", OPTION_BOOL, tls), .value = "no",
	 .help = "Encrypt the connection, and check the broker's certificate and host "
		 "name."},
	{MQTT("insecure", OPTION_BOOL, insecure), .value = "no",
	 .help = "Accept that the password goes to a broker on another machine without "
		 "encryption. Without tls = yes or insecure = yes such a configuration is "
		 "refused."},
	{MQTT("cafile", OPTION_TEXT, cafile), .value = "",
	 .help = "Needs tls: certificates of the authorities to trust. Empty: those that "
		 "this system trusts."},
	{MQTT("cert", OPTION_TEXT, cert), .value = "",
	 .help = "Needs tls: the client certificate, for brokers that ask for one."},
	{MQTT("key", OPTION_TEXT, key), .value = "",
	 .help = "Needs cert: the private key of the client certificate."},
	{MQTT("id", OPTION_ID, id), .value = "", .example = "porch",
	 .help = "Name in the topics camcast/ID/info and camcast/ID/status. It stays the "
		 "same over restarts. Empty: made from the host name, /etc/machine-id, "
		 "and the name and path of the configuration."},
	{MQTT("request_topic", OPTION_TOPICS, request_topic),
	 .value = "commend, commend/getIP, command/getIP",
	 .help = "Topics on which clients ask for servers."},
	{MQTT("response_prefix", OPTION_TOPIC, response_prefix), .value = "camera/response/",
	 .help = "Answer only on topics with this prefix, which all known clients use. "
		 "Empty: any topic except camcast's own, so that everyone who may publish "
		 "requests can have answers sent to the topics of others."},
	{MQTT("commands", OPTION_WORD, commands), .value = "auto", .words = mqtt_commands_words,
	 .help = "Accept restarts of cameras and bitrates of streams over MQTT, from "
		 "everyone who may publish on the topics of this server. auto is yes with "
		 "home_assistant = yes, else no."},
	{MQTT("advertise", OPTION_HOST, advertise), .value = "", .example = "192.0.2.7",
	 .help = "Address that clients are given. Empty: the address of the interface "
		 "towards the broker, or of the default route if the broker is on this "
		 "machine."},
	{MQTT("home_assistant", OPTION_BOOL, home_assistant), .value = "no",
	 .help = "Announce this server to Home Assistant: state, viewers, frame rate and "
		 "bitrate as sensors; restart and bitrate as controls, unless commands = no."},
	{MQTT("home_assistant_prefix", OPTION_TOPIC, home_assistant_prefix),
	 .value = "homeassistant",
	 .help = "Discovery prefix of Home Assistant."},
	{MQTT("spawn_address", OPTION_HOST, spawn_address), .value = "127.0.0.1",
	 .help = "Needs broker = spawn: the address on which the private mosquitto "
		 "listens. 0.0.0.0 opens it to the network; set spawn_password_file too."},
	{MQTT("spawn_password_file", OPTION_TEXT, spawn_password_file), .value = "",
	 .help = "Needs broker = spawn: the users of the private mosquitto, a file made "
		 "by mosquitto_passwd. username and password must then be set too. Empty: "
		 "every client is accepted."},

	{ONVIF("discovery", OPTION_BOOL, discovery), .value = "yes",
	 .help = "Answer WS-Discovery, so that recorders on the networks of this machine find the "
		 "server (UDP port 3702)."},
	{ONVIF("name", OPTION_TEXT, name), .value = "", .example = "Front door",
	 .help = "What recorders call this server. Empty: the name of [daemon]."},
	{ONVIF("location", OPTION_TEXT, location), .value = "", .example = "garden",
	 .help = "Where it is, for recorders that show this. Empty: nothing."},

	{USER("password", OPTION_HASH, password), .value = "",
	 .example = "$y$j9T$SALT$HASH-OF-THE-PASSWORD",
	 .help = "Hash of the password; \"camcast passwd\" makes one. Empty: the user has no "
		 "password here."},
	{USER("password_file", OPTION_TEXT, password_file), .value = "",
	 .example = "",
	 .help = "File whose first line is the password itself, instead of password: for ways to "
		 "log in that a hash does not allow. Nobody but its owner may read it (mode 0600). "
		 "A name without a slash is a credential of systemd."},
	{USER("token_file", OPTION_TEXT, token_file), .value = "",
	 .example = "/etc/camcast/anna.token",
	 .help = "File whose first line is a token, for programs that cannot log in: 20 to 128 "
		 "letters, digits and -._~+/=, as \"openssl rand -hex 20\" makes them. Nobody but its "
		 "owner may read it."},
	{USER("may", OPTION_MAY, may), .value = "view",
	 .help = "What the user may do: view (watch), status, control (restart, bitrate, controls "
		 "of cameras)."},
	{USER("streams", OPTION_WORDS, streams), .value = "", .example = "front-h264",
	 .help = "The streams that the user may watch and control. Empty: all."},

	{CAMERA("source", OPTION_SOURCE, source), .value = "auto",
	 .words = WORDS("auto", "libcamera", "libcamera:ID", "pattern", "file:PATH", "url:URL",
			"exec:PROGRAM ARGUMENTS", "pipe:PATH"),
	 .help = "Where the pictures come from. libcamera:ID is the camera whose id or "
		 "model contains ID. file:PATH plays a recording in a loop. url: takes pictures "
		 "from the network (rtsp, http, https, tcp, srt, udp), exec: from the output of "
		 "a program, and pipe: from a named pipe (docs/CAMERAS.md). auto is the "
		 "first libcamera camera, or pattern until one appears."},
	{CAMERA("url_options", OPTION_URL_OPTIONS, url_options), .value = "",
	 .help = "Needs source = url:URL: options of libavformat for it, such as "
		 "rtsp_transport=udp."},
	{CAMERA("size", OPTION_SIZE, size), .value = "1280x720", .min = 16, .max = 8192,
	 .help = "Width and height of the pictures."},
	{CAMERA("framerate", OPTION_RATE, framerate), .value = "30", .min = 0.1, .max = 240,
	 .unit = "pictures/s",
	 .help = "Pictures per second."},
	{CAMERA("buffers", OPTION_NUMBER, buffers), .value = "6", .min = 3, .max = 32,
	 .help = "Number of raw pictures that can be in use at a time."},
	{CAMERA("allocator", OPTION_WORD_TEXT, allocator), .value = "auto",
	 .words = WORDS("auto", "dma-heap:vidbuf_cached", "dma-heap:linux,cma", "dma-heap:system",
			"udmabuf", "memfd", "libcamera"),
	 .help = "Where memory for raw pictures comes from. auto tries these in their "
		 "order."},
	{CAMERA("hflip", OPTION_BOOL, hflip), .value = "no", .help = "Mirror left and right."},
	{CAMERA("vflip", OPTION_BOOL, vflip), .value = "no", .help = "Mirror top and bottom."},
	{CAMERA("rotation", OPTION_WORD_NUMBER, rotation), .value = "0", .unit = "degrees",
	 .words = WORDS("0", "180"),
	 .help = "Rotation of the picture."},
	{CAMERA("tuning_file", OPTION_TEXT, tuning_file), .value = "",
	 .example = "/usr/share/libcamera/ipa/rpi/vc4/imx708_noir.json",
	 .help = "Tuning file of libcamera. Empty: the one that belongs to the sensor."},
	{CONTROL("brightness", OPTION_CONTROL_DECIMAL), .example = "0.0", .min = -1, .max = 1,
	 .help = "Brightness; 0 leaves it unchanged."},
	{CONTROL("contrast", OPTION_CONTROL_DECIMAL), .example = "1.0", .min = 0, .max = 16,
	 .help = "Contrast; 1 is normal."},
	{CONTROL("saturation", OPTION_CONTROL_DECIMAL), .example = "1.0", .min = 0, .max = 16,
	 .help = "Saturation; 1 is normal, 0 is grey."},
	{CONTROL("sharpness", OPTION_CONTROL_DECIMAL), .example = "1.0", .min = 0, .max = 16,
	 .help = "Sharpness; 1 is normal."},
	{CONTROL("ev", OPTION_CONTROL_DECIMAL), .example = "0.0", .min = -10, .max = 10,
	 .unit = "stops",
	 .help = "Exposure compensation."},
	{CONTROL("shutter", OPTION_CONTROL_DECIMAL), .example = "10000", .min = 0, .max = 1e9,
	 .unit = "us", .help = "Exposure time. 0: automatic."},
	{CONTROL("gain", OPTION_CONTROL_DECIMAL), .example = "2.0", .min = 0, .max = 256,
	 .help = "Analogue gain. 0: automatic."},
	{CONTROL("exposure", OPTION_CONTROL_WORD), .example = "normal",
	 .words = WORDS("normal", "short", "long", "custom"),
	 .help = "What the automatic exposure prefers."},
	{CONTROL("metering", OPTION_CONTROL_WORD), .example = "centre",
	 .words = WORDS("centre", "spot", "matrix", "custom"),
	 .help = "Part of the picture that the automatic exposure measures."},
	{CONTROL("flicker_period", OPTION_CONTROL_DECIMAL), .example = "10000",
	 .min = 0, .max = 1e6, .unit = "us",
	 .help = "Period of lamp flicker to avoid: 10000 for 50 Hz mains, 8333 for 60 Hz. "
		 "0: off."},
	{CONTROL("awb", OPTION_CONTROL_WORD), .example = "auto",
	 .words = WORDS("auto", "incandescent", "tungsten", "fluorescent", "indoor", "daylight",
			"cloudy", "custom"),
	 .help = "White balance."},
	{CONTROL("awb_gains", OPTION_CONTROL_DECIMALS), .example = "1.8,1.5",
	 .min = 0, .max = 32, .count = 2,
	 .help = "Manual white balance: the gains of red and blue."},
	{CONTROL("denoise", OPTION_CONTROL_WORD), .example = "auto",
	 .words = WORDS("auto", "off", "cdn_off", "cdn_fast", "cdn_hq"),
	 .help = "Noise reduction."},
	{CONTROL("hdr", OPTION_CONTROL_WORD), .example = "off",
	 .words = WORDS("off", "auto", "sensor", "single-exp"), .help = "High dynamic range."},
	{CONTROL("af_mode", OPTION_CONTROL_WORD), .example = "continuous",
	 .words = WORDS("manual", "auto", "continuous"), .help = "Autofocus."},
	{CONTROL("af_range", OPTION_CONTROL_WORD), .example = "normal",
	 .words = WORDS("normal", "macro", "full"),
	 .help = "Distances that the autofocus searches."},
	{CONTROL("af_speed", OPTION_CONTROL_WORD), .example = "normal",
	 .words = WORDS("normal", "fast"),
	 .help = "Speed of the autofocus."},
	{CONTROL("lens_position", OPTION_CONTROL_DECIMAL), .example = "0.5", .min = 0, .max = 32,
	 .unit = "dioptres",
	 .help = "Manual focus: 1 divided by the distance in metres; 0 is infinity."},
	{CONTROL("roi", OPTION_CONTROL_RECTANGLE), .example = "0.25,0.25,0.5,0.5",
	 .help = "Digital zoom: the part of the picture to use."},

	{STREAM("camera", OPTION_REFERENCE, camera), .example = "front",
	 .help = "The camera whose pictures are encoded. This key is required."},
	{STREAM("codec", OPTION_WORD, codec), .value = "h264", .words = codec_words,
	 .help = "Codec of the stream."},
	{STREAM("encoder", OPTION_WORD, encoder), .value = "auto", .words = encoder_words,
	 .help = "auto uses hardware if possible, else software; coded pictures of a file "
		 "or camera that need no turning are copied. copy sends them without "
		 "encoding in any case, also while other streams encode them. v4l2m2m, "
		 "openh264 and x264 make H.264; mjpeg makes MJPEG."},
	{STREAM("bitrate", OPTION_NUMBER, bitrate), .value = "2000000", .unit = "bit/s",
	 .min = 10000, .max = 200000000,
	 .help = "Mean bitrate of H.264. Units: 2M, 2000k, 2 Mbit/s."},
	{STREAM("keyframe_interval", OPTION_NUMBER, keyframe_interval), .value = "30",
	 .unit = "pictures", .min = 1, .max = 10000,
	 .help = "Number of pictures from one IDR picture to the next."},
	{STREAM("quality", OPTION_NUMBER, quality), .value = "80", .min = 1, .max = 100,
	 .help = "Quality of MJPEG."},
	{STREAM("temporal_layers", OPTION_NUMBER, temporal_layers), .value = "1",
	 .min = 1, .max = 3,
	 .help = "With 2 or 3, the pictures of the upper layers can be dropped for a slow "
		 "client. This needs openh264, which encoder = auto then uses."},
	{STREAM("profile", OPTION_WORD, profile), .value = "high", .words = profile_words,
	 .help = "H.264 profile."},
	{STREAM("level", OPTION_WORD_TEXT, level), .value = "auto",
	 .words = WORDS("auto", "3.0", "3.1", "3.2", "4.0", "4.1", "4.2", "5.0", "5.1", "5.2"),
	 .help = "H.264 level."},
	{STREAM("sei", OPTION_BOOL, sei), .value = "no",
	 .help = "Put a sequence number and the capture time into every access unit, for "
		 "measurements."},
	{STREAM("on_demand", OPTION_BOOL, on_demand), .value = "no",
	 .help = "Encode only while a client is watching."},
	{STREAM("linger_ms", OPTION_NUMBER, linger_ms), .value = "5000", .unit = "ms",
	 .min = 0, .max = 3600000,
	 .help = "How long a feed that is written only while somebody watches it continues after "
		 "the last client has left: every feed of a stream with on_demand, and the feeds "
		 "over HTTP."},
	{STREAM("allow", OPTION_RANGES, allow), .value = "", .example = "local",
	 .help = "Addresses that may watch this stream, of those that [daemon] lets in. Empty: all "
		 "of them."},
	{STREAM("deny", OPTION_RANGES, deny), .value = "", .example = "192.168.7.99",
	 .help = "Addresses that may not watch this stream, even if allow names them."},
	{STREAM("push", OPTION_PUSH, push), .value = "",
	 .example = "rtmp://live.example.org/app/STREAM-KEY",
	 .help = "Servers to which the stream is sent: rtmp://, rtmps://, rtsp:// and srt:// URLs, "
		 "separated by commas (docs/PUSH.md). This needs codec = h264. With on_demand a "
		 "stream is encoded for them all the time."},
	{STREAM("v4l2_device", OPTION_TEXT, v4l2_device), .value = "", .example = "/dev/video11",
	 .help = "Device of v4l2m2m. Empty: the first device that encodes the format."},
	{STREAM("v4l2_format", OPTION_FOURCC, v4l2_format), .value = "H264",
	 .help = "Coded format requested from v4l2m2m. Only tests need another one."},
	{FEED("annexb"), .example = "0.0.0.0:8888",
	 .help = "A feed: the H.264 byte stream, which any player can read. Several "
		 "addresses are separated by commas; with port 0 the kernel chooses a "
		 "port."},
	{FEED("length_prefixed"), .example = "0.0.0.0:8000",
	 .help = "A feed: each picture follows its length, four bytes, big-endian. "
		 "Addresses are written as for annexb. A stream needs one of the two keys, unless "
		 "[daemon] has http or rtsp."},
	{STREAM("tls", OPTION_WORD, tls), .value = "no", .words = tls_words,
	 .help = "Whether annexb and length_prefixed speak TLS (tls://). auto: TLS and plain TCP, "
		 "told apart by the first byte; a client that says nothing for a second gets plain "
		 "TCP. This needs a section [tls]."},
	{STREAM("max_clients", OPTION_NUMBER, max_clients), .value = "0",
	 .min = 0, .max = 1000000,
	 .help = "Limit of clients in each feed of this stream. 0: only the limit of "
		 "[daemon]."},
	{STREAM("join_burst_ms", OPTION_NUMBER, join_burst_ms), .value = "500", .unit = "ms",
	 .min = 0, .max = 60000,
	 .help = "A new client starts at the newest key picture if it is younger than this, else at "
		 "a new one. With encoder = copy it starts at the newest one whatever its age, and is "
		 "sent everything since then at once. Less than shed_lag_ms."},
	{STREAM("shed_lag_ms", OPTION_NUMBER, shed_lag_ms), .value = "800", .unit = "ms",
	 .min = 1, .max = 600000,
	 .help = "A client that is further behind is not sent droppable pictures. If it falls "
		 "behind by another half of this, it goes on at the next new key picture. Less "
		 "than max_lag_ms."},
	{STREAM("max_lag_ms", OPTION_NUMBER, max_lag_ms), .value = "2000", .unit = "ms",
	 .min = 1, .max = 600000,
	 .help = "A client that is further behind goes on at the newest key picture. A client "
		 "that paused on its own is measured against its own pace. Less than history_ms."},
	{STREAM("stall_timeout_ms", OPTION_NUMBER, stall_timeout_ms), .value = "10000",
	 .unit = "ms", .min = 100, .max = 3600000,
	 .help = "A client that does not take one picture within this time is "
		 "disconnected."},
	{STREAM("history_ms", OPTION_NUMBER, history_ms), .value = "8000", .unit = "ms",
	 .min = 1, .max = 600000,
	 .help = "How much coded video is kept, and thus how long a player may pause "
		 "without a drop. With encoder = copy: at least the time between two key "
		 "pictures."},
	{STREAM("history_max", OPTION_NUMBER, history_max), .value = "0", .unit = "bytes",
	 .min = 0, .max = UINT32_MAX,
	 .help = "Limit of the coded video kept for each feed. 0: derived from the "
		 "bitrate."},
	{STREAM("segment_size", OPTION_NUMBER, segment_size), .value = "1048576", .unit = "bytes",
	 .min = 65536, .max = CAMCAST_SEGMENT_MAX,
	 .help = "Size of the memory files that hold coded video."},
	{STREAM("multicast", OPTION_GROUP, multicast), .value = "", .example = "239.255.42.1:5004",
	 .help = "Multicast group of the stream and the even port of RTP in it: one send for "
		 "everybody on the network, who can all receive it, without a password "
		 "(docs/RTSP.md). Players ask for it over RTSP. Empty: none."},
	{STREAM("multicast_ts", OPTION_BOOL, multicast_ts), .value = "no",
	 .help = "Send the group an MPEG transport stream, which VLC of Debian and set-top boxes "
		 "can play; players of RTSP ask for it as clients of SAT>IP only. no: H.264 or JPEG "
		 "in RTP."},
	{STREAM("multicast_always", OPTION_BOOL, multicast_always), .value = "no",
	 .help = "Send to the group all the time, also to players that do not ask over RTSP: they "
		 "get its description at http://HOST:PORT/STREAM.sdp. no: while somebody asks."},
	{STREAM("sap", OPTION_BOOL, sap), .value = "no",
	 .help = "Announce the multicast group to the network by SAP, every five seconds, and send to "
		 "it all the time, as with multicast_always."},
	{STREAM("packet_size", OPTION_NUMBER, packet_size), .value = "1400", .unit = "bytes",
	 .min = CAMCAST_RTP_PACKET_MIN, .max = CAMCAST_RTP_PACKET_MAX,
	 .help = "Longest RTP packet of the stream over RTSP. A network with tunnels may need less, "
		 "so that UDP is not cut up."},
	/* clang-format on */
};
const size_t n_options = sizeof options / sizeof *options;

bool option_is_key(const char *key, const char *written)
{
	while (*key && (*written == '-' ? '_' : tolower((unsigned char)*written)) == *key)
		key++, written++;
	return *key == '\0' && *written == '\0';
}

const struct option *option_find(enum option_section section, const char *key)
{
	for (size_t i = 0; i < n_options; i++)
		if (options[i].section == section && option_is_key(options[i].key, key))
			return &options[i];
	return NULL;
}

bool option_section_is_single(enum option_section section)
{
	return section == OPTION_DAEMON || section == OPTION_TLS || section == OPTION_MQTT ||
	       section == OPTION_ONVIF;
}

bool option_is_control(const struct option *option)
{
	return option->type >= OPTION_CONTROL_DECIMAL;
}

const char *config_framing_name(enum config_framing framing)
{
	return framing_words[framing];
}

const char *config_codec_name(enum config_codec codec)
{
	return codec_words[codec];
}

const char *config_encoder_name(enum config_encoder encoder)
{
	return encoder_words[encoder];
}

/* --- what is allowed, in words --- */

const char *option_describe(const struct option *o, char *buf)
{
	size_t len = 0;

	buf[0] = '\0';
	switch (o->type) {
	case OPTION_TEXT:
		return strcpy(buf, "text");
	case OPTION_NAME:
		snprintf(buf, OPTION_DESCRIPTION_MAX,
			 "1 to %d bytes of text; %%h is the host name, %%%% a percent sign",
			 OPTION_NAME_MAX);
		return buf;
	case OPTION_FOURCC:
		return strcpy(buf, "four letters or digits");
	case OPTION_SOURCE:
	case OPTION_WORD:
	case OPTION_WORD_TEXT:
	case OPTION_WORD_NUMBER:
	case OPTION_CONTROL_WORD:
		for (size_t i = 0; o->words[i]; i++)
			len += (size_t)snprintf(buf + len, OPTION_DESCRIPTION_MAX - len, "%s%s",
						i ? ", " : "", o->words[i]);
		return buf;
	case OPTION_BOOL:
		return strcpy(buf, "yes, no");
	case OPTION_NUMBER:
	case OPTION_CONTROL_DECIMAL:
		len = (size_t)snprintf(buf, OPTION_DESCRIPTION_MAX, "%.0f to %.0f", o->min, o->max);
		break;
	case OPTION_SIZE:
		snprintf(buf, OPTION_DESCRIPTION_MAX,
			 "WIDTHxHEIGHT, even numbers from %.0f to %.0f, or 720p, 1080p and the "
			 "like",
			 o->min, o->max);
		return buf;
	case OPTION_RATE:
		len = (size_t)snprintf(buf, OPTION_DESCRIPTION_MAX,
				       "a number like 30, 29.97 or 30000/1001, from %g to %g",
				       o->min, o->max);
		break;
	case OPTION_HTTP:
	case OPTION_RTSP:
		snprintf(buf, OPTION_DESCRIPTION_MAX,
			 "1 to %d of ADDRESS:PORT, [IPV6]:PORT, HOST:PORT or PORT, separated by "
			 "commas, or off",
			 CONFIG_LISTENERS_MAX);
		return buf;
	case OPTION_HOST:
		return strcpy(buf, "a host name, an address, or nothing");
	case OPTION_GROUP:
		return strcpy(buf, "GROUP:PORT of a multicast group (224.0.1.0 to 239.255.255.255, "
				   "or [IPV6]) with an even port from 1024 on, or nothing");
	case OPTION_ID:
		snprintf(buf, OPTION_DESCRIPTION_MAX, "at most %d letters, digits, '-' or '_'",
			 CONFIG_MQTT_ID_MAX - 1);
		return buf;
	case OPTION_TOPICS:
		snprintf(buf, OPTION_DESCRIPTION_MAX,
			 "1 to %d MQTT topics without + and #, separated by commas",
			 CONFIG_TOPICS_MAX);
		return buf;
	case OPTION_TOPIC:
		return strcpy(buf, "the beginning of an MQTT topic, without + and #, or nothing");
	case OPTION_PUSH:
		snprintf(buf, OPTION_DESCRIPTION_MAX,
			 "at most %d URLs, separated by commas; a comma in a URL is %%2C",
			 CONFIG_PUSHES_MAX);
		return buf;
	case OPTION_MAY:
		snprintf(buf, OPTION_DESCRIPTION_MAX, "%snothing, or some of view, status, control",
			 o->value && strcmp(o->value, "auto") == 0 ? "auto, " : "");
		return buf;
	case OPTION_HASH:
		return strcpy(buf, "a hash of crypt(5), as \"camcast passwd\" prints it");
	case OPTION_WORDS:
		return strcpy(buf, "words without blanks, separated by commas, or nothing");
	case OPTION_RANGES:
		snprintf(buf, OPTION_DESCRIPTION_MAX,
			 "at most %d of ADDRESS, ADDRESS/BITS or local, separated by commas",
			 NET_RANGES_MAX);
		return buf;
	case OPTION_URL_OPTIONS:
		return strcpy(buf, "NAME=VALUE, several separated by blanks, or nothing");
	case OPTION_REFERENCE:
		return strcpy(buf, "the name of a camera");
	case OPTION_LISTENERS:
		snprintf(buf, OPTION_DESCRIPTION_MAX,
			 "1 to %d of ADDRESS:PORT, [IPV6]:PORT, HOST:PORT or PORT, separated by "
			 "commas",
			 CONFIG_LISTENERS_MAX);
		return buf;
	case OPTION_CONTROL_DECIMALS:
		snprintf(buf, OPTION_DESCRIPTION_MAX,
			 "%u numbers separated by commas, each %.0f to %.0f", o->count, o->min,
			 o->max);
		return buf;
	case OPTION_CONTROL_RECTANGLE:
		return strcpy(buf, "x,y,width,height in fractions of the picture, 0 to 1");
	}
	if (o->unit)
		snprintf(buf + len, OPTION_DESCRIPTION_MAX - len, " %s", o->unit);
	return buf;
}
