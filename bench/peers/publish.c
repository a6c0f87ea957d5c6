/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The camera of the other servers. Plays a recording in an endless loop, each access unit with the
 * SEI of camcast/sei.h, to any URL that libavformat can write: rtmp://, icecast://, tcp://, pipe:1.
 * It hands over each whole unit at the moment of its capture, so that no server has to wait for the
 * next unit to find the end of this one. `-f length` writes u32 big-endian lengths and units to
 * stdout.
 *
 *   publish -i FILE.h264 -f flv|mpegts|h264|length [-r 30] [-o key=value]... [URL]
 *
 * Exits with 0 when the server no longer takes the stream.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libavformat/avformat.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "bench/lib/footage.h"
#include "bench/lib/pace.h"

struct publisher {
	struct footage footage;
	unsigned rate;
	AVFormatContext *output; /* NULL: lengths to stdout */
	AVPacket *packet;
};

static void die(const char *what, int error)
{
	char text[AV_ERROR_MAX_STRING_SIZE];

	av_strerror(error, text, sizeof(text));
	fprintf(stderr, "publish: %s: %s\n", what, text);
	exit(1);
}

static void open_output(struct publisher *publisher, const char *format, const char *url,
			AVDictionary **options)
{
	const struct footage *footage = &publisher->footage;
	AVDictionary *for_url = NULL;
	AVStream *stream;
	int result = avformat_alloc_output_context2(&publisher->output, NULL, format, url);

	if (result < 0)
		die(format, result);
	/* The muxer and the protocol share the list; each takes the options that it knows. */
	av_dict_copy(&for_url, *options, 0);
	result = avio_open2(&publisher->output->pb, url, AVIO_FLAG_WRITE, NULL, &for_url);
	av_dict_free(&for_url);
	if (result < 0)
		die(url, result);
	stream = avformat_new_stream(publisher->output, NULL);
	if (!stream)
		die("stream", AVERROR(ENOMEM));
	stream->codecpar->codec_type = AVMEDIA_TYPE_VIDEO;
	stream->codecpar->codec_id = AV_CODEC_ID_H264;
	stream->codecpar->width = 1280; /* for the header only; the SPS has the real size */
	stream->codecpar->height = 720;
	stream->codecpar->extradata = av_mallocz(footage->sps_len + AV_INPUT_BUFFER_PADDING_SIZE);
	if (!stream->codecpar->extradata)
		die("stream", AVERROR(ENOMEM));
	memcpy(stream->codecpar->extradata, footage->sps, footage->sps_len);
	stream->codecpar->extradata_size = (int)footage->sps_len;
	stream->time_base = (AVRational){1, 90000};
	publisher->output->flags |= AVFMT_FLAG_FLUSH_PACKETS;
	result = avformat_write_header(publisher->output, options);
	if (result < 0)
		die("header", result);
}

static int write_unit(struct publisher *publisher, uint64_t seq, uint8_t *data, size_t len)
{
	AVPacket *packet = publisher->packet;
	AVStream *stream;

	if (!publisher->output) {
		uint8_t head[4];

		bytes_put32(head, (uint32_t)len);
		if (fwrite(head, sizeof(head), 1, stdout) != 1 ||
		    fwrite(data, len, 1, stdout) != 1 || fflush(stdout) != 0)
			return AVERROR(EPIPE);
		return 0;
	}
	stream = publisher->output->streams[0];
	packet->data = data;
	packet->size = (int)len;
	packet->flags = footage_at(&publisher->footage, seq)->key ? AV_PKT_FLAG_KEY : 0;
	packet->pts = packet->dts = av_rescale_q(
		(int64_t)seq, (AVRational){1, (int)publisher->rate}, stream->time_base);
	packet->stream_index = 0;
	return av_write_frame(publisher->output, packet);
}

static void play(struct publisher *publisher)
{
	uint8_t *data = malloc(publisher->footage.max_len + AV_INPUT_BUFFER_PADDING_SIZE);
	int64_t start_us = clock_now_us();
	int result = 0;

	publisher->packet = av_packet_alloc();
	if (!data || !publisher->packet)
		die("memory", AVERROR(ENOMEM));
	for (uint64_t seq = 0; result >= 0; seq++) {
		size_t len;

		pace_until_us(start_us + (int64_t)(seq * 1000000 / publisher->rate));
		len = footage_write(&publisher->footage, seq, seq, clock_now_us(), data);
		memset(data + len, 0, AV_INPUT_BUFFER_PADDING_SIZE);
		result = write_unit(publisher, seq, data, len);
	}
	av_packet_free(&publisher->packet);
	free(data);
}

int main(int argc, char **argv)
{
	struct publisher publisher = {.rate = 30};
	const char *input = NULL, *format = NULL, *url = "pipe:1";
	AVDictionary *options = NULL;
	bool good = true;
	int c, result;

	while ((c = getopt(argc, argv, "i:f:r:o:")) != -1) {
		if (c == 'i')
			input = optarg;
		else if (c == 'f')
			format = optarg;
		else if (c == 'r')
			publisher.rate = (unsigned)strtoul(optarg, NULL, 10);
		else if (c != 'o' || av_dict_parse_string(&options, optarg, "=", "", 0) < 0)
			good = false;
	}
	if (optind < argc)
		url = argv[optind++];
	if (!good || !input || !format || publisher.rate == 0 || optind != argc) {
		fputs("publish -i FILE.h264 -f flv|mpegts|h264|length [-r RATE] [-o KEY=VALUE] "
		      "[URL]\n",
		      stderr);
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	result = footage_open(&publisher.footage, input);
	if (result < 0) {
		fprintf(stderr, "publish: %s: %s\n", input, strerror(-result));
		return 1;
	}
	avformat_network_init();
	if (strcmp(format, "length") != 0)
		open_output(&publisher, format, url, &options);
	play(&publisher);
	av_dict_free(&options);
	if (publisher.output) {
		avio_closep(&publisher.output->pb);
		avformat_free_context(publisher.output);
	}
	footage_close(&publisher.footage);
	return 0;
}
