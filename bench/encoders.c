/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Measures the encoders on real footage: time per picture, the bitrate that they reach, luma SSIM.
 * Prints the tables of docs/ENCODERS.md, with the medians of the rounds. In a round each setting
 * codes one clip, so that other work on the machine affects all of them.
 *
 *   build/bench/encoders [-i FILE] [-n PICTURES] [-r ROUNDS] [-c CLIP]
 *
 * CLIP is street (the file, scaled to 1280x720), pan (harder: a moving window of it with sensor
 * noise, 1280x720), or hd (scaled to 1920x1080). The rate is 30 pictures a second,
 * whatever the file has.
 */
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libswscale/swscale.h>

#include "capture/encode/encoder.h"

enum { ROUNDS_MAX = 32 };

#define DEFAULT_INPUT "/usr/share/doc/opencv-doc/examples/data/vtest.avi"

struct clip {
	const char *name;
	uint32_t width, height;
	bool pan;
	uint32_t bitrates[3];
};

static const struct clip clips[] = {
	{"street", 1280, 720, false, {500000, 1000000, 2000000}},
	{"pan", 1280, 720, true, {1500000, 3000000, 6000000}},
	{"hd", 1920, 1080, false, {1000000, 2000000, 4000000}},
};

struct setting {
	const char *name;
	const struct encoder_ops *ops;
	const char *effort;
	unsigned threads, layers, quality;
	bool full_range;
	enum frame_colour colour;
};

static const struct setting settings[] = {
	{"openh264 low", &encoder_openh264, "low", 1, 1, 0, false, FRAME_COLOUR_SMPTE170M},
	{"openh264 medium", &encoder_openh264, "medium", 1, 1, 0, false, FRAME_COLOUR_SMPTE170M},
	{"openh264 low, 2 layers", &encoder_openh264, "low", 1, 2, 0, false,
	 FRAME_COLOUR_SMPTE170M},
	{"openh264 low, 3 layers", &encoder_openh264, "low", 1, 3, 0, false,
	 FRAME_COLOUR_SMPTE170M},
	{"openh264 low, 2 threads", &encoder_openh264, "low", 2, 1, 0, false,
	 FRAME_COLOUR_SMPTE170M},
	{"x264 ultrafast", &encoder_x264, "ultrafast", 1, 1, 0, false, FRAME_COLOUR_SMPTE170M},
	{"x264 superfast", &encoder_x264, "superfast", 1, 1, 0, false, FRAME_COLOUR_SMPTE170M},
	{"x264 veryfast", &encoder_x264, "veryfast", 1, 1, 0, false, FRAME_COLOUR_SMPTE170M},
	{"x264 superfast, 2 threads", &encoder_x264, "superfast", 2, 1, 0, false,
	 FRAME_COLOUR_SMPTE170M},
	{"x264 veryfast, 2 threads", &encoder_x264, "veryfast", 2, 1, 0, false,
	 FRAME_COLOUR_SMPTE170M},
	{"mjpeg 80, full range 601", &encoder_mjpeg, NULL, 1, 1, 80, true, FRAME_COLOUR_JPEG},
	{"mjpeg 80, limited 601", &encoder_mjpeg, NULL, 1, 1, 80, false, FRAME_COLOUR_SMPTE170M},
	{"mjpeg 80, limited 709", &encoder_mjpeg, NULL, 1, 1, 80, false, FRAME_COLOUR_REC709},
};

enum { N_SETTINGS = sizeof(settings) / sizeof(*settings), N_H264 = N_SETTINGS - 3 };

/* --- the clip, in slots --- */

struct footage {
	struct frame_format format;
	struct slot_ring *ring;
	unsigned n;
};

static void die(const char *what, int rc)
{
	fprintf(stderr, "encoders: %s: %s\n", what, rc < 0 ? av_err2str(rc) : "failed");
	exit(1);
}

/* Adds noise like that of a sensor in the evening: about +-6 levels, different in each picture. */
static void add_noise(uint8_t *row, uint32_t n, uint32_t *state)
{
	for (uint32_t i = 0; i < n; i++) {
		int sum = 0, value;

		for (int j = 0; j < 3; j++) {
			*state = *state * 1664525u + 1013904223u;
			sum += (int)(*state >> 24) - 128;
		}
		value = row[i] + sum / 32;
		row[i] = (uint8_t)(value < 16 ? 16 : value > 235 ? 235 : value);
	}
}

static void store(const struct clip *clip, struct footage *footage, unsigned i,
		  struct SwsContext **scaler, const AVFrame *in)
{
	/* The window that pans is 5/6 of the picture and moves on a figure of eight. */
	uint32_t w = clip->pan ? clip->width * 6 / 5 : clip->width;
	uint32_t h = clip->pan ? clip->height * 6 / 5 : clip->height;
	uint32_t x = 0, y = 0, noise = i;
	AVFrame *scaled = av_frame_alloc();
	uint8_t *map;
	int rc;

	scaled->format = AV_PIX_FMT_NV12;
	scaled->width = (int)w;
	scaled->height = (int)h;
	rc = av_frame_get_buffer(scaled, 0);
	if (rc < 0)
		die("frame", rc);
	*scaler = sws_getCachedContext(*scaler, in->width, in->height, in->format, (int)w, (int)h,
				       AV_PIX_FMT_NV12, SWS_BICUBIC, NULL, NULL, NULL);
	if (!*scaler)
		die("scaler", 0);
	sws_scale(*scaler, (const uint8_t *const *)in->data, in->linesize, 0, in->height,
		  scaled->data, scaled->linesize);
	if (clip->pan) {
		x = (uint32_t)((w - clip->width) * (0.5 + 0.5 * sin(i * 0.05))) & ~1u;
		y = (uint32_t)((h - clip->height) * (0.5 + 0.5 * sin(i * 0.1))) & ~1u;
	}
	if (slot_map(footage->ring, i, true, &map) < 0)
		die("slot", 0);
	for (unsigned p = 0; p < 2; p++) {
		const struct frame_plane *plane = &footage->format.planes[p];

		for (uint32_t row = 0; row < plane->rows; row++) {
			uint8_t *to = map + plane->offset + (size_t)row * plane->stride;
			uint32_t from = row + (p ? y / 2 : y);

			memcpy(to, scaled->data[p] + (int)from * scaled->linesize[p] + x,
			       clip->width);
			if (clip->pan && p == 0)
				add_noise(to, clip->width, &noise);
		}
	}
	av_frame_free(&scaled);
}

static void load(const struct clip *clip, const char *path, unsigned n, struct footage *footage)
{
	AVFormatContext *file = NULL;
	struct SwsContext *scaler = NULL;
	AVFrame *picture = av_frame_alloc();
	AVPacket *packet = av_packet_alloc();
	const AVCodec *decoder;
	AVCodecContext *codec;
	int rc, stream;

	*footage = (struct footage){.format = {.fourcc = FRAME_NV12,
					       .width = clip->width,
					       .height = clip->height,
					       .rate = {30, 1}}};
	frame_format_layout(&footage->format, 0);
	rc = slot_ring_create(&footage->ring, "memfd", n, footage->format.size);
	if (rc < 0)
		die("slots", rc);
	rc = avformat_open_input(&file, path, NULL, NULL);
	if (rc < 0)
		die(path, rc);
	stream = av_find_best_stream(file, AVMEDIA_TYPE_VIDEO, -1, -1, &decoder, 0);
	if (stream < 0)
		die(path, stream);
	codec = avcodec_alloc_context3(decoder);
	avcodec_parameters_to_context(codec, file->streams[stream]->codecpar);
	rc = avcodec_open2(codec, decoder, NULL);
	if (rc < 0)
		die("decoder", rc);
	while (footage->n < n && av_read_frame(file, packet) >= 0) {
		if (packet->stream_index == stream && avcodec_send_packet(codec, packet) >= 0) {
			while (footage->n < n && avcodec_receive_frame(codec, picture) >= 0)
				store(clip, footage, footage->n++, &scaler, picture);
		}
		av_packet_unref(packet);
	}
	sws_freeContext(scaler);
	avcodec_free_context(&codec);
	avformat_close_input(&file);
	av_packet_free(&packet);
	av_frame_free(&picture);
}

/* --- SSIM --- */

/* The mean over luma windows of 8x8 that are 4 apart, as x264 and libavfilter print it. */
static double ssim(const uint8_t *a, size_t a_stride, const uint8_t *b, size_t b_stride,
		   uint32_t width, uint32_t height)
{
	const double c1 = 0.01 * 0.01 * 255 * 255, c2 = 0.03 * 0.03 * 255 * 255;
	double sum = 0;
	uint64_t n = 0;

	for (uint32_t y = 0; y + 8 <= height; y += 4) {
		for (uint32_t x = 0; x + 8 <= width; x += 4) {
			uint32_t sa = 0, sb = 0, saa = 0, sbb = 0, sab = 0;
			double ma, mb, va, vb, vab;

			for (uint32_t j = 0; j < 8; j++) {
				const uint8_t *pa = a + (y + j) * a_stride + x;
				const uint8_t *pb = b + (y + j) * b_stride + x;

				for (uint32_t i = 0; i < 8; i++) {
					sa += pa[i];
					sb += pb[i];
					saa += (uint32_t)pa[i] * pa[i];
					sbb += (uint32_t)pb[i] * pb[i];
					sab += (uint32_t)pa[i] * pb[i];
				}
			}
			ma = sa / 64.0;
			mb = sb / 64.0;
			va = saa / 64.0 - ma * ma;
			vb = sbb / 64.0 - mb * mb;
			vab = sab / 64.0 - ma * mb;
			sum += (2 * ma * mb + c1) * (2 * vab + c2) /
			       ((ma * ma + mb * mb + c1) * (va + vb + c2));
			n++;
		}
	}
	return sum / (double)n;
}

/* --- one run: a setting codes the clip --- */

struct result {
	double cpu_ms, wall_ms; /* a picture */
	double bitrate, peak;	/* bit/s; peak: the largest second */
	double largest;		/* unit, bytes */
	double ssim;		/* 0: not asked for */
};

struct run {
	const struct footage *footage;
	AVCodecContext *decoder; /* NULL: no SSIM */
	AVFrame *picture;
	size_t *sizes; /* of the units */
	unsigned n, compared;
	double ssim_sum;
};

static void compare(struct run *run)
{
	const struct frame_format *format = &run->footage->format;
	uint8_t *map;

	while (avcodec_receive_frame(run->decoder, run->picture) >= 0) {
		unsigned i = (unsigned)run->picture->pts;

		if (i % 5 != 4)
			continue;
		slot_map(run->footage->ring, i, false, &map);
		run->ssim_sum += ssim(map + format->planes[0].offset, format->planes[0].stride,
				      run->picture->data[0], (size_t)run->picture->linesize[0],
				      format->width, format->height);
		run->compared++;
	}
}

static void handle_coded(void *user, const struct access_unit *unit)
{
	struct run *run = user;
	AVPacket *packet;

	run->sizes[run->n] = unit->len;
	if (run->decoder) {
		packet = av_packet_alloc();
		if (av_new_packet(packet, (int)unit->len) < 0)
			die("packet", 0);
		memcpy(packet->data, unit->data, unit->len);
		packet->pts = packet->dts = run->n;
		avcodec_send_packet(run->decoder, packet);
		av_packet_free(&packet);
		compare(run);
	}
	run->n++;
}

static void handle_failed(void *user, int error, const char *why)
{
	(void)user;
	fprintf(stderr, "encoders: %s\n", why);
	die("encoder", error);
}

static void handle_release(struct frame *frame)
{
	(void)frame;
}

static double seconds(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

static double largest_second(const size_t *sizes, unsigned n)
{
	size_t sum = 0, largest = 0;

	for (unsigned i = 0; i < n; i++) {
		sum += sizes[i];
		if (i >= 30)
			sum -= sizes[i - 30];
		if (i >= 29 && sum > largest)
			largest = sum;
	}
	return (double)largest * 8;
}

static struct result run_once(const struct setting *setting, const struct footage *footage,
			      uint32_t bitrate, bool with_ssim)
{
	char level[] = "auto", why[256] = "";
	struct config_stream stream = {.bitrate = bitrate,
				       .keyframe_interval = 30,
				       .temporal_layers = setting->layers,
				       .profile = CONFIG_PROFILE_HIGH,
				       .quality = setting->quality,
				       .level = level};
	struct encoder_config config = {.format = footage->format,
					.stream = &stream,
					.ring = footage->ring,
					.threads = setting->threads,
					.effort = setting->effort};
	struct run run = {.footage = footage, .sizes = calloc(footage->n, sizeof(size_t))};
	struct encoder_events events = {handle_coded, handle_failed, &run};
	struct encoder *encoder;
	struct result result = {0};
	size_t bytes = 0;

	config.format.full_range = setting->full_range;
	config.format.colour = setting->colour;
	if (with_ssim) {
		run.decoder = avcodec_alloc_context3(avcodec_find_decoder(AV_CODEC_ID_H264));
		run.picture = av_frame_alloc();
		run.decoder->flags |= AV_CODEC_FLAG_LOW_DELAY;
		if (avcodec_open2(run.decoder, NULL, NULL) < 0)
			die("decoder", 0);
	}
	if (setting->ops->create(&encoder, &config, &events, why) < 0) {
		fprintf(stderr, "encoders: %s\n", why);
		exit(1);
	}
	for (unsigned i = 0; i < footage->n; i++) {
		struct frame frame = {.format = &config.format,
				      .ring = footage->ring,
				      .slot = i,
				      .sequence = i,
				      .release = handle_release};
		double cpu = seconds(CLOCK_PROCESS_CPUTIME_ID), wall = seconds(CLOCK_MONOTONIC);

		atomic_init(&frame.refs, 1);
		if (setting->ops->encode(encoder, &frame, false) < 0)
			die(setting->name, 0);
		wall = (seconds(CLOCK_MONOTONIC) - wall) * 1e3;
		result.cpu_ms += (seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu) * 1e3 / footage->n;
		result.wall_ms += wall / footage->n;
	}
	setting->ops->destroy(encoder);
	if (with_ssim) {
		avcodec_send_packet(run.decoder, NULL);
		compare(&run);
		result.ssim = run.ssim_sum / run.compared;
		av_frame_free(&run.picture);
		avcodec_free_context(&run.decoder);
	}
	for (unsigned i = 0; i < run.n; i++) {
		bytes += run.sizes[i];
		result.largest = fmax(result.largest, (double)run.sizes[i]);
	}
	result.bitrate = (double)bytes * 8 * 30 / run.n;
	result.peak = largest_second(run.sizes, run.n);
	free(run.sizes);
	return result;
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values, unsigned n)
{
	qsort(values, n, sizeof(*values), compare_doubles);
	return values[n / 2];
}

static void measure(const struct clip *clip, const struct footage *footage, uint32_t bitrate,
		    unsigned rounds)
{
	static double cpu[N_SETTINGS][ROUNDS_MAX], wall[N_SETTINGS][ROUNDS_MAX];
	struct result last[N_SETTINGS] = {0};
	/* JPEG settings stand last and have no bitrate: each clip measures them once. */
	unsigned n = bitrate == clip->bitrates[0] ? N_SETTINGS : N_H264;

	for (unsigned round = 0; round < rounds; round++) {
		for (unsigned i = 0; i < n; i++) {
			last[i] = run_once(&settings[i], footage, bitrate, false);
			cpu[i][round] = last[i].cpu_ms;
			wall[i][round] = last[i].wall_ms;
		}
	}
	printf("\n%s %ux%u, %u pictures, %u bit/s, %u rounds\n\n", clip->name, clip->width,
	       clip->height, footage->n, bitrate, rounds);
	printf("| setting | CPU ms | wall ms | kbit/s | largest second | largest unit, KB | SSIM | "
	       "dB |\n");
	printf("|---|---|---|---|---|---|---|---|\n");
	for (unsigned i = 0; i < n; i++) {
		bool h264 = settings[i].ops != &encoder_mjpeg;
		double s = h264 ? run_once(&settings[i], footage, bitrate, true).ssim : 0;

		printf("| %s | %.2f | %.2f | %.0f | %.0f | %.0f |", settings[i].name,
		       median(cpu[i], rounds), median(wall[i], rounds), last[i].bitrate / 1e3,
		       last[i].peak / 1e3, last[i].largest / 1e3);
		if (h264)
			printf(" %.4f | %.2f |\n", s, -10 * log10(1 - s));
		else
			printf(" | |\n");
		fflush(stdout);
	}
}

int main(int argc, char **argv)
{
	const char *input = DEFAULT_INPUT, *only = NULL;
	unsigned pictures = 150, rounds = 3;
	int option;

	while ((option = getopt(argc, argv, "i:n:r:c:")) != -1) {
		switch (option) {
		case 'i':
			input = optarg;
			break;
		case 'n':
			pictures = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'r':
			rounds = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'c':
			only = optarg;
			break;
		default:
			return 2;
		}
	}
	if (pictures < 30 || rounds < 1 || rounds > ROUNDS_MAX) {
		fprintf(stderr, "encoders: -n needs at least 30 pictures, -r 1 to %d rounds\n",
			ROUNDS_MAX);
		return 2;
	}
	av_log_set_level(AV_LOG_ERROR);
	for (unsigned i = 0; i < sizeof(clips) / sizeof(*clips); i++) {
		struct footage footage;

		if (only && strcmp(only, clips[i].name) != 0)
			continue;
		load(&clips[i], input, pictures, &footage);
		for (unsigned j = 0; j < 3; j++)
			measure(&clips[i], &footage, clips[i].bitrates[j], rounds);
		slot_ring_destroy(footage.ring);
	}
	return 0;
}
