/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A capture worker without a camera. It publishes units of one exact size at a fixed rate, as the
 * first stream of its camera, through the code of camcast-capture: each wanted feed has its own
 * framing. camcastd starts it through `[daemon] capture = .../bench/feeder`. The environment says
 * what to publish:
 *
 *   CAMCAST_FEEDER="size=33000 rate=30 keyint=30 layers=1 sei=1 cpu=1"
 *
 * layers=2 makes every other unit droppable. sei=0 leaves numbers and times out of the units, as
 * camcast does by default. cpu is the core to run on; the default is that of
 * camcastd. CAMCAST_FOOTAGE=FILE.h264 publishes the units of that recording instead. If the stream
 * is MJPEG, the units only look like JPEGs.
 *
 * The feeder answers a request for an IDR as a camera does, at most once a second. With a recording
 * it jumps to the next key unit.
 */
#include <err.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench/lib/footage.h"
#include "bench/lib/unit.h"
#include "camcast/worker.h"
#include "capture/publish/link.h"
#include "capture/publish/output.h"
#include "config/config.h"

#define IDR_INTERVAL_US 1000000 /* between forced ones, as in camcast-capture */

struct feeder {
	uint32_t size, rate, keyint, layers;
	bool jpeg, sei;
	struct footage footage; /* n 0: none */
	uint32_t bitrate_bps;
	uint8_t *unit; /* room for the largest one */
	struct output output;
	uint32_t wanted; /* feeds, as in output_set_wanted() */
	uint64_t seq, keys, dropped, idr_requests;
	uint64_t skipped;   /* units of the recording that were jumped over */
	int64_t idr_due_us; /* the earliest time of the next forced one */
	bool idr_wanted, need_key;
	uint32_t since_key; /* units since the last key unit, that one included */
};

/* Decides about the next unit: whether it is a key unit, and whether others refer to it. */
static void choose_unit(struct feeder *feeder, bool *key, bool *droppable)
{
	const struct footage *footage = &feeder->footage;
	const struct footage_unit *unit;

	if (footage->n == 0) {
		*key = feeder->jpeg || feeder->need_key || feeder->since_key >= feeder->keyint;
		*droppable = !*key && feeder->layers > 1 && feeder->since_key % 2 == 1;
		return;
	}
	unit = footage_at(footage, feeder->seq + feeder->skipped);
	while (feeder->need_key && !unit->key)
		unit = footage_at(footage, feeder->seq + ++feeder->skipped);
	*key = unit->key;
	*droppable = unit->droppable;
}

static size_t write_unit(struct feeder *feeder, bool key, bool droppable, int64_t now_us)
{
	if (feeder->footage.n > 0)
		return footage_write(&feeder->footage, feeder->seq + feeder->skipped, feeder->seq,
				     now_us, feeder->unit);
	if (feeder->jpeg)
		unit_build_jpeg(feeder->unit, feeder->size);
	else
		unit_build(feeder->unit, feeder->size, feeder->seq, key, droppable,
			   feeder->sei ? now_us : -1);
	return feeder->size;
}

static void make_unit(struct feeder *feeder, int64_t now_us)
{
	struct access_unit unit = {.data = feeder->unit, .capture_us = now_us};
	struct output_result result;
	int r;

	feeder->idr_wanted |= output_needs_key(&feeder->output, now_us);
	if (feeder->idr_wanted && now_us >= feeder->idr_due_us) {
		feeder->need_key = true;
		feeder->idr_due_us = now_us + IDR_INTERVAL_US;
	}
	choose_unit(feeder, &unit.key, &unit.droppable);
	unit.len = write_unit(feeder, unit.key, unit.droppable, now_us);
	r = output_unit(&feeder->output, &unit, now_us, now_us, 1000000 / feeder->rate, &result);
	if (r < 0) {
		errno = -r;
		err(1, "unit");
	}
	if (unit.key)
		feeder->need_key = feeder->idr_wanted = false;
	feeder->keys += unit.key;
	feeder->since_key = unit.key ? 1 : feeder->since_key + 1;
	feeder->seq++;
}

/* --- messages --- */

static void tell(const void *message, size_t len)
{
	int r = link_send(CAMCAST_WORKER_FD, message, len, -1);

	if (r == -EPIPE || r == -ECONNRESET)
		exit(0);
	if (r < 0 && r != -EAGAIN) {
		errno = -r;
		err(1, "send");
	}
}

static void tell_status(const struct feeder *feeder)
{
	const struct camcast_msg_heartbeat beat = {.type = CAMCAST_MSG_HEARTBEAT,
						   .state = CAMCAST_CAMERA_RUNNING,
						   .frames = feeder->seq,
						   .fps_milli = feeder->rate * 1000,
						   .width = 1280,
						   .height = 720,
						   .source = "feeder"};
	const struct camcast_msg_stream stream = {.type = CAMCAST_MSG_STREAM,
						  .units = feeder->seq,
						  .keys = feeder->keys,
						  .dropped = feeder->dropped,
						  .idr_requests = feeder->idr_requests,
						  .fps_milli = feeder->rate * 1000,
						  .bitrate_bps = feeder->bitrate_bps,
						  .active = feeder->wanted != 0,
						  .can_force_idr = 1,
						  .encoder = "feeder"};

	tell(&beat, sizeof(beat));
	tell(&stream, sizeof(stream));
}

static void handle_want(void *user, const struct camcast_msg_want *message)
{
	struct feeder *feeder = user;
	int place = output_find(&feeder->output, message->feed);
	uint32_t bit;

	if (place < 0)
		return;
	bit = 1u << place;
	output_set_rtp(&feeder->output, message);
	feeder->need_key |= message->wanted && feeder->wanted == 0;
	feeder->wanted = message->wanted ? feeder->wanted | bit : feeder->wanted & ~bit;
	output_set_wanted(&feeder->output, feeder->wanted, message->wanted ? bit : 0,
			  clock_now_us());
}

static void handle_idr(void *user, const struct camcast_msg_idr *message)
{
	struct feeder *feeder = user;

	if (message->stream != 0)
		return;
	feeder->idr_wanted = true;
	feeder->idr_requests++;
}

static void handle_get_segment(void *user, const struct camcast_msg_get_segment *message)
{
	struct feeder *feeder = user;

	output_resend_segment(&feeder->output, message->feed, message->segment);
}

static void ignore_bitrate(void *user, const struct camcast_msg_bitrate *message)
{
	(void)user;
	(void)message;
}

static void ignore_control(void *user, const struct camcast_msg_control *message)
{
	(void)user;
	(void)message;
}

static void read_messages(struct feeder *feeder)
{
	static const struct link_handlers handlers = {.want = handle_want,
						      .idr = handle_idr,
						      .bitrate = ignore_bitrate,
						      .control = ignore_control,
						      .get_segment = handle_get_segment};

	if (link_receive(CAMCAST_WORKER_FD, &handlers, feeder) < 0)
		exit(0);
}

/* --- preparing --- */

static void run_on(unsigned core)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(core, &set);
	if (sched_setaffinity(0, sizeof(set), &set) < 0)
		err(1, "cpu");
}

static void read_environment(struct feeder *feeder)
{
	const char *text = getenv("CAMCAST_FEEDER"), *path;
	char word[16];
	unsigned value;
	int n;

	for (text = text ? text : ""; sscanf(text, " %15[a-z]=%u%n", word, &value, &n) == 2;
	     text += n) {
		if (strcmp(word, "size") == 0)
			feeder->size = value;
		else if (strcmp(word, "rate") == 0)
			feeder->rate = value;
		else if (strcmp(word, "keyint") == 0)
			feeder->keyint = value;
		else if (strcmp(word, "layers") == 0)
			feeder->layers = value;
		else if (strcmp(word, "sei") == 0)
			feeder->sei = value;
		else if (strcmp(word, "cpu") == 0)
			run_on(value);
		else
			break;
	}
	if (*text || feeder->size < UNIT_MIN || feeder->size > CAMCAST_UNIT_MAX ||
	    feeder->rate == 0 || feeder->rate > CAMCAST_UNIT_RATE_MAX || feeder->keyint == 0) {
		errno = EINVAL;
		err(1, "CAMCAST_FEEDER");
	}
	path = getenv("CAMCAST_FOOTAGE");
	if (path && (errno = -footage_open(&feeder->footage, path)) != 0)
		err(1, "%s", path);
	feeder->unit = malloc(feeder->footage.n ? feeder->footage.max_len : feeder->size);
	if (!feeder->unit)
		err(1, "memory");
	feeder->bitrate_bps =
		feeder->rate * 8 *
		(feeder->footage.n ? (uint32_t)feeder->footage.mean_len : feeder->size);
}

/* camcastd gives the configuration of one camera: -c FILE --camera NAME --worker. */
static struct config *load_config(int argc, char **argv)
{
	struct config *config;

	if (argc < 3 || strcmp(argv[1], "-c") != 0 ||
	    config_load(&config, argv[2], stderr, NULL, NULL) < 0)
		errx(2, "camcastd starts this program: feeder -c FILE ...");
	config->streams[0].sei = false; /* the units have it already */
	return config;
}

static void begin(struct feeder *feeder, const struct config *config)
{
	const struct camcast_msg_hello hello = {.type = CAMCAST_MSG_HELLO,
						.version = CAMCAST_WORKER_VERSION,
						.pid = (uint32_t)getpid()};
	const struct output_options options = {
		.config = config, .edit = {.keep_reorder = true}, .pair = CAMCAST_WORKER_FD};

	feeder->jpeg = config->streams[0].codec == CONFIG_CODEC_MJPEG;
	errno = -output_init(&feeder->output, &options);
	if (errno)
		err(1, "output");
	tell(&hello, sizeof(hello));
	feeder->wanted = output_kept(&feeder->output);
	output_set_wanted(&feeder->output, feeder->wanted, feeder->wanted, clock_now_us());
}

static void run(struct feeder *feeder)
{
	int64_t next_unit_us = clock_now_us(), next_status_us = next_unit_us;

	for (;;) {
		struct pollfd pair = {.fd = CAMCAST_WORKER_FD, .events = POLLIN};
		int64_t wait_us = next_unit_us - clock_now_us();
		struct timespec timeout = {0};

		if (wait_us > 0) {
			timeout.tv_sec = wait_us / 1000000;
			timeout.tv_nsec = wait_us % 1000000 * 1000;
		}
		if (ppoll(&pair, 1, &timeout, NULL) > 0)
			read_messages(feeder);
		if (clock_now_us() < next_unit_us)
			continue;
		if (feeder->wanted)
			make_unit(feeder, clock_now_us());
		next_unit_us += 1000000 / feeder->rate;
		if (next_unit_us >= next_status_us) {
			tell_status(feeder);
			next_status_us += 500000;
		}
	}
}

int main(int argc, char **argv)
{
	struct feeder feeder = {.size = 33000,
				.rate = 30,
				.keyint = 30,
				.layers = 1,
				.sei = true,
				.need_key = true};

	signal(SIGPIPE, SIG_IGN);
	read_environment(&feeder);
	begin(&feeder, load_config(argc, argv));
	run(&feeder);
}
