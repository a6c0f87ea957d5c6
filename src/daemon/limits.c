/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/limits.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/diag.h"
#include "daemon/push/push.h"
#include "daemon/rtsp/udp.h"
#include "daemon/worker/messages.h"
#include "net/listen.h"

/* Standard streams, the loop, timers, signals, the configuration, notification, and descriptors
 * that libraries open. */
#define FDS_BASE 64
/* The pair, the pidfd, the log lines and their epoll set, and descriptors that are open during a
 * start. */
#define FDS_PER_CAMERA 15
/* The pair, the URL, and as above. */
#define FDS_PER_PUSH 12
#define SEGMENTS_MIN 16
/* Of all feeds of a stream that exist only over HTTP, and of all that do only over RTSP: they are
 * written while somebody watches them. Where that is too few, a feed loses units up to the next key
 * unit. */
#define SEGMENTS_ON_DEMAND 32
/* Its packets, and the reports on them. */
#define FDS_PER_GROUP 2
/* 64 KiB in flight is 6.5 Mbit/s at 80 ms round trip. */
#define SEND_BUFFER_MIN 65536
/* Bounds for max_clients = 0: the clients that one loop can serve at 30 pictures a second, and a
 * minimum for machines with a tiny tcp_mem. */
#define CLIENTS_CHOSEN_MAX 8192
#define CLIENTS_CHOSEN_MIN 32

/* A picture's bytes where the configuration names no bitrate: a good JPEG takes about two bits a
 * pixel. */
static uint64_t bytes_per_second(const struct config *config, const struct config_stream *stream)
{
	const struct config_camera *camera = &config->cameras[stream->camera];

	if (stream->codec == CONFIG_CODEC_H264)
		return stream->bitrate / 8;
	return (uint64_t)camera->size.width * camera->size.height / 4 * camera->framerate.num /
	       (camera->framerate.den ? camera->framerate.den : 1);
}

/* Segments that a feed may have open: those of its history and, for stall_timeout, those in which a
 * client may have stopped in the middle of a unit. Segments may be only half full. */
static unsigned segments(const struct config *config, const struct config_stream *stream)
{
	uint64_t ms = (uint64_t)stream->history_ms + stream->stall_timeout_ms;
	uint64_t bytes = bytes_per_second(config, stream) * ms / 1000;
	uint64_t n = SEGMENTS_MIN + bytes / (stream->segment_size / 2 + 1);

	return n < WORKER_SEGMENTS_MAX ? (unsigned)n : WORKER_SEGMENTS_MAX;
}

/* Whether it has segments of its own; those of all other feeds of its stream are counted together.
 */
static bool is_counted(const struct config_feed *feed, const struct config_stream *stream)
{
	if (feed->n_listen > 0 || feed->kept)
		return true;
	if (feed->framing == CONFIG_FRAMING_MP4)
		return stream->push[0];
	if (feed->framing == CONFIG_FRAMING_RTP_TS ? !stream->multicast_ts : stream->multicast_ts)
		return false;
	return (stream->multicast_always || stream->sap) &&
	       (feed->framing == CONFIG_FRAMING_RTP || feed->framing == CONFIG_FRAMING_RTP_TS ||
		feed->framing == CONFIG_FRAMING_RTP_JPEG);
}

unsigned limits_fds_reserved(const struct config *config, unsigned others)
{
	const unsigned n_streams = (unsigned)config->n_streams;
	unsigned n = FDS_BASE + LIMITS_FDS_HELD + LISTEN_MAX + others;

	n += FDS_PER_CAMERA * (unsigned)config->n_cameras;
	for (size_t i = 0; i < config->n_feeds; i++) {
		const struct config_feed *feed = &config->feeds[i];
		const struct config_stream *stream = &config->streams[feed->stream];

		if (is_counted(feed, stream))
			n += segments(config, stream) + 2 * (unsigned)feed->n_listen;
	}
	for (size_t i = 0; i < config->n_streams; i++)
		n += config->streams[i].multicast[0] ? FDS_PER_GROUP : 0;
	n += FDS_PER_PUSH * (unsigned)pushes_configured(config);
	if (config->daemon.n_rtsp > 0 && config->daemon.rtsp_udp)
		n += 2 * UDP_PORTS_MAX;
	if (config->daemon.n_rtsp > 0)
		n += SEGMENTS_ON_DEMAND * n_streams;
	if (config->daemon.n_http > 0)
		n += SEGMENTS_ON_DEMAND * n_streams;
	return n;
}

/* A viewer over UDP has a socket for that besides its connection. */
static unsigned fds_per_client(const struct config *config)
{
	return config->daemon.n_rtsp > 0 && config->daemon.rtsp_udp ? 2 : 1;
}

/* Lowers max_clients to the number that the descriptors allow. `chosen`: the configuration did not
 * set it. */
static int fit_fds(struct config *config, unsigned others, bool chosen)
{
	unsigned reserved = limits_fds_reserved(config, others), each = fds_per_client(config);
	unsigned clients;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return -errno;
	if (limit.rlim_cur < limit.rlim_max) {
		rlim_t soft = limit.rlim_cur;

		limit.rlim_cur = limit.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
			limit.rlim_cur = soft;
	}
	if (limit.rlim_cur == RLIM_INFINITY ||
	    limit.rlim_cur >= (rlim_t)reserved + (rlim_t)each * config->daemon.max_clients)
		return 0;
	if (limit.rlim_cur < reserved + each) {
		diag_error("%llu file descriptors are too few: cameras and feeds alone need %u; "
			   "raise LimitNOFILE= of the service (or ulimit -n)",
			   (unsigned long long)limit.rlim_cur, reserved);
		return -EMFILE;
	}
	clients = (unsigned)((limit.rlim_cur - reserved) / each);
	if (!chosen)
		diag_warn("max_clients lowered from %u to %u: %llu file descriptors less %u for "
			  "cameras and feeds%s; raise LimitNOFILE= of the service (or ulimit -n), "
			  "or set max_clients",
			  config->daemon.max_clients, clients, (unsigned long long)limit.rlim_cur,
			  reserved, each > 1 ? ", two for each client (rtsp_udp)" : "");
	config->daemon.max_clients = clients;
	return 0;
}

void limits_fit_tcp_mem(struct config *config, uint64_t pressure_bytes, bool chosen)
{
	struct config_daemon *daemon = &config->daemon;
	/* The kernel doubles what SO_SNDBUF is given, and fills all of it. */
	uint64_t per_client = pressure_bytes / daemon->max_clients / 2;
	uint64_t clients;

	if (daemon->send_buffer == 0 || per_client >= daemon->send_buffer)
		return;
	clients = pressure_bytes / 2 / daemon->send_buffer;
	if (chosen) {
		daemon->max_clients =
			clients > CLIENTS_CHOSEN_MIN ? (uint32_t)clients : CLIENTS_CHOSEN_MIN;
		return;
	}
	if (per_client >= SEND_BUFFER_MIN) {
		diag_info("send_buffer lowered from %u to %" PRIu64
			  ", so that %u clients stay below the pressure mark of tcp_mem",
			  daemon->send_buffer, per_client, daemon->max_clients);
		daemon->send_buffer = (uint32_t)per_client;
		return;
	}
	if (daemon->send_buffer > SEND_BUFFER_MIN)
		daemon->send_buffer = SEND_BUFFER_MIN;
	diag_warn("%u slow clients could fill %" PRIu64 " MiB of socket buffers, and the kernel's "
		  "pressure mark is %" PRIu64 " MiB: set max_clients = %" PRIu64
		  " in [daemon], or raise net.ipv4.tcp_mem",
		  daemon->max_clients,
		  (uint64_t)daemon->max_clients * daemon->send_buffer * 2 >> 20,
		  pressure_bytes >> 20, pressure_bytes / 2 / daemon->send_buffer);
}

static void fit_tcp_mem(struct config *config, bool chosen)
{
	unsigned long long low, pressure, high;
	FILE *file = fopen("/proc/sys/net/ipv4/tcp_mem", "re");

	if (!file)
		return; /* some containers have no such file */
	if (fscanf(file, "%llu %llu %llu", &low, &pressure, &high) == 3)
		limits_fit_tcp_mem(config, pressure * (uint64_t)sysconf(_SC_PAGESIZE), chosen);
	fclose(file);
}

int limits_apply(struct config *config, unsigned others)
{
	bool chosen = config->daemon.max_clients == 0;
	int err;

	if (chosen)
		config->daemon.max_clients = CLIENTS_CHOSEN_MAX;
	err = fit_fds(config, others, chosen);
	if (err < 0)
		return err;
	fit_tcp_mem(config, chosen);
	if (chosen)
		diag_info("at most %u clients, which is what this machine can serve (max_clients = "
			  "0)",
			  config->daemon.max_clients);
	return 0;
}
