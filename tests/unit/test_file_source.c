/* SPDX-License-Identifier: BSD-2-Clause */
/* The file source against recordings that ffmpeg makes, in real time: short ones, so that several
 * passes fit into a second. */
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <libavcodec/avcodec.h>

#include "base/clock.h"
#include "capture/source/source.h"
#include "capture/source/timeline.h"
#include "media/nal.h"

#define FRAMES 20 /* in each recording */
#define RATE 50
#define PERIOD_US (1000000 / RATE)
#define HELD_MAX 64

static char folder[] = "/tmp/test_file_source.XXXXXX";

/* --- recordings --- */

/* A grey picture that gets lighter by 8 with each of its FRAMES pictures, from 40 on. */
#define RAMP "-f lavfi -i \"nullsrc=s=%s:r=50:d=0.4,geq=lum='40+8*N':cb=128:cr=128,format=%s\" "
#define X264 "-c:v libx264 -preset veryfast -g 10 -bf 2 -qp 18 "

static void make(const char *name, const char *size, const char *pixels, const char *options)
{
	char command[1024];
	int n = snprintf(command, sizeof(command), "ffmpeg -nostdin -v error -y " RAMP, size,
			 pixels);

	snprintf(command + n, sizeof(command) - (size_t)n, "%s %s/%s", options, folder, name);
	if (system(command) != 0)
		fail_msg("%s", command);
}

static void write_file(const char *name, const char *text, size_t len)
{
	char path[256];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, len, file), len);
	assert_int_equal(fclose(file), 0);
}

static size_t read_file(const char *name, uint8_t *bytes, size_t size)
{
	char path[256];
	FILE *file;
	size_t len;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "r");
	assert_non_null(file);
	len = fread(bytes, 1, size, file);
	fclose(file);
	assert_in_range(len, 1, size - 1);
	return len;
}

/* The first `part` percent of another recording. */
static void cut(const char *from, const char *to, size_t part)
{
	static uint8_t bytes[1 << 20];
	size_t len = read_file(from, bytes, sizeof(bytes));

	write_file(to, (char *)bytes, len * part / 100);
}

/* A byte stream with no parameter sets but the first ones. */
static void strip(const char *from, const char *to)
{
	static uint8_t bytes[1 << 20], stripped[1 << 20];
	size_t len = read_file(from, bytes, sizeof(bytes)), pos = 0, out = 0;
	struct nal nal;
	bool began = false;

	while (nal_next(bytes, len, &pos, &nal)) {
		if (began && (nal.type == NAL_SPS || nal.type == NAL_PPS))
			continue;
		began |= nal.type == NAL_IDR;
		memcpy(stripped + out, "\0\0\0\1", 4);
		memcpy(stripped + out + 4, nal.data, nal.len);
		out += 4 + nal.len;
	}
	write_file(to, (char *)stripped, out);
}

static int make_recordings(void **state)
{
	static const char holes[] = "ffconcat version 1.0\nfile b.mp4\nfile missing.mp4\n";
	char list[128];

	(void)state;
	if (!mkdtemp(folder))
		return -1;
	make("b.mp4", "320x240", "yuv420p", X264);
	make("b.mkv", "320x240", "yuv420p", X264);
	make("b.ts", "320x240", "yuv420p", X264);
	make("b.h264", "320x240", "yuv420p", X264 "-bf 0");
	make("jpeg.avi", "320x240", "yuvj420p", "-c:v mjpeg -q:v 2");
	make("mpeg4.avi", "320x240", "yuv420p", "-c:v mpeg4 -q:v 2");
	make("padded.mp4", "1280x720", "yuv420p", X264);
	make("fine.mp4", "320x240", "yuv444p", X264);
	make("odd.mp4", "321x241", "yuv444p", X264);
	make("slow.avi", "320x240", "yuv420p", "-vf setpts=PTS*500 -r 0.1 -c:v mpeg4");
	make("still.png", "320x240", "rgb24", "-frames:v 1 -update 1");
	make("sound.mp4", "320x240", "yuv420p", "-f lavfi -i sine=d=1 -map 1:a -c:a aac");
	make("still.jpg", "320x240", "yuvj420p", "-frames:v 1 -update 1");
	make("light.png", "320x240", "rgb24", "-vf negate -frames:v 1 -update 1");
	make("'image-%d.png'", "320x240", "rgb24", "-frames:v 1 -update 1");
	make("'x ;* .png'", "320x240", "rgb24", "-frames:v 1 -update 1");
	write_file("holes.ffconcat", holes, strlen(holes));
	snprintf(list, sizeof(list), "ffconcat version 1.0\nfile '%s/x ;* .png'\nduration 0.1\n",
		 folder);
	write_file("odd.ffconcat", list, strlen(list));
	strip("b.h264", "once.h264");
	make("bare.ts", "320x240", "yuv420p", X264 "-bsf:v 'filter_units=remove_types=7|8'");
	cut("b.mp4", "cut.mp4", 50);
	cut("jpeg.avi", "cut.avi", 60);
	write_file("text.txt", "This is no recording, only words.\n", 34);
	write_file("empty.mp4", "", 0);
	return 0;
}

static int remove_recordings(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof(command), "rm -r %s", folder);
	return system(command);
}

/* --- a camera's worth of events --- */

struct seen {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned n; /* pictures of either kind */
	struct {
		int64_t pts_us, capture_us, at_us;
		uint32_t duration_us; /* packets */
		bool key;
		int luma; /* of the middle, if raw */
	} pictures[1000];
	uint8_t *bytes; /* coded, one after the other */
	size_t len, sizes[1000];
	struct frame *held[HELD_MAX];
	unsigned n_held, hold; /* how many to keep */
	bool gone;
	int error;
	char why[256];
};

static void note(struct seen *seen, int64_t pts_us, int64_t capture_us, uint32_t duration_us,
		 bool key, int luma)
{
	if (seen->n < 1000) {
		seen->pictures[seen->n].pts_us = pts_us;
		seen->pictures[seen->n].duration_us = duration_us;
		seen->pictures[seen->n].capture_us = capture_us;
		seen->pictures[seen->n].at_us = clock_now_us();
		seen->pictures[seen->n].key = key;
		seen->pictures[seen->n].luma = luma;
	}
	seen->n++;
	pthread_cond_signal(&seen->changed);
}

static int luma_of(const struct frame *frame)
{
	const struct frame_format *format = frame->format;
	uint8_t *map;
	int luma;

	assert_int_equal(slot_map(frame->ring, frame->slot, false, &map), 0);
	assert_int_equal(slot_begin_access(frame->ring, frame->slot, false), 0);
	luma = map[format->planes[0].offset + format->planes[0].stride * (format->height / 2) +
		   format->width / 2];
	slot_end_access(frame->ring, frame->slot, false);
	return luma;
}

static void handle_frame(void *user, struct frame *frame)
{
	struct seen *seen = user;
	int luma = luma_of(frame);

	pthread_mutex_lock(&seen->lock);
	note(seen, frame->capture_us, frame->capture_us, 0, true, luma);
	if (seen->n_held < seen->hold) {
		seen->held[seen->n_held++] = frame;
		frame = NULL;
	}
	pthread_mutex_unlock(&seen->lock);
	if (frame)
		frame_unref(frame);
}

static void handle_packet(void *user, const struct packet *packet)
{
	struct seen *seen = user;

	pthread_mutex_lock(&seen->lock);
	if (seen->n < 1000) {
		seen->bytes = realloc(seen->bytes, seen->len + packet->len);
		assert_non_null(seen->bytes);
		memcpy(seen->bytes + seen->len, packet->data, packet->len);
		seen->len += packet->len;
		seen->sizes[seen->n] = packet->len;
	}
	note(seen, packet->pts_us, packet->capture_us, packet->duration_us, packet->key, -1);
	pthread_mutex_unlock(&seen->lock);
}

static void handle_gone(void *user, int error, const char *why)
{
	struct seen *seen = user;

	pthread_mutex_lock(&seen->lock);
	seen->gone = true;
	seen->error = error;
	snprintf(seen->why, sizeof(seen->why), "%s", why);
	pthread_cond_signal(&seen->changed);
	pthread_mutex_unlock(&seen->lock);
}

/* Until n pictures were seen, or the source is gone; at most 20 s. */
static void wait_for(struct seen *seen, unsigned n)
{
	struct timespec end;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += 20;
	pthread_mutex_lock(&seen->lock);
	while (seen->n < n && !seen->gone)
		if (pthread_cond_timedwait(&seen->changed, &seen->lock, &end) == ETIMEDOUT)
			fail_msg("%u of %u pictures in 20 s", seen->n, n);
	pthread_mutex_unlock(&seen->lock);
}

/* Until no picture has come for as long as a pass takes. */
static void wait_until_none_comes(struct seen *seen)
{
	struct timespec end;
	unsigned n;

	pthread_mutex_lock(&seen->lock);
	do {
		n = seen->n;
		clock_gettime(CLOCK_REALTIME, &end);
		end.tv_nsec += FRAMES * PERIOD_US * 1000L;
		end.tv_sec += end.tv_nsec / 1000000000;
		end.tv_nsec %= 1000000000;
		while (seen->n == n &&
		       pthread_cond_timedwait(&seen->changed, &seen->lock, &end) != ETIMEDOUT)
			;
	} while (seen->n != n);
	pthread_mutex_unlock(&seen->lock);
}

struct player {
	struct seen seen;
	struct source *source;
	char path[300], why[256];
	int error;
};

static void open_player(struct player *player, const char *name, bool coded,
			enum config_codec codec)
{
	struct config_camera config = {
		.name = "test",
		.size = {640, 480},
		.framerate = {RATE, 1},
		.buffers = 6,
		.allocator = (char *)(uintptr_t) "auto",
	};
	struct source_events events = {handle_frame, handle_packet, handle_gone, &player->seen};

	memset(player, 0, sizeof(*player));
	pthread_mutex_init(&player->seen.lock, NULL);
	pthread_cond_init(&player->seen.changed, NULL);
	snprintf(player->path, sizeof(player->path), "file:%s/%s", folder, name);
	config.source = player->path;
	player->error = source_open(&player->source, &config, coded, codec, &events, player->why);
}

static void close_player(struct player *player)
{
	if (!player->error)
		source_close(player->source);
	free(player->seen.bytes);
}

/* Plays until n pictures were seen. */
static void play(struct player *player, const char *name, bool coded, enum config_codec codec,
		 unsigned n)
{
	open_player(player, name, coded, codec);
	if (player->error)
		fail_msg("%s: %s", name, player->why);
	assert_int_equal(source_start(player->source), 0);
	wait_for(&player->seen, n);
	source_stop(player->source);
	if (player->seen.gone)
		fail_msg("%s: %s", name, player->seen.why);
}

/* --- what must hold of every recording --- */

/* One picture a period, without end: time neither jumps back nor has a gap where a pass ends. The
 * exception is a machine so slow that the source stops hurrying (LATE_US) and moves its start. */
static void assert_even(const struct seen *seen, int64_t period_us)
{
	for (unsigned i = 1; i < seen->n; i++) {
		const int64_t step =
			seen->pictures[i].capture_us - seen->pictures[i - 1].capture_us;

		if (step < period_us - 2000 || (step > period_us + 2000 && step < 500000))
			fail_msg("picture %u comes %lld us after the one before", i,
				 (long long)step);
	}
}

/* How late is up to the machine. */
static void assert_never_early(const struct seen *seen)
{
	for (unsigned i = 0; i < seen->n; i++)
		assert_true(seen->pictures[i].at_us >= seen->pictures[i].capture_us);
}

/* For what is no work: late only by what a loaded machine may do. */
static void assert_paced(const struct seen *seen)
{
	unsigned late = 0;

	assert_never_early(seen);
	for (unsigned i = 0; i < seen->n; i++)
		late += seen->pictures[i].at_us > seen->pictures[i].capture_us + 2 * PERIOD_US;
	assert_true(late <= seen->n / 4);
}

/* Decodes what was passed on, strictly; returns the number of pictures. */
static unsigned decode_all(const struct seen *seen, enum AVCodecID id)
{
	AVCodecContext *codec = avcodec_alloc_context3(avcodec_find_decoder(id));
	AVFrame *picture = av_frame_alloc();
	AVPacket *packet = av_packet_alloc();
	const uint8_t *data = seen->bytes;
	unsigned n = 0;

	codec->err_recognition = AV_EF_EXPLODE | AV_EF_CRCCHECK;
	codec->thread_count = 1;
	assert_int_equal(avcodec_open2(codec, NULL, NULL), 0);
	for (unsigned i = 0; i <= seen->n; i++) {
		if (i < seen->n) {
			assert_int_equal(av_new_packet(packet, (int)seen->sizes[i]), 0);
			memcpy(packet->data, data, seen->sizes[i]);
			data += seen->sizes[i];
			assert_int_equal(avcodec_send_packet(codec, packet), 0);
			av_packet_unref(packet);
		} else {
			assert_int_equal(avcodec_send_packet(codec, NULL), 0);
		}
		while (avcodec_receive_frame(codec, picture) == 0) {
			assert_int_equal(picture->decode_error_flags, 0);
			assert_false(picture->flags & AV_FRAME_FLAG_CORRUPT);
			n++;
		}
	}
	av_packet_free(&packet);
	av_frame_free(&picture);
	avcodec_free_context(&codec);
	return n;
}

static bool has_sets(const uint8_t *data, size_t len)
{
	struct nal nal;
	size_t pos = 0;
	bool sps = false, pps = false;

	while (nal_next(data, len, &pos, &nal) && nal.type != NAL_IDR) {
		sps |= nal.type == NAL_SPS;
		pps |= nal.type == NAL_PPS;
	}
	return sps && pps;
}

static void assert_h264_is_passed_on(const char *name)
{
	const unsigned n = 3 * FRAMES + 1;
	struct player player;
	const uint8_t *data;

	play(&player, name, true, CONFIG_CODEC_H264, n);
	assert_true(source_info(player.source)->coded);
	assert_int_equal(source_info(player.source)->format.width, 320);
	assert_int_equal(source_info(player.source)->format.rate.num, RATE);
	assert_even(&player.seen, PERIOD_US);
	assert_paced(&player.seen);
	data = player.seen.bytes;
	for (unsigned i = 0; i < player.seen.n; i++) {
		assert_int_equal(player.seen.pictures[i].key, i % 10 == 0);
		assert_true(player.seen.pictures[i].pts_us >= player.seen.pictures[i].capture_us);
		assert_in_range(player.seen.pictures[i].duration_us, PERIOD_US - 1000,
				PERIOD_US + 1000);
		if (player.seen.pictures[i].key)
			assert_true(has_sets(data, player.seen.sizes[i]));
		data += player.seen.sizes[i];
	}
	assert_int_equal(decode_all(&player.seen, AV_CODEC_ID_H264), player.seen.n);
	close_player(&player);
}

/* Every picture of three passes and a bit, in order. */
static void assert_decoded(const char *name, unsigned width, unsigned height, const char *note_part)
{
	const unsigned n = 3 * FRAMES + 1;
	struct player player;

	play(&player, name, false, CONFIG_CODEC_H264, n);
	assert_false(source_info(player.source)->coded);
	assert_int_equal(source_info(player.source)->format.width, width);
	assert_int_equal(source_info(player.source)->format.height, height);
	if (!strstr(source_info(player.source)->note, note_part))
		fail_msg("%s: note: %s", name, source_info(player.source)->note);
	assert_even(&player.seen, PERIOD_US);
	assert_never_early(&player.seen);
	for (unsigned i = 0; i < player.seen.n; i++) {
		const int expected = 40 + 8 * (int)(i % FRAMES);

		if (abs(player.seen.pictures[i].luma - expected) > 3)
			fail_msg("%s: picture %u is %d, not %d", name, i,
				 player.seen.pictures[i].luma, expected);
	}
	close_player(&player);
}

/* --- tests --- */

static void b_pictures_in_mp4_are_passed_on_in_decoding_order(void **state)
{
	(void)state;
	assert_h264_is_passed_on("b.mp4");
}

static void matroska_is_passed_on(void **state)
{
	(void)state;
	assert_h264_is_passed_on("b.mkv");
}

static void mpeg_ts_is_passed_on(void **state)
{
	(void)state;
	assert_h264_is_passed_on("b.ts");
}

static void a_raw_byte_stream_is_passed_on(void **state)
{
	(void)state;
	assert_h264_is_passed_on("b.h264");
}

static void parameter_sets_given_once_are_put_before_every_idr(void **state)
{
	(void)state;
	assert_h264_is_passed_on("once.h264");
}

static void whole_jpegs_are_passed_on(void **state)
{
	struct player player;
	const uint8_t *data;

	(void)state;
	play(&player, "jpeg.avi", true, CONFIG_CODEC_MJPEG, 2 * FRAMES + 1);
	assert_true(source_info(player.source)->coded);
	assert_even(&player.seen, PERIOD_US);
	data = player.seen.bytes;
	for (unsigned i = 0; i < player.seen.n; i++) {
		assert_true(player.seen.pictures[i].key);
		assert_memory_equal(data, "\xff\xd8\xff", 3);
		data += player.seen.sizes[i];
	}
	assert_int_equal(decode_all(&player.seen, AV_CODEC_ID_MJPEG), player.seen.n);
	close_player(&player);
}

static void what_nobody_copies_is_decoded_into_the_slots(void **state)
{
	(void)state;
	assert_decoded("b.mp4", 320, 240, "into the slots");
	assert_decoded("mpeg4.avi", 320, 240, "into the slots");
}

static void codecs_that_write_beyond_the_picture_have_room_for_it(void **state)
{
	(void)state;
	assert_decoded("padded.mp4", 1280, 720, "into the slots");
}

static void other_pixel_formats_are_converted(void **state)
{
	(void)state;
	assert_decoded("fine.mp4", 320, 240, "yuv444p converted to I420");
}

static void odd_sizes_lose_a_line_and_a_column(void **state)
{
	(void)state;
	assert_decoded("odd.mp4", 320, 240, "converted");
}

static void another_codec_than_the_one_to_copy_is_decoded(void **state)
{
	struct player player;

	(void)state;
	open_player(&player, "mpeg4.avi", true, CONFIG_CODEC_H264);
	assert_int_equal(player.error, 0);
	assert_false(source_info(player.source)->coded);
	close_player(&player);
}

static void an_image_is_shown_at_the_configured_rate(void **state)
{
	struct player player;

	(void)state;
	play(&player, "still.png", false, CONFIG_CODEC_H264, 10);
	assert_even(&player.seen, PERIOD_US);
	close_player(&player);
}

/* --- damage --- */

/* One file behind the other, without the first `skip` bytes of that. */
static void join(const char *first, const char *second, size_t skip, const char *to)
{
	static uint8_t bytes[1 << 20];
	size_t len = read_file(first, bytes, sizeof(bytes));
	size_t more = read_file(second, bytes + len, sizeof(bytes) - len) - skip;

	memmove(bytes + len, bytes + len + skip, more);
	write_file(to, (char *)bytes, len + more);
}

static void nothing_is_lost_where_transport_streams_are_joined(void **state)
{
	struct player player;

	(void)state;
	make("part.ts", "320x240", "yuv420p", X264 "-bf 0 -x264-params sliced-threads=0");
	join("part.ts", "part.ts", 0, "joined.ts");
	play(&player, "joined.ts", true, CONFIG_CODEC_H264, 2 * FRAMES + 1);
	assert_int_equal(decode_all(&player.seen, AV_CODEC_ID_H264), player.seen.n);
	for (unsigned i = 0; i <= 2 * FRAMES; i += 10)
		assert_true(player.seen.pictures[i].key);
	close_player(&player);
}

static void a_torn_last_picture_is_left_out_in_every_pass(void **state)
{
	static uint8_t bytes[1 << 20];
	struct player player;
	struct nal nal = {0};
	size_t len, pos = 0;
	unsigned keys = 0;

	(void)state;
	len = read_file("b.h264", bytes, sizeof(bytes));
	while (keys < 2 && nal_next(bytes, len, &pos, &nal))
		keys += nal.type == NAL_IDR;
	write_file("torn.h264", (char *)bytes, (size_t)(nal.data - bytes) + nal.len / 2);
	play(&player, "torn.h264", true, CONFIG_CODEC_H264, 21);
	assert_int_equal(decode_all(&player.seen, AV_CODEC_ID_H264), player.seen.n);
	assert_int_equal(player.seen.sizes[10], player.seen.sizes[0]);
	assert_int_equal(player.seen.sizes[20], player.seen.sizes[0]);
	close_player(&player);
}

static void a_recording_cut_short_loops_what_is_left(void **state)
{
	struct player player;

	(void)state;
	play(&player, "cut.avi", true, CONFIG_CODEC_MJPEG, 2 * FRAMES);
	assert_even(&player.seen, PERIOD_US);
	assert_int_equal(decode_all(&player.seen, AV_CODEC_ID_MJPEG), player.seen.n);
	close_player(&player);
}

static void encoders_that_hold_every_slot_cost_pictures_only(void **state)
{
	struct player player;
	unsigned held;

	(void)state;
	open_player(&player, "mpeg4.avi", false, CONFIG_CODEC_H264);
	player.seen.hold = HELD_MAX;
	assert_int_equal(player.error, 0);
	assert_int_equal(source_start(player.source), 0);
	wait_for(&player.seen, 6);
	wait_until_none_comes(&player.seen); /* no slot is free */
	pthread_mutex_lock(&player.seen.lock);
	player.seen.hold = 0;
	held = player.seen.n_held;
	pthread_mutex_unlock(&player.seen.lock);
	assert_in_range(held, 6, 32);
	for (unsigned i = 0; i < held; i++)
		frame_unref(player.seen.held[i]);
	wait_for(&player.seen, held + FRAMES);
	source_stop(player.source);
	assert_false(player.seen.gone);
	close_player(&player);
}

static void frames_outlive_the_stop(void **state)
{
	struct player player;

	(void)state;
	open_player(&player, "b.mp4", false, CONFIG_CODEC_H264);
	player.seen.hold = 3;
	assert_int_equal(source_start(player.source), 0);
	wait_for(&player.seen, 3);
	source_stop(player.source);
	for (unsigned i = 0; i < player.seen.n_held; i++) {
		assert_in_range(luma_of(player.seen.held[i]), 37 + 8 * i, 43 + 8 * i);
		frame_unref(player.seen.held[i]);
	}
	close_player(&player);
}

static void stopping_does_not_wait_for_the_next_picture(void **state)
{
	struct player player;
	int64_t before;

	(void)state;
	open_player(&player, "slow.avi", false, CONFIG_CODEC_H264);
	assert_int_equal(player.error, 0);
	assert_int_equal(source_start(player.source), 0);
	wait_for(&player.seen, 1);
	before = clock_now_us();
	source_stop(player.source);
	assert_true(clock_now_us() - before < 2000000); /* pictures are 10 s apart */
	close_player(&player);
}

static void it_can_be_started_again(void **state)
{
	struct player player;

	(void)state;
	play(&player, "b.mp4", true, CONFIG_CODEC_H264, 5);
	assert_int_equal(source_start(player.source), 0);
	wait_for(&player.seen, player.seen.n + FRAMES);
	source_stop(player.source);
	close_player(&player);
}

static void assert_refused(const char *name, int error, const char *text)
{
	struct player player;

	open_player(&player, name, true, CONFIG_CODEC_H264);
	assert_int_equal(player.error, error);
	if (!strstr(player.why, text) || !strstr(player.why, name))
		fail_msg("%s: %s", name, player.why);
	close_player(&player);
}

static void what_cannot_be_played_is_refused_with_a_reason(void **state)
{
	(void)state;
	assert_refused("missing.mp4", -ENOENT, "No such file");
	assert_refused("missing-%d.png", -ENOENT, "stands for itself");
	assert_refused("", -EISDIR, "a folder; give one file");
	assert_refused("../../dev/null", -EINVAL, "cameras are `source = libcamera`");
	assert_refused("bare.ts", -EINVAL, "no parameter sets (SPS)");
	assert_refused("empty.mp4", -ENODATA, "empty");
	assert_refused("text.txt", -EINVAL, "no recording");
	assert_refused("sound.mp4", -EINVAL, "no video");
	assert_refused("cut.mp4", -EINVAL, "damaged");
}

static void a_jpeg_stays_whether_it_is_copied_or_decoded(void **state)
{
	struct player player;

	(void)state;
	for (int coded = 0; coded < 2; coded++) {
		play(&player, "still.jpg", coded, CONFIG_CODEC_MJPEG, 2 * FRAMES);
		assert_int_equal(source_info(player.source)->coded, coded);
		assert_even(&player.seen, PERIOD_US);
		close_player(&player);
	}
}

static void names_are_taken_as_they_are(void **state)
{
	static const char *const names[] = {"image-%d.png", "x ;* .png", "odd.ffconcat"};
	struct player player;

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		play(&player, names[i], false, CONFIG_CODEC_H264, 5);
		close_player(&player);
	}
}

static void a_list_with_a_missing_file_plays_those_before_it(void **state)
{
	struct player player;

	(void)state;
	for (int coded = 0; coded < 2; coded++) {
		play(&player, "holes.ffconcat", coded, CONFIG_CODEC_H264, 3 * FRAMES);
		assert_int_equal(source_info(player.source)->coded, coded);
		assert_even(&player.seen, PERIOD_US);
		close_player(&player);
	}
}

/* Puts another file in the place of one that is being played. */
static void replace(const char *by, const char *name)
{
	char from[300], to[300], command[700];

	snprintf(from, sizeof(from), "%s/%s", folder, by);
	snprintf(to, sizeof(to), "%s/%s", folder, name);
	snprintf(command, sizeof(command), "cp %s %s.new", from, to);
	assert_int_equal(system(command), 0);
	snprintf(command, sizeof(command), "%s.new", to);
	assert_int_equal(rename(command, to), 0);
}

static void a_file_that_is_replaced_is_noticed_at_the_loop(void **state)
{
	struct player player;
	unsigned n;

	(void)state;
	replace("still.png", "changing.png");
	open_player(&player, "changing.png", false, CONFIG_CODEC_H264);
	assert_int_equal(player.error, 0);
	assert_int_equal(source_start(player.source), 0);
	wait_for(&player.seen, 3);
	replace("light.png", "changing.png");
	pthread_mutex_lock(&player.seen.lock);
	n = player.seen.n;
	pthread_mutex_unlock(&player.seen.lock);
	wait_for(&player.seen, n + 5);
	pthread_mutex_lock(&player.seen.lock);
	assert_false(player.seen.gone);
	assert_true(player.seen.pictures[n + 4].luma > player.seen.pictures[0].luma + 100);
	pthread_mutex_unlock(&player.seen.lock);
	/* One of another size needs other slots and encoders. */
	replace("b.mp4", "changing.png");
	wait_for(&player.seen, 1000);
	source_stop(player.source);
	assert_true(player.seen.gone);
	assert_int_equal(player.seen.error, 0);
	assert_non_null(strstr(player.seen.why, "another recording"));
	close_player(&player);
}

static void a_clock_that_jumps_goes_on_evenly(void **state)
{
	struct timeline timeline;

	(void)state;
	timeline_init(&timeline, 1, 90000, 20000, true);
	assert_int_equal(timeline_place(&timeline, 900000, 1800), 0);
	assert_int_equal(timeline_place(&timeline, 901800, 1800), 20000);
	assert_int_equal(timeline_place(&timeline, TIMELINE_NONE, 1800), 40000);
	assert_int_equal(timeline_place(&timeline, 300, 1800), 60000); /* back */
	assert_int_equal(timeline_place(&timeline, 2100, 1800), 80000);
	assert_int_equal(timeline_place(&timeline, 90000000, 0), 100000); /* far ahead */
	assert_int_equal(timeline_place(&timeline, 90001800, 0), 120000);
	timeline_rewind(&timeline);
	assert_int_equal(timeline_place(&timeline, 900000, 1800), 140000);
}

#define FLV_HEADER_LEN 13 /* of the file, with the length of no tag before the first */

static void a_second_sequence_header_in_flv_brings_its_parameter_sets(void **state)
{
	struct player player;

	(void)state;
	make("cabac.flv", "320x240", "yuv420p", X264 "-bf 0");
	make("cavlc.flv", "320x240", "yuv420p", X264 "-bf 0 -x264-params cabac=0");
	join("cabac.flv", "cavlc.flv", FLV_HEADER_LEN, "joined.flv");
	play(&player, "joined.flv", true, CONFIG_CODEC_H264, 3 * FRAMES + 1);
	assert_int_equal(decode_all(&player.seen, AV_CODEC_ID_H264), player.seen.n);
	for (unsigned i = 0; i <= 3 * FRAMES; i += 10)
		assert_true(player.seen.pictures[i].key);
	assert_int_not_equal(player.seen.sizes[0], player.seen.sizes[FRAMES]);
	assert_int_equal(player.seen.sizes[0], player.seen.sizes[2 * FRAMES]);
	close_player(&player);
}

static void a_long_pause_in_a_steady_clock_is_kept(void **state)
{
	struct timeline timeline;

	(void)state;
	timeline_init(&timeline, 1, 1000, 40000, false);
	assert_int_equal(timeline_place(&timeline, 5, 0), 0);
	assert_int_equal(timeline_place(&timeline, 60005, 0), 60000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(b_pictures_in_mp4_are_passed_on_in_decoding_order),
		cmocka_unit_test(matroska_is_passed_on),
		cmocka_unit_test(mpeg_ts_is_passed_on),
		cmocka_unit_test(a_raw_byte_stream_is_passed_on),
		cmocka_unit_test(parameter_sets_given_once_are_put_before_every_idr),
		cmocka_unit_test(whole_jpegs_are_passed_on),
		cmocka_unit_test(what_nobody_copies_is_decoded_into_the_slots),
		cmocka_unit_test(codecs_that_write_beyond_the_picture_have_room_for_it),
		cmocka_unit_test(other_pixel_formats_are_converted),
		cmocka_unit_test(odd_sizes_lose_a_line_and_a_column),
		cmocka_unit_test(another_codec_than_the_one_to_copy_is_decoded),
		cmocka_unit_test(an_image_is_shown_at_the_configured_rate),
		cmocka_unit_test(nothing_is_lost_where_transport_streams_are_joined),
		cmocka_unit_test(a_torn_last_picture_is_left_out_in_every_pass),
		cmocka_unit_test(a_recording_cut_short_loops_what_is_left),
		cmocka_unit_test(encoders_that_hold_every_slot_cost_pictures_only),
		cmocka_unit_test(frames_outlive_the_stop),
		cmocka_unit_test(stopping_does_not_wait_for_the_next_picture),
		cmocka_unit_test(it_can_be_started_again),
		cmocka_unit_test(what_cannot_be_played_is_refused_with_a_reason),
		cmocka_unit_test(a_jpeg_stays_whether_it_is_copied_or_decoded),
		cmocka_unit_test(names_are_taken_as_they_are),
		cmocka_unit_test(a_list_with_a_missing_file_plays_those_before_it),
		cmocka_unit_test(a_file_that_is_replaced_is_noticed_at_the_loop),
		cmocka_unit_test(a_clock_that_jumps_goes_on_evenly),
		cmocka_unit_test(a_long_pause_in_a_steady_clock_is_kept),
		cmocka_unit_test(a_second_sequence_header_in_flv_brings_its_parameter_sets),
	};

	return cmocka_run_group_tests(tests, make_recordings, remove_recordings);
}
