/* SPDX-License-Identifier: BSD-2-Clause */
#include "file_rig.h"

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

#include "base/clock.h"
#include "media/nal.h"

char folder[] = "/tmp/test_file_source.XXXXXX";

/* --- recordings --- */

/* A grey picture that gets lighter by 8 with each of its FRAMES pictures, from 40 on. */
#define RAMP "-f lavfi -i \"nullsrc=s=%s:r=50:d=0.4,geq=lum='40+8*N':cb=128:cr=128,format=%s\" "

void make(const char *name, const char *size, const char *pixels, const char *options)
{
	char command[1024];
	int n = snprintf(command, sizeof(command), "ffmpeg -nostdin -v error -y " RAMP, size,
			 pixels);

	snprintf(command + n, sizeof(command) - (size_t)n, "%s %s/%s", options, folder, name);
	if (system(command) != 0)
		fail_msg("%s", command);
}

void write_file(const char *name, const char *text, size_t len)
{
	char path[256];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, len, file), len);
	assert_int_equal(fclose(file), 0);
}

size_t read_file(const char *name, uint8_t *bytes, size_t size)
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

int make_recordings(void **state)
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

int remove_recordings(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof(command), "rm -r %s", folder);
	return system(command);
}

/* --- a camera's worth of events --- */

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

int luma_of(const struct frame *frame)
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
	struct player *player = user;
	struct seen *seen = player->apart ? &player->frames : &player->seen;
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
	struct seen *seen = &((struct player *)user)->seen;

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
	struct seen *seen = &((struct player *)user)->seen;

	pthread_mutex_lock(&seen->lock);
	seen->gone = true;
	seen->error = error;
	snprintf(seen->why, sizeof(seen->why), "%s", why);
	pthread_cond_signal(&seen->changed);
	pthread_mutex_unlock(&seen->lock);
}

void wait_for(struct seen *seen, unsigned n)
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

void wait_until_none_comes(struct seen *seen)
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

void open_player(struct player *player, const char *name, bool coded, enum config_codec codec)
{
	struct config_camera config = {
		.name = "test",
		.size = {640, 480},
		.framerate = {RATE, 1},
		.buffers = 6,
		.allocator = (char *)(uintptr_t) "auto",
	};
	struct source_events events = {.frame = handle_frame,
				       .packet = handle_packet,
				       .gone = handle_gone,
				       .user = player};

	memset(player, 0, sizeof(*player));
	pthread_mutex_init(&player->seen.lock, NULL);
	pthread_cond_init(&player->seen.changed, NULL);
	pthread_mutex_init(&player->frames.lock, NULL);
	pthread_cond_init(&player->frames.changed, NULL);
	snprintf(player->path, sizeof(player->path), "file:%s/%s", folder, name);
	config.source = player->path;
	player->error = source_open(&player->source, &config, coded ? SOURCE_COPY : SOURCE_DECODE,
				    codec, &events, player->why);
}

void close_player(struct player *player)
{
	if (!player->error)
		source_close(player->source);
	free(player->seen.bytes);
}

void play(struct player *player, const char *name, bool coded, enum config_codec codec, unsigned n)
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

void assert_even(const struct seen *seen, int64_t period_us)
{
	for (unsigned i = 1; i < seen->n; i++) {
		const int64_t step =
			seen->pictures[i].capture_us - seen->pictures[i - 1].capture_us;

		if (step < period_us - 2000 || (step > period_us + 2000 && step < 500000))
			fail_msg("picture %u comes %lld us after the one before", i,
				 (long long)step);
	}
}

void assert_never_early(const struct seen *seen)
{
	for (unsigned i = 0; i < seen->n; i++)
		assert_true(seen->pictures[i].at_us >= seen->pictures[i].capture_us);
}

unsigned decode_all(const struct seen *seen, enum AVCodecID id)
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
