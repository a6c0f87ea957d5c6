/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/status/rows.h"

#define IN_WORKER(field) FIELD(in_worker, struct worker_status, field)
#define IN_STREAM(field) FIELD(in_stream, struct camcast_msg_stream, field)

/* --- a camera --- */

static const void *in_worker(const struct counted *c)
{
	return c->camera->status;
}
static const char *camera_name(const struct counted *c, char buffer[COUNTER_TEXT_MAX])
{
	(void)buffer;
	return c->camera->config->name;
}
static const char *camera_state(const struct counted *c, char buffer[COUNTER_TEXT_MAX])
{
	(void)buffer;
	return worker_state_name(c->camera->status->state);
}
static const char *camera_camera_state(const struct counted *c, char buffer[COUNTER_TEXT_MAX])
{
	(void)buffer;
	return worker_camera_state_name(c->camera->status->heartbeat.state);
}
static double camera_up(const struct counted *c)
{
	const struct worker_status *status = c->camera->status;

	return status->state == WORKER_RUNNING && status->heartbeat.state == CAMCAST_CAMERA_RUNNING;
}
static double camera_fps(const struct counted *c)
{
	const struct worker_status *status = c->camera->status;

	return status->pid ? status->heartbeat.fps_milli / 1e3 : 0;
}
static bool camera_waits(const struct counted *c)
{
	return c->camera->status->state == WORKER_BACKOFF;
}
static double camera_retry(const struct counted *c)
{
	return milliseconds(c->camera->status->retry_at_us - c->now_us);
}

static const struct counter cameras[] = {
	{"name", TEXT, .help = "The name of its section.", .text = camera_name},
	{"state", TEXT,
	 .help = "The state of its worker: `starting`, `running`, `backoff` (ended; camcastd will "
		 "start it again), `stopped`.",
	 .text = camera_state},
	{"camera_state", TEXT,
	 .help = "The camera's state as the worker reports it: `starting`, `running`, `silent` (no "
		 "picture for 2 s), `failed`.",
	 .text = camera_camera_state},
	{NULL, "camera_up", BOOL, .help = "Whether the camera delivers pictures.",
	 .number = camera_up},
	{"source", TEXT, .help = "The source in use, such as `libcamera:imx708`.",
	 IN_WORKER(heartbeat.source)},
	{"allocator", TEXT,
	 .help = "The allocator of the frame slots: `dma-heap:system`, `udmabuf`, `memfd`...",
	 IN_WORKER(heartbeat.allocator)},
	{"path", TEXT, .help = "How pictures reach the encoders.", IN_WORKER(heartbeat.path)},
	{"sandbox", TEXT,
	 .help = "What restricts its worker, such as `seccomp, landlock 6`, and what is missing; "
		 "`off`: nothing does.",
	 IN_WORKER(sandbox)},
	{"width", GAUGE, .unit = "pixels", .help = "The width of its pictures.",
	 IN_WORKER(heartbeat.width)},
	{"height", GAUGE, .unit = "pixels", .help = "The height of its pictures.",
	 IN_WORKER(heartbeat.height)},
	{"fps", "camera_fps", GAUGE, .help = "Pictures in the last second.", .number = camera_fps},
	{"frames", "camera_frames_total", COUNTER, .help = "Pictures since the worker started.",
	 IN_WORKER(heartbeat.frames)},
	{"dropped", "camera_dropped_total", COUNTER,
	 .help = "Pictures that were not used because no slot or encoder was free.",
	 IN_WORKER(heartbeat.dropped)},
	{"pid", GAUGE, .help = "The process id of the worker; 0: not running.", IN_WORKER(pid)},
	{"restarts", "camera_restarts_total", COUNTER, .help = "Restarts of the worker.",
	 IN_WORKER(restarts)},
	{"reconnects", "camera_reconnects_total", COUNTER,
	 .help = "Connections to a live source (a URL, a program, a pipe) that its worker lost.",
	 IN_WORKER(heartbeat.reconnects)},
	{"undead", "camera_undead_workers", GAUGE,
	 .help = "Workers that were killed but have not exited, because a driver is stuck or a "
		 "debugger holds them.",
	 IN_WORKER(undead)},
	{"retry_in_ms", GAUGE, .unit = "ms",
	 .help = "Time until the next start; in state `backoff` only.", .number = camera_retry,
	 .present = camera_waits},
	{"reason", TEXT,
	 .help = "Why there is no worker, or why the last one ended: its exit status, a signal, a "
		 "hang, or the rule of the protocol that it broke.",
	 IN_WORKER(reason)},
	{"camera_reason", TEXT, .help = "The camera's last trouble, as the worker reports it.",
	 IN_WORKER(heartbeat.reason)},
};

const struct counter_table rows_camera = {"cameras", "camera", ROWS(cameras)};

/* --- a stream --- */

static const struct camcast_msg_stream *stream_status(const struct counted *c)
{
	return &c->stream->camera->status->streams[c->stream->number];
}
/* Values over the last second are 0 without a worker. */
static bool stream_alive(const struct counted *c)
{
	return c->stream->camera->status->pid != 0;
}
static const void *in_stream(const struct counted *c)
{
	return stream_status(c);
}
static const char *stream_name(const struct counted *c, char buffer[COUNTER_TEXT_MAX])
{
	(void)buffer;
	return c->stream->config->name;
}
static const char *stream_camera(const struct counted *c, char buffer[COUNTER_TEXT_MAX])
{
	(void)buffer;
	return c->stream->camera->config->name;
}
static const char *stream_codec(const struct counted *c, char buffer[COUNTER_TEXT_MAX])
{
	(void)buffer;
	return config_codec_name(c->stream->config->codec);
}
static double stream_implied(const struct counted *c)
{
	return c->stream->config->implied;
}
static double stream_on_demand(const struct counted *c)
{
	return c->stream->config->on_demand;
}
static double stream_wanted(const struct counted *c)
{
	return c->stream->camera->status->wanted_us[c->stream->number] != 0;
}
static double stream_active(const struct counted *c)
{
	return stream_alive(c) && stream_status(c)->active;
}
static double stream_fps(const struct counted *c)
{
	return stream_alive(c) ? stream_status(c)->fps_milli / 1e3 : 0;
}
static double stream_bitrate(const struct counted *c)
{
	return stream_alive(c) ? stream_status(c)->bitrate_bps : 0;
}
static double stream_encode_us(const struct counted *c)
{
	return stream_alive(c) ? stream_status(c)->encode_us : 0;
}
static double stream_encode_seconds(const struct counted *c)
{
	return stream_encode_us(c) / 1e6;
}

static const struct counter streams[] = {
	{"name", TEXT, .help = "The name of its section.", .text = stream_name},
	{"implied", BOOL,
	 .help = "Whether it has no section: it is the MJPEG stream of a camera without one, for "
		 "HTTP, and its name is `CAMERA:jpeg`.",
	 .number = stream_implied},
	{"camera", TEXT, .help = "The camera whose pictures it encodes.", .text = stream_camera},
	{"codec", TEXT, .help = "`h264` or `mjpeg`.", .text = stream_codec},
	{"on_demand", BOOL,
	 .help = "Whether it is encoded only while it is watched, as configured.",
	 .number = stream_on_demand},
	{"wanted", "stream_wanted", BOOL,
	 .help = "Whether it should be encoded: it is watched, or it is not on demand.",
	 .number = stream_wanted},
	{"active", "stream_active", BOOL, .help = "Whether it is being encoded.",
	 .number = stream_active},
	{"encoder", TEXT,
	 .help = "The encoder in use: `openh264`, `x264`, `v4l2m2m`, `mjpeg`, `copy`.",
	 IN_STREAM(encoder)},
	{"detail", TEXT,
	 .help = "The encoder's device and conversion, and why a better one is not in use.",
	 IN_STREAM(detail)},
	{"fps", "stream_fps", GAUGE, .help = "Access units in the last second.",
	 .number = stream_fps},
	{"bitrate", "stream_bitrate_bps", GAUGE, .unit = "bit/s",
	 .help = "The bit rate over the last second.", .number = stream_bitrate},
	{"target_bitrate", GAUGE, .unit = "bit/s",
	 .help = "The bit rate set in the encoder, or the mean of a copied recording; 0: none.",
	 IN_STREAM(target_bps)},
	{"encode_us", GAUGE, .unit = "us",
	 .help = "Mean time from picture to access unit in the last second.",
	 .number = stream_encode_us},
	{NULL, "stream_encode_seconds", GAUGE, .unit = "s",
	 .help = "Mean time from picture to access unit in the last second.",
	 .number = stream_encode_seconds},
	{"units", "stream_units_total", COUNTER, .help = "Access units since the worker started.",
	 IN_STREAM(units)},
	{"keys", "stream_keys_total", COUNTER,
	 .help = "Access units that can be decoded without earlier ones (IDR, JPEG).",
	 IN_STREAM(keys)},
	{"dropped", "stream_dropped_total", COUNTER,
	 .help = "Pictures that the encoder had no room for.", IN_STREAM(dropped)},
	{"unframed", "stream_unframed_total", COUNTER,
	 .help = "Pictures that a framing which is watched does not carry: RTP carries no JPEG "
		 "with "
		 "Huffman tables of its own, or with a side of more than 2040 pixels.",
	 IN_STREAM(unframed)},
	{"idr_requests", "stream_idr_requests_total", COUNTER, .help = "IDRs encoded on request.",
	 IN_STREAM(idr_requests)},
};

const struct counter_table rows_stream = {"streams", "stream", ROWS(streams)};
