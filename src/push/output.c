/* SPDX-License-Identifier: BSD-2-Clause */
#include "push/output.h"

#include <errno.h>
#include <libavformat/avformat.h>
#include <libavutil/log.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/text.h"
#include "net/push_url.h"

/* In the kernel at most so much waits behind what is on its way: the rest waits in camcastd's log,
 * where whole groups of pictures can be skipped. */
#define NOTSENT_LOWAT (128 << 10)
#define FDS_MAX 64 /* numbers of descriptors that libavformat's sockets may have */
#define GOODBYE_MS 1000
/* Times of FLV have 31 bits for milliseconds. */
#define TICKS_MAX (INT64_C(0x7f000000) * (FRAGMENTS_TIMESCALE / 1000))

static const struct kind {
	const char *scheme, *format;
	/* For libavformat's protocols and muxers, separated by ':'. */
	const char *options;
} kinds[] = {
	{"rtmp", "flv", "flvflags=no_duration_filesize:tcp_nodelay=1"},
	{"rtmps", "flv",
	 "flvflags=no_duration_filesize:tcp_nodelay=1:tls_verify=1:"
	 "ca_file=/etc/ssl/certs/ca-certificates.crt"},
	{"rtsp", "rtsp", "rtsp_transport=tcp"},
	/* libsrt drops packets that are too late, in the middle of a picture, unless it may not:
	 * it then takes no more, and whole groups of pictures are skipped before it. */
	{"srt", "mpegts", "tlpktdrop=0:sndbuf=1500000:mpegts_flags=+resend_headers"},
};

struct output {
	struct output_options options;
	AVFormatContext *context;
	AVPacket *packet;
	int64_t deadline_us; /* for the call that waits */
	int64_t first;	     /* decoding time of the first picture; -1: none yet */
	bool open;	     /* the head has been written */
	bool over;	     /* the connection has failed */
};

/* --- what the libraries say --- */

static const char *secret_url;
static char complaint[OUTPUT_WHY_MAX]; /* the first error since it was cleared; "" */

static void __attribute__((format(printf, 3, 0)))
handle_log(void *object, int level, const char *format, va_list arguments)
{
	char text[4 * PUSH_URL_MAX];
	int len;

	(void)object;
	if (level > AV_LOG_INFO)
		return;
	len = vsnprintf(text, sizeof text, format, arguments);
	text[strcspn(text, "\r\n")] = '\0';
	push_url_hide(secret_url, text, sizeof text);
	/* The end of what was cut off may be a part of a secret, which was not found. */
	if (len >= (int)sizeof text)
		text[strlen(text) > PUSH_URL_MAX ? strlen(text) - PUSH_URL_MAX : 0] = '\0';
	text_clean(text, sizeof text, text);
	if (text[0] == '\0')
		return;
	diag_debug("%s", text);
	if (level <= AV_LOG_ERROR && complaint[0] == '\0')
		text_set(complaint, sizeof complaint, text);
}

void output_init(const char *url)
{
	secret_url = url;
	av_log_set_callback(handle_log);
	avformat_network_init();
}

/* "cannot connect: Connection refused (what the library said)". Returns -1. */
static int fail(struct output *output, const char *what, int err, char why[OUTPUT_WHY_MAX])
{
	char error[AV_ERROR_MAX_STRING_SIZE];

	if (err == AVERROR_EXIT)
		snprintf(error, sizeof error, "no progress within %d s", OUTPUT_WAIT_MS / 1000);
	else if (err == AVERROR_EOF)
		snprintf(error, sizeof error, "the receiver closed the connection");
	else
		av_strerror(err, error, sizeof error);
	text_set(why, OUTPUT_WHY_MAX, what);
	text_append(why, OUTPUT_WHY_MAX, ": ");
	text_append(why, OUTPUT_WHY_MAX, error);
	if (complaint[0]) {
		text_append(why, OUTPUT_WHY_MAX, " (");
		text_append(why, OUTPUT_WHY_MAX, complaint);
		text_append(why, OUTPUT_WHY_MAX, ")");
	}
	output->over = true;
	return -1;
}

/* --- waiting --- */

static int handle_waiting(void *user)
{
	struct output *output = user;

	return (output->options.go_on && !output->options.go_on(output->options.user)) ||
	       clock_now_us() > output->deadline_us;
}

static void begin(struct output *output, int wait_ms)
{
	complaint[0] = '\0';
	output->deadline_us = clock_now_us() + wait_ms * INT64_C(1000);
}

/* libavformat has no option for this that reaches the sockets of all its protocols. */
static void limit_sockets(void)
{
	const int bytes = NOTSENT_LOWAT;

	for (int fd = 0; fd < FDS_MAX; fd++)
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &bytes, sizeof bytes);
}

/* --- opening --- */

static const struct kind *find_kind(const char *url)
{
	struct push_url parsed;

	if (push_url_parse(&parsed, url))
		return NULL;
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (strcmp(kinds[i].scheme, parsed.scheme) == 0)
			return &kinds[i];
	return NULL;
}

static int add_stream(struct output *output, const struct fragments_setup *setup)
{
	AVStream *stream = avformat_new_stream(output->context, NULL);
	AVCodecParameters *codec;

	if (!stream)
		return AVERROR(ENOMEM);
	codec = stream->codecpar;
	codec->codec_type = AVMEDIA_TYPE_VIDEO;
	codec->codec_id = AV_CODEC_ID_H264;
	codec->width = (int)setup->width;
	codec->height = (int)setup->height;
	codec->extradata = av_mallocz(setup->avcc_len + AV_INPUT_BUFFER_PADDING_SIZE);
	if (!codec->extradata)
		return AVERROR(ENOMEM);
	memcpy(codec->extradata, setup->avcc, setup->avcc_len);
	codec->extradata_size = (int)setup->avcc_len;
	stream->time_base = (AVRational){1, FRAGMENTS_TIMESCALE};
	return 0;
}

static int create(struct output **out, const struct output_options *options,
		  const struct kind *kind, const struct fragments_setup *setup)
{
	struct output *output = calloc(1, sizeof *output);
	int err;

	*out = output;
	if (!output)
		return AVERROR(ENOMEM);
	output->options = *options;
	output->first = -1;
	output->packet = av_packet_alloc();
	if (!output->packet)
		return AVERROR(ENOMEM);
	err = avformat_alloc_output_context2(&output->context, NULL, kind->format, options->url);
	if (err < 0)
		return err;
	output->context->interrupt_callback = (AVIOInterruptCB){handle_waiting, output};
	output->context->flags |= AVFMT_FLAG_FLUSH_PACKETS;
	output->context->max_delay = 0;
	return add_stream(output, setup);
}

/* Options that neither the protocol nor the muxer knows are left over, and ignored. */
static int connect_output(struct output *output, const struct kind *kind)
{
	AVFormatContext *context = output->context;
	AVDictionary *options = NULL;
	int err = av_dict_parse_string(&options, kind->options, "=", ":", 0);

	if (err >= 0 && !(context->oformat->flags & AVFMT_NOFILE))
		err = avio_open2(&context->pb, context->url, AVIO_FLAG_WRITE,
				 &context->interrupt_callback, &options);
	if (err >= 0) { /* else what the library said is why */
		begin(output, OUTPUT_WAIT_MS);
		err = avformat_write_header(context, &options);
	}
	av_dict_free(&options);
	return err;
}

int output_open(struct output **out, const struct output_options *options,
		const struct fragments_setup *setup, char why[OUTPUT_WHY_MAX])
{
	const struct kind *kind = find_kind(options->url);
	struct output *output = NULL;
	int err = kind ? create(&output, options, kind, setup) : AVERROR(EINVAL);

	if (err < 0)
		goto fail;
	begin(output, OUTPUT_WAIT_MS);
	err = connect_output(output, kind);
	if (err < 0)
		goto fail;
	output->open = true;
	limit_sockets();
	*out = output;
	return 0;

fail:
	if (output)
		(void)fail(output, "cannot connect", err, why);
	else
		text_set(why, OUTPUT_WHY_MAX, "cannot connect: the URL or the memory is at fault");
	output_close(output);
	return -1;
}

/* --- pictures --- */

bool output_is_full(const struct output *output, const struct fragments_picture *picture)
{
	return output->first >= 0 && picture->dts - output->first > TICKS_MAX;
}

static int fill_packet(struct output *output, const struct fragments_picture *picture)
{
	AVPacket *packet = output->packet;
	int err = av_new_packet(packet, (int)picture->len);

	if (err < 0)
		return err;
	memcpy(packet->data, picture->data, picture->len);
	if (output->first < 0)
		output->first = picture->dts;
	packet->dts = picture->dts - output->first;
	packet->pts = picture->pts - output->first;
	packet->flags = picture->key ? AV_PKT_FLAG_KEY : 0;
	/* The muxer has chosen another one. */
	av_packet_rescale_ts(packet, (AVRational){1, FRAGMENTS_TIMESCALE},
			     output->context->streams[0]->time_base);
	return 0;
}

int output_write(struct output *output, const struct fragments_picture *picture,
		 char why[OUTPUT_WHY_MAX])
{
	int err = fill_packet(output, picture);

	begin(output, OUTPUT_WAIT_MS);
	if (err >= 0)
		err = av_write_frame(output->context, output->packet);
	/* Protocols without packets report the errors of their writes late. */
	if (err >= 0 && output->context->pb && output->context->pb->error < 0)
		err = output->context->pb->error;
	av_packet_unref(output->packet);
	return err < 0 ? fail(output, "the connection failed", err, why) : 0;
}

void output_close(struct output *output)
{
	AVFormatContext *context;

	if (!output)
		return;
	context = output->context;
	output->options.go_on = NULL; /* the goodbye is for when it says no */
	begin(output, output->over ? 0 : GOODBYE_MS);
	if (output->open)
		(void)av_write_trailer(context);
	if (context && !(context->oformat->flags & AVFMT_NOFILE))
		(void)avio_closep(&context->pb);
	avformat_free_context(context);
	av_packet_free(&output->packet);
	free(output);
}
