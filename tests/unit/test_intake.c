/* SPDX-License-Identifier: BSD-2-Clause */
/* A live stream of MP4, which libavformat's demuxer keeps an index of, and one of FLV, which does
 * not say which streams it has. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>

#include "capture/source/boxes.h"
#include "capture/source/intake.h"

#define N_CODED 60 /* pictures, and then the same again */
#define N_PICTURES 20000
#define N_FIRST 5000 /* so many pictures fill every buffer */
#define TICKS 512    /* between two pictures, of 1/15360 s */
/* The index of one demuxer, a picture in each fragment. */
#define GROWTH_MAX (BOXES_INDEX_MAX * 150)

struct recording {
	AVCodecContext *encoder;
	AVPacket *packets[N_CODED];
	int n;
};

static void encode(struct recording *recording)
{
	const AVCodec *codec = avcodec_find_encoder_by_name("libx264");
	AVCodecContext *encoder = avcodec_alloc_context3(codec);
	AVFrame *frame = av_frame_alloc();
	AVPacket *packet;

	encoder->width = encoder->height = 32;
	encoder->pix_fmt = AV_PIX_FMT_YUV420P;
	encoder->time_base = (AVRational){1, 30};
	encoder->gop_size = 20;
	encoder->max_b_frames = 2;
	encoder->thread_count = 1;
	encoder->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
	assert_int_equal(avcodec_open2(encoder, codec, NULL), 0);
	frame->width = frame->height = 32;
	frame->format = AV_PIX_FMT_YUV420P;
	assert_int_equal(av_frame_get_buffer(frame, 0), 0);
	for (int i = 0; i <= N_CODED; i++) {
		assert_int_equal(av_frame_make_writable(frame), 0);
		for (int plane = 0; plane < 3; plane++)
			memset(frame->data[plane], 16 + 3 * i,
			       (size_t)frame->linesize[plane] * (plane ? 16 : 32));
		frame->pts = i;
		assert_int_equal(avcodec_send_frame(encoder, i < N_CODED ? frame : NULL), 0);
		while (packet = av_packet_alloc(), avcodec_receive_packet(encoder, packet) == 0)
			recording->packets[recording->n++] = packet;
		av_packet_free(&packet);
	}
	assert_int_equal(recording->n, N_CODED);
	av_frame_free(&frame);
	recording->encoder = encoder;
}

/* The picture with this number, of all that are written. */
static void place(const struct recording *recording, int number, AVPacket *out)
{
	assert_int_equal(av_packet_ref(out, recording->packets[number % N_CODED]), 0);
	out->dts = out->dts * TICKS + (int64_t)(number / N_CODED) * N_CODED * TICKS;
	out->pts = out->pts * TICKS + (int64_t)(number / N_CODED) * N_CODED * TICKS;
	out->duration = TICKS;
	out->stream_index = 0;
}

#if LIBAVFORMAT_VERSION_MAJOR >= 61
static int write_fd(void *user, const uint8_t *data, int size)
#else
static int write_fd(void *user, uint8_t *data, int size)
#endif
{
	assert_int_equal(write(*(int *)user, data, (size_t)size), size);
	return size;
}

/* A file of n pictures. flags: of the muxer, or NULL. */
static int record(const struct recording *recording, const char *format, const char *flags, int n)
{
	const AVRational ticks = {1, 30 * TICKS};
	int fd = memfd_create("recording", MFD_CLOEXEC);
	AVFormatContext *output = NULL;
	AVPacket *packet = av_packet_alloc();
	AVDictionary *options = NULL;
	AVStream *stream;

	assert_true(fd >= 0);
	assert_true(avformat_alloc_output_context2(&output, NULL, format, NULL) >= 0);
	output->pb = avio_alloc_context(av_malloc(4096), 4096, 1, &fd, NULL, write_fd, NULL);
	output->pb->seekable = 0;
	stream = avformat_new_stream(output, NULL);
	stream->time_base = ticks;
	avcodec_parameters_from_context(stream->codecpar, recording->encoder);
	if (flags)
		av_dict_set(&options, "movflags", flags, 0);
	assert_true(avformat_write_header(output, &options) >= 0);
	for (int i = 0; i < n; i++) {
		place(recording, i, packet);
		av_packet_rescale_ts(packet, ticks, stream->time_base);
		assert_true(av_write_frame(output, packet) >= 0);
		av_packet_unref(packet);
	}
	assert_true(av_write_trailer(output) >= 0);
	av_dict_free(&options);
	av_packet_free(&packet);
	av_free(output->pb->buffer);
	avio_context_free(&output->pb);
	avformat_free_context(output);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

static void plays_in_little_memory(const char *flags)
{
	const atomic_bool stop = false;
	struct recording recording = {0};
	struct intake_options options = {.stop = &stop};
	struct intake *intake;
	AVPacket *packet = av_packet_alloc(), *wanted = av_packet_alloc();
	AVPacket *read[N_CODED];
	char why[INTAKE_WHY_SIZE];
	size_t before = 0;
	int64_t shift = 0;

	encode(&recording);
	options.fd = record(&recording, "mp4", flags, N_PICTURES);
	assert_int_equal(intake_open(&intake, &options, why), 0);
	for (int i = 0; i < N_PICTURES; i++) {
		if (intake_read(intake, packet, why))
			fail_msg("picture %d: %s", i, why);
		place(&recording, i, wanted);
		/* The file may begin at 0, or an edit list say so. */
		if (i == 0)
			shift = packet->dts - wanted->dts;
		assert_int_equal(packet->dts, wanted->dts + shift);
		assert_int_equal(packet->flags & AV_PKT_FLAG_KEY, wanted->flags & AV_PKT_FLAG_KEY);
		/* The muxer has changed how they are framed. */
		if (i < N_CODED)
			read[i] = av_packet_clone(packet);
		assert_int_equal(packet->pts - packet->dts,
				 read[i % N_CODED]->pts - read[i % N_CODED]->dts);
		assert_int_equal(packet->size, read[i % N_CODED]->size);
		assert_memory_equal(packet->data, read[i % N_CODED]->data, (size_t)packet->size);
		av_packet_unref(packet);
		av_packet_unref(wanted);
		if (i == N_FIRST)
			before = mallinfo2().uordblks;
	}
	assert_true(mallinfo2().uordblks < before + GROWTH_MAX);
	assert_int_equal(intake_read(intake, packet, why), -ENODATA);
	intake_close(intake);
	close(options.fd);
	av_packet_free(&packet);
	av_packet_free(&wanted);
	for (int i = 0; i < N_CODED; i++) {
		av_packet_free(&recording.packets[i]);
		av_packet_free(&read[i]);
	}
	avcodec_free_context(&recording.encoder);
}

static void mp4_with_a_picture_in_each_fragment_needs_little_memory(void **state)
{
	(void)state;
	/* Its fragments state where in the stream they are. */
	plays_in_little_memory("frag_every_frame+empty_moov");
	plays_in_little_memory("frag_every_frame+empty_moov+default_base_moof");
	plays_in_little_memory("frag_every_frame+empty_moov+negative_cts_offsets");
}

static void mp4_with_long_fragments_needs_little_memory(void **state)
{
	(void)state;
	plays_in_little_memory("frag_keyframe+empty_moov");
	plays_in_little_memory("cmaf+frag_keyframe+dash");
}

/* What passes the bytes of a file on, as they are read. */
struct feeder {
	int from, to;
	atomic_bool stop;
	size_t fed; /* of the thread, until it has ended */
};

static void *feed(void *user)
{
	struct feeder *feeder = user;
	uint8_t piece[64];
	ssize_t n;
	int waits;

	while ((n = read(feeder->from, piece, sizeof piece)) > 0) {
		while (ioctl(feeder->to, FIONREAD, &waits) == 0 && waits > 0 &&
		       !atomic_load_explicit(&feeder->stop, memory_order_relaxed))
			usleep(100);
		if (atomic_load_explicit(&feeder->stop, memory_order_relaxed) ||
		    write(feeder->to, piece, (size_t)n) != n)
			break;
		feeder->fed += (size_t)n;
	}
	return NULL;
}

static void flv_without_sound_begins_with_its_first_pictures(void **state)
{
	const atomic_bool stop = false;
	struct recording recording = {0};
	struct intake_options options = {.stop = &stop};
	struct feeder feeder = {0};
	struct intake *intake;
	AVPacket *packet = av_packet_alloc();
	char why[INTAKE_WHY_SIZE];
	struct stat file;
	pthread_t thread;
	int ends[2];

	(void)state;
	encode(&recording);
	feeder.from = record(&recording, "flv", NULL, 1200); /* 40 s */
	assert_int_equal(fstat(feeder.from, &file), 0);
	assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	options.fd = ends[0];
	feeder.to = ends[1];
	assert_int_equal(pthread_create(&thread, NULL, feed, &feeder), 0);
	if (intake_open(&intake, &options, why))
		fail_msg("%s", why);
	atomic_store_explicit(&feeder.stop, true, memory_order_relaxed);
	assert_int_equal(pthread_join(thread, NULL), 0);
	close(feeder.to);
	assert_in_range(feeder.fed, 1, file.st_size / 10);
	assert_int_equal(intake_read(intake, packet, why), 0);
	assert_true(packet->flags & AV_PKT_FLAG_KEY);
	intake_close(intake);
	close(options.fd);
	close(feeder.from);
	av_packet_free(&packet);
	for (int i = 0; i < N_CODED; i++)
		av_packet_free(&recording.packets[i]);
	avcodec_free_context(&recording.encoder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mp4_with_a_picture_in_each_fragment_needs_little_memory),
		cmocka_unit_test(mp4_with_long_fragments_needs_little_memory),
		cmocka_unit_test(flv_without_sound_begins_with_its_first_pictures),
	};

	av_log_set_level(AV_LOG_PANIC);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
