/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * decode h264|mjpeg: decodes the byte stream on its standard input, and prints a line for each
 * picture: width, height, and the luma of row height / 32 in hexadecimal, which has the number of a
 * test picture (include/camcast/pattern.h). It does for the tests what an ffmpeg does that has
 * "-xerror -err_detect explode", but starts three times as fast, as it loads libavcodec alone.
 *
 * Every message of libavcodec about an error goes to the standard error. So does a reference that
 * is missing, which it conceals and mentions at a lower level. The exit status is 0 only if there
 * was no message.
 */
#include <libavcodec/avcodec.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REORDERED_MAX 16 /* pictures; of H.264 */
#define PIECE (1 << 20)	 /* of the input */

static int faults; /* libavcodec calls with one thread */

static void note(void *context, int level, const char *format, va_list arguments)
{
	char line[1024];
	int prefix = 1;

	if (level > AV_LOG_ERROR && !strstr(format, "Frame num gap") &&
	    !strstr(format, "Missing reference"))
		return;
	faults++;
	av_log_format_line(context, level, format, arguments, line, sizeof(line), &prefix);
	fputs(line, stderr);
}

static void check(int result, const char *what)
{
	if (result >= 0)
		return;
	fprintf(stderr, "%s: %s\n", what, av_err2str(result));
	exit(1);
}

static void *present(void *memory)
{
	check(memory ? 0 : AVERROR(ENOMEM), "memory");
	return memory;
}

/* All of the standard input, behind which libavcodec may read. */
static uint8_t *read_input(size_t *len)
{
	uint8_t *data = NULL;
	size_t got;

	*len = 0;
	do {
		data = present(realloc(data, *len + PIECE + AV_INPUT_BUFFER_PADDING_SIZE));
		got = fread(data + *len, 1, PIECE, stdin);
		*len += got;
	} while (got);
	memset(data + *len, 0, AV_INPUT_BUFFER_PADDING_SIZE);
	return data;
}

static void print_picture(const AVFrame *frame)
{
	const uint8_t *row = frame->data[0] + (ptrdiff_t)(frame->height / 32) * frame->linesize[0];
	int x;

	if (frame->flags & AV_FRAME_FLAG_CORRUPT || frame->decode_error_flags)
		check(AVERROR_INVALIDDATA, "a picture is damaged");
	printf("%d %d ", frame->width, frame->height);
	for (x = 0; x < frame->width; x++)
		printf("%02x", row[x]);
	putchar('\n');
}

/* packet: NULL at the end. */
static void decode(AVCodecContext *context, AVPacket *packet, AVFrame *frame)
{
	int result;

	check(avcodec_send_packet(context, packet), "a packet");
	while ((result = avcodec_receive_frame(context, frame)) >= 0)
		print_picture(frame);
	if (result != AVERROR(EAGAIN) && result != AVERROR_EOF)
		check(result, "a picture");
}

int main(int argc, char **argv)
{
	const AVCodec *codec = argc == 2 ? avcodec_find_decoder_by_name(argv[1]) : NULL;
	AVCodecContext *context;
	AVCodecParserContext *parser;
	AVPacket *packet;
	AVFrame *frame;
	uint8_t *input;
	size_t len, at = 0;
	int used;

	if (!codec) {
		fputs("usage: decode h264|mjpeg\n", stderr);
		return 2;
	}
	av_log_set_callback(note);
	context = present(avcodec_alloc_context3(codec));
	parser = present(av_parser_init(codec->id));
	packet = present(av_packet_alloc());
	frame = present(av_frame_alloc());
	context->err_recognition = AV_EF_EXPLODE;
	context->flags |= AV_CODEC_FLAG_OUTPUT_CORRUPT; /* print_picture() refuses it */
	context->thread_count = 1;
	/* Before it knows of B pictures, the decoder would leave one out. */
	context->has_b_frames = REORDERED_MAX;
	check(avcodec_open2(context, codec, NULL), "decoder");

	input = read_input(&len);
	do {
		/* At the end with a length of 0, for what the parser holds back. */
		used = av_parser_parse2(parser, context, &packet->data, &packet->size, input + at,
					(int)(len - at), AV_NOPTS_VALUE, AV_NOPTS_VALUE, 0);
		check(used, "parser");
		at += (size_t)used;
		if (packet->size)
			decode(context, packet, frame);
	} while (used || packet->size);
	decode(context, NULL, frame);

	av_frame_free(&frame);
	av_packet_free(&packet);
	av_parser_close(parser);
	avcodec_free_context(&context);
	free(input);
	return faults ? 1 : 0;
}
