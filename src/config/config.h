/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The configuration. One table in options.c holds every key with its type, default, unit, range and
 * help; the parser, --check, --help-config and camcast.ini(5) are all made from it.
 */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/rate.h"
#include "net/address.h"

#define CONFIG_NAME_MAX 41			     /* a name in the file, terminator included */
#define CONFIG_STREAM_NAME_MAX (CONFIG_NAME_MAX + 5) /* also of an implied one: "front:jpeg" */
#define CONFIG_LISTENERS_MAX 8
#define CONFIG_CAMERAS_MAX 64
#define CONFIG_STREAMS_MAX 256
#define CONFIG_CONTROLS_MAX 64 /* control.NAME of a camera */
#define CONFIG_PUSHES_MAX 8    /* of a stream */
#define CONFIG_USERS_MAX 64
#define CONFIG_TOPICS_MAX 16
#define CONFIG_TOPIC_MAX 257	   /* bytes of an MQTT topic, terminator included */
#define CONFIG_MQTT_ID_MAX 65	   /* bytes of an id, terminator included */
#define CONFIG_FILE_MAX (1u << 20) /* bytes */

#define CONFIG_SOURCE_SHOWN_MAX 64 /* bytes of a source as people see it, terminator included */

enum config_sandbox { CONFIG_SANDBOX_AUTO, CONFIG_SANDBOX_NO };
enum config_backend { CONFIG_BACKEND_AUTO, CONFIG_BACKEND_EPOLL, CONFIG_BACKEND_URING };
/* What is spoken on the addresses of a listener. */
enum config_tls_kernel { CONFIG_TLS_KERNEL_AUTO, CONFIG_TLS_KERNEL_NO };
enum config_tls_mode { CONFIG_TLS_NO, CONFIG_TLS_YES, CONFIG_TLS_AUTO };
/* Digest authentication of RTSP. */
enum config_digest { CONFIG_DIGEST_NO, CONFIG_DIGEST_MD5, CONFIG_DIGEST_SHA256 };
enum config_codec { CONFIG_CODEC_H264, CONFIG_CODEC_MJPEG };
enum config_encoder {
	CONFIG_ENCODER_AUTO,
	CONFIG_ENCODER_V4L2M2M,
	CONFIG_ENCODER_OPENH264,
	CONFIG_ENCODER_X264,
	CONFIG_ENCODER_MJPEG,
	CONFIG_ENCODER_COPY,
};
/* How the units of a feed follow each other. */
enum config_framing {
	CONFIG_FRAMING_ANNEXB,		/* H.264: the byte stream */
	CONFIG_FRAMING_LENGTH_PREFIXED, /* a 32-bit length, and the picture */
	CONFIG_FRAMING_JPEG,		/* JPEG without any framing */
	CONFIG_FRAMING_MP4,		/* H.264: fragmented MP4, one picture a fragment */
	CONFIG_FRAMING_MP4_WS,		/* the same in messages of a WebSocket */
	CONFIG_FRAMING_MPEGTS,		/* H.264: an MPEG transport stream */
	CONFIG_FRAMING_MULTIPART,	/* JPEG: parts of multipart/x-mixed-replace */
	CONFIG_FRAMING_MULTIPART_EARLY, /* the same, the head of the next part after each picture */
	CONFIG_FRAMING_RTP,		/* H.264: RTP packets, interleaved for RTSP */
	CONFIG_FRAMING_RTP_JPEG,	/* JPEG: the same */
	CONFIG_FRAMING_RTP_TS,		/* H.264: an MPEG transport stream in RTP packets */
	CONFIG_FRAMINGS
};
enum config_profile { CONFIG_PROFILE_BASELINE, CONFIG_PROFILE_MAIN, CONFIG_PROFILE_HIGH };

/* What a user, or everybody, may do; one bit for each. */
enum config_may {
	CONFIG_MAY_VIEW = 1,	/* watch */
	CONFIG_MAY_STATUS = 2,	/* read the status, and who watches */
	CONFIG_MAY_CONTROL = 4, /* restart, bitrate, controls of cameras */
	CONFIG_MAY_AUTO = 8,	/* `anonymous` says nothing: config_anonymous() */
};

struct config_size {
	uint32_t width, height;
};

struct config_daemon {
	int line;   /* of its section; 0: there is none. The same in those below. */
	char *name; /* %h expanded */
	enum config_backend backend;
	struct net_address http[CONFIG_LISTENERS_MAX]; /* NET_LISTEN */
	size_t n_http;				       /* 0: HTTP is off */
	struct net_address rtsp[CONFIG_LISTENERS_MAX]; /* NET_LISTEN */
	size_t n_rtsp;				       /* 0: RTSP is off */
	bool rtsp_udp;				       /* viewers may have it */
	bool satip;				       /* as may those of SAT>IP */
	uint32_t multicast_ttl;			       /* 1..255 */
	char *multicast_interface; /* a name, or an address of this machine; "" : by route */
	bool mdns;	    /* http and rtsp are announced, where they are for other machines */
	char *allow, *deny; /* for net_ranges_parse(); "" : no such list */
	enum config_tls_mode tls; /* of http and rtsp */
	enum config_digest rtsp_digest;
	char *http_hosts;	     /* names of this machine in requests, separated by commas */
	bool control;		     /* without users: settings may be changed over HTTP */
	unsigned anonymous;	     /* enum config_may of those who say no name */
	char *cors;		     /* origins for config_next_word(), or "*" */
	uint32_t max_clients;	     /* in all feeds */
	uint32_t max_clients_per_ip; /* 0: a share of max_clients (serve/admission.h) */
	uint32_t send_buffer;	     /* bytes for SO_SNDBUF */
	uint32_t notsent_lowat;	     /* bytes for TCP_NOTSENT_LOWAT */
	uint32_t send_threshold; /* bytes; smaller runs are sent by send(), others by reference */
	enum config_sandbox sandbox;
	char *user;    /* for camcastd started by root, after its ports are open; "" : stays */
	char *capture; /* path of camcast-capture; "" : beside camcastd, else in PATH */
};

struct config_tls {
	int line;
	bool on;		 /* there is a section with a certificate */
	char *certificate, *key; /* paths; key "": in the file of the certificate */
	char *client_ca;	 /* path of the authorities of viewers' certificates; "": none */
	enum config_tls_kernel kernel; /* whether the kernel encrypts where it can */
};

/* ONVIF. */
struct config_onvif {
	bool on;	/* there is a section */
	bool discovery; /* by WS-Discovery */
	char *name;	/* "" : that of the server */
	char *location; /* "" : none */
};

enum config_mqtt_version { CONFIG_MQTT_AUTO, CONFIG_MQTT_5, CONFIG_MQTT_311 };
enum config_mqtt_commands { CONFIG_COMMANDS_AUTO, CONFIG_COMMANDS_YES, CONFIG_COMMANDS_NO };

struct config_mqtt {
	int line;
	bool on;      /* there is a section with a broker */
	char *broker; /* a host, "spawn", or "" */
	uint32_t port;
	char *username, *password, *password_file; /* "" : none */
	char *client_id;			   /* "" : from the id */
	uint32_t keepalive;			   /* seconds */
	enum config_mqtt_version version;
	bool tls;
	bool insecure; /* the password may leave this machine unencrypted */
	char *cafile, *cert, *key;
	char *id;	       /* "" : derived */
	char *request_topic;   /* valid topics, separated by commas: config_next_topic() */
	char *response_prefix; /* of the topics to which answers go; "" : any topic */
	enum config_mqtt_commands commands;
	char *advertise;
	bool home_assistant;
	char *home_assistant_prefix;
	char *spawn_address, *spawn_password_file;
};

struct config_user {
	char name[CONFIG_NAME_MAX];
	int line;
	char *password;	     /* its hash, as crypt(5) has it; "" : none */
	char *password_file; /* with the password itself; "" : none */
	char *token_file;    /* "" : none */
	unsigned may;	     /* enum config_may */
	char *streams;	     /* names for config_next_word(); "" : all */
};

struct config_control {
	char *name;  /* libcamera's name ("AeEnable") for control.NAME, else the friendly key
			("brightness") */
	char *value; /* as written */
	int line;
	bool raw; /* given as control.NAME */
};

struct config_camera {
	char name[CONFIG_NAME_MAX];
	int line;
	/* "auto", "libcamera", "libcamera:ID", "pattern", "file:PATH", "url:URL",
	 * "exec:PROGRAM ARGUMENTS", "pipe:PATH"; a URL and arguments may hold secrets, and are
	 * shown by config_source_show() alone. */
	char *source;
	char *url_options; /* NAME=VALUE for libavformat, for words_split(); may hold secrets */
	struct config_size size;
	struct rate framerate;
	uint32_t buffers; /* frame slots */
	char *allocator;  /* "auto" or one of the allocators' names (frame.h) */
	bool hflip, vflip;
	uint32_t rotation; /* 0 or 180 */
	char *tuning_file;
	struct config_control *controls; /* both kinds, in the order of the file */
	size_t n_controls;
	unsigned n_streams, n_feeds; /* of this camera */
};

struct config_stream {
	char name[CONFIG_STREAM_NAME_MAX];
	int line; /* implied: that of its camera */
	/* The file does not have it: the MJPEG stream of a camera without one, which exists for
	 * HTTP. It is on_demand, its name is that of the camera and ":jpeg", which no name in a
	 * file can be, and it has no addresses. */
	bool implied;
	unsigned camera; /* index */
	unsigned number; /* among its camera's streams, from 0, in the order of `streams` */
	enum config_codec codec;
	enum config_encoder encoder;
	uint32_t bitrate;	    /* bit/s */
	uint32_t keyframe_interval; /* pictures from IDR to IDR */
	uint32_t quality;	    /* JPEG, 1..100 */
	uint32_t temporal_layers;
	enum config_profile profile;
	char *level; /* "auto", "4.0"... */
	bool sei;
	bool on_demand;
	uint32_t linger_ms;
	char *allow, *deny; /* as in struct config_daemon */
	char *push;	    /* URLs for push_url_next(), at most CONFIG_PUSHES_MAX; "" : none */
	char *v4l2_device;  /* "" : search */
	char *v4l2_format;  /* coded fourcc, "H264"; another one only for tests */

	enum config_tls_mode tls; /* of annexb and length_prefixed */

	/* policy, for each feed of the stream */
	uint32_t max_clients; /* per feed */
	uint32_t join_burst_ms, shed_lag_ms, max_lag_ms, stall_timeout_ms;
	uint32_t history_ms;
	uint32_t history_max;  /* bytes a feed's index may refer to; 0: derived from bitrate */
	uint32_t segment_size; /* bytes */
	uint32_t packet_size;  /* bytes of an RTP packet, at most */

	char *multicast;       /* for net_group_parse(); "" : none */
	bool multicast_ts;     /* as a transport stream; H.264 only */
	bool multicast_always; /* it is sent also while nobody asks for it */
	bool sap;	       /* the same, and it is announced */
};

/* One framing of one stream. Every stream has a feed for each framing of its codec, whether it has
 * an address or not. The feeds of a stream stand one after another, in the order of enum
 * config_framing, and in the order of the streams. */
struct config_feed {
	unsigned stream; /* index */
	unsigned number; /* among its camera's feeds, from 0, in this order */
	enum config_framing framing;
	/* Written all the time. It has an address, or it is the first feed of a stream without
	 * addresses; and the stream is not on_demand. Other feeds are written while somebody
	 * watches them. */
	bool kept;
	/* For raw TCP: from the keys `annexb` and `length_prefixed`. NET_LISTEN. */
	struct net_address listen[CONFIG_LISTENERS_MAX];
	size_t n_listen;
};

/* Where a key was given. */
struct config_place {
	const char *key; /* borrowed for ever */
	int section;	 /* the line in which its section begins */
	int line;
};

struct config {
	struct config_daemon daemon;
	struct config_tls tls;
	struct config_mqtt mqtt;
	struct config_onvif onvif;
	struct config_user *users;
	size_t n_users;
	struct config_camera *cameras;
	size_t n_cameras;
	struct config_stream *streams; /* in the order of the file; then those that are implied */
	size_t n_streams;
	struct config_feed *feeds;
	size_t n_feeds;
	struct config_place *places;
	size_t n_places;
};

/*
 * Parses and checks text (len bytes, need not be terminated); `name` stands in messages before the
 * line number. Every mistake found is written to errors as "NAME:LINE: what is wrong; what is
 * allowed; did you mean". Returns 0 and *out (free with config_destroy), -EINVAL if there was any
 * mistake, or -ENOMEM. Any thread.
 */
int config_parse(struct config **out, const char *name, const char *text, size_t len, FILE *errors);

/* Reads path and parses it; on success *text (free it) and *len, if not NULL, get the bytes read,
 * so that they can be handed on. Returns also -errno of open and read, after a message to errors,
 * and -EFBIG. Any thread. */
int config_load(struct config **out, const char *path, FILE *errors, char **text, size_t *len);

/*
 * The part of a configuration that one camera's worker needs, as a text of its own: the sections of
 * the camera and of its streams, without comments, in the same lines as in `text`; all other lines
 * are empty, except that the keys `http` and `rtsp` stay, because a stream without addresses is
 * valid only with one of them. Other sections hold passwords. The numbers of streams and feeds
 * within the camera are the same as in the whole. config_parse() has accepted `text` (len bytes).
 * 0, with *out (free it) and *out_len; -ENOENT (no such camera) or -ENOMEM. Any thread.
 */
int config_excerpt(char **out, size_t *out_len, const char *text, size_t len, const char *camera);

/*
 * What is right in a configuration but cannot work on this machine, for this user: files that
 * cannot be played or read, addresses that cannot be listened on. Each is written to out as
 * "NAME:LINE: warning: ..." (without a line for a section that is not in the file). Names of
 * hosts are not resolved, and a port that is in use is not reported. Returns the number of
 * warnings. Any thread.
 */
size_t config_probe(const struct config *config, const char *name, FILE *out);

/* The line of a key in the section that begins in the line `section`; if the key is not there, that
 * of the section. Any thread. */
int config_line(const struct config *config, int section, const char *key);

void config_destroy(struct config *config);

/* The stream from which a JPEG of this stream's camera is made: the stream itself if it is MJPEG,
 * else the first MJPEG stream of the camera, which may be an implied one. NULL: there is none,
 * because HTTP is off. Borrowed. Any thread. */
const struct config_stream *config_snapshot_stream(const struct config *config,
						   const struct config_stream *stream);

/* --help-config: every key with default, unit, range and help, as a commented configuration. */
void config_help(FILE *out);

/* The options part of camcast.ini(5), in mdoc; used when the man page is built. */
void config_man(FILE *out);

/* Whether viewers are known by certificates. */
bool config_has_certificates(const struct config *config);
/* Whether all addresses to listen on are those of this machine alone, and nothing is multicast. */
bool config_is_loopback_only(const struct config *config);
/* Whether any feed has an address of its own. */
bool config_has_raw(const struct config *config);
/* Whether any listener speaks TLS. */
bool config_uses_tls(const struct config *config);

enum config_source_kind {
	CONFIG_SOURCE_UNKNOWN,
	CONFIG_SOURCE_AUTO,
	CONFIG_SOURCE_LIBCAMERA,
	CONFIG_SOURCE_PATTERN,
	CONFIG_SOURCE_FILE,
	CONFIG_SOURCE_URL,
	CONFIG_SOURCE_EXEC,
	CONFIG_SOURCE_PIPE,
};
/* *rest, if not NULL: what follows "file:" and the like, borrowed. Any thread. */
enum config_source_kind config_source_kind(const char *source, const char **rest);
/* Whether its pictures come when they come: url, exec, pipe. */
bool config_source_is_live(const char *source);
/* A source for logs and the status, without what may be a secret: "url:rtsp://HOST/...",
 * "exec:PROGRAM"; others as they are, cut to what fits. Any thread. */
void config_source_show(const char *source, char out[CONFIG_SOURCE_SHOWN_MAX]);

bool config_mqtt_spawns(const struct config_mqtt *mqtt);

/* Whether restarts and bitrates may be requested over MQTT: as `commands` says, and by default with
 * home_assistant only. Any thread. */
bool config_mqtt_takes_commands(const struct config_mqtt *mqtt);
/* Copies the next topic of a list such as request_topic to out and moves *list behind it; false
 * after the last one. Topics that are too long are cut: option_set() lets none through. */
bool config_next_topic(const char **list, char out[CONFIG_TOPIC_MAX]);

/* What those may do who say no name: what `anonymous` says; else view and status while there is
 * neither a user nor `client_ca`, with `control` if that is on, and nothing if there is one. Any
 * thread. */
unsigned config_anonymous(const struct config *config);
/* Rights as text, "view, status"; "nothing". Any thread. */
#define CONFIG_MAY_TEXT_MAX 32
void config_may_text(unsigned may, char text[CONFIG_MAY_TEXT_MAX]);
/* The next word of a list, separated by commas or blanks, of *len bytes; *list moves behind it.
 * NULL: there is none. Any thread. */
const char *config_next_word(const char **list, size_t *len);
/* Whether a word is in a list, in this case. Any thread. */
bool config_has_word(const char *list, const char *word);

/* "annexb", "length_prefixed", "jpeg", "mp4", "mp4_ws", "mpegts", "multipart", "multipart_early",
 * "rtp", "rtp_jpeg", "rtp_ts" */
const char *config_framing_name(enum config_framing framing);
const char *config_codec_name(enum config_codec codec);
const char *config_encoder_name(enum config_encoder encoder);

#endif
