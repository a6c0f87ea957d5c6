/* SPDX-License-Identifier: BSD-2-Clause */
#include "capture/source/intake.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "base/words.h"
#include "capture/source/averror.h"
#include "capture/source/boxes.h"
#include "capture/source/demux.h"
#include "capture/source/format.h"
#include "capture/source/segments.h"
#include "media/nal.h"
#include "media/sps.h"
#include "net/push_url.h"

#define OPEN_MS 10000 /* for a connection */
#define ANALYSE_MS                                                                                 \
	20000	       /* for the first pictures; some cameras have a key picture in ten seconds */
#define CLOSE_MS 500   /* for saying goodbye */
#define POLL_MS 100    /* how soon `stop` is seen */
#define AGAIN_MS 10    /* libavformat has nothing, and does not wait itself */
#define HEAD_SIZE 4096 /* what is looked at to know the format */
#define SAID_SHOWN_MAX 96 /* bytes of what libav said */
#define BUFFER_SIZE 32768 /* of libavformat's reads */
#define ANALYSE_BYTES (16 << 20)
#define ANALYSE_RATE 8 /* pictures, for a rate that they do not state */
#define RATE_MIN 0.1   /* pictures a second */
#define RATE_MAX 240
/* So many bytes without a picture are none. */
#define UNIT_BYTES_MAX (64 << 20)

struct intake {
	int fd;
	const char *url;
	const atomic_bool *stop;
	uint32_t silence_ms;
	int64_t until_us; /* what is under way fails then; INT64_MAX: never */
	bool late;	  /* it did: libavformat may give what it has before it says so */
	bool closing;	  /* goodbye is said to a server, also when this process stops */
	size_t unread;	  /* bytes since the last picture; those of HLS: */
	uint64_t seen;	  /* of segments.n_read, at the last picture */

	AVIOContext *inner; /* of a URL that is a stream of bytes */
	AVIOContext *bytes; /* with what the format was seen from in front */
	uint8_t head[HEAD_SIZE];
	size_t head_len, head_pos;
	const struct format *format; /* NULL: RTSP */
	struct segments segments;    /* of HLS */
	AVFormatContext *input;	     /* the first one, whose stream is lent */
	int stream;

	/* Of MP4, what reads in its place since the first cut of the boxes; see boxes.h. */
	struct boxes boxes;
	AVDictionary *options; /* of every demuxer */
	AVIOContext *later_bytes;
	AVFormatContext *later;
};

/* --- bytes --- */

static bool is_pictureless(const struct intake *intake)
{
	return intake->unread + (intake->segments.n_read - intake->seen) > UNIT_BYTES_MAX;
}

static int is_interrupted(void *user)
{
	struct intake *intake = user;

	if (!intake->closing && atomic_load_explicit(intake->stop, memory_order_relaxed))
		return 1;
	intake->late |= clock_now_us() >= intake->until_us;
	/* libavformat goes on with the next segment of HLS when one fails. */
	return intake->late ||
	       (!intake->closing && (intake->segments.wrong || is_pictureless(intake)));
}

static void allow_ms(struct intake *intake, uint32_t ms)
{
	intake->until_us = ms ? clock_now_us() + (int64_t)ms * 1000 : INT64_MAX;
}

static int read_fd(struct intake *intake, uint8_t *buffer, int size)
{
	struct pollfd pfd = {.fd = intake->fd, .events = POLLIN};

	while (!is_interrupted(intake)) {
		ssize_t n = read(intake->fd, buffer, (size_t)size);

		if (n > 0)
			return (int)n;
		if (n == 0)
			return AVERROR_EOF;
		if (errno != EAGAIN && errno != EINTR)
			return AVERROR(errno);
		(void)poll(&pfd, 1, POLL_MS);
	}
	return AVERROR_EXIT;
}

/* What has arrived, at least a byte; or an error of libav. */
static int read_more(struct intake *intake, uint8_t *buffer, int size)
{
	int n;

	if (is_pictureless(intake))
		return AVERROR_EXIT;
	n = intake->inner ? avio_read_partial(intake->inner, buffer, size)
			  : read_fd(intake, buffer, size);
	if (n > 0)
		intake->unread += (size_t)n;
	return n == 0 ? AVERROR_EOF : n;
}

/* Everything counts that is there: libavformat would wait for streams that may come later. */
static void expect_no_more_streams(struct intake *intake)
{
	for (unsigned i = 0; i < intake->input->nb_streams; i++)
		if (intake->input->streams[i]->codecpar->codec_type == AVMEDIA_TYPE_VIDEO)
			intake->input->ctx_flags &= ~AVFMTCTX_NOHEADER;
}

static int read_bytes(void *user, uint8_t *buffer, int size)
{
	struct intake *intake = user;
	const size_t left = intake->head_len - intake->head_pos;
	const size_t n = left < (size_t)size ? left : (size_t)size;

	/* A stream of FLV is there when its first data is. */
	if (intake->input && intake->stream < 0)
		expect_no_more_streams(intake);
	if (n == 0)
		return read_more(intake, buffer, size);
	memcpy(buffer, intake->head + intake->head_pos, n);
	intake->head_pos += n;
	return (int)n;
}

/* --- errors --- */

static int fail(const struct intake *intake, int averror, char *why)
{
	char text[AV_ERROR_MAX_STRING_SIZE], said[AVERROR_SAID_MAX], shown[SAID_SHOWN_MAX];

	if (atomic_load_explicit(intake->stop, memory_order_relaxed)) {
		snprintf(why, INTAKE_WHY_SIZE, "stopped");
		return -ECANCELED;
	}
	if (intake->late) {
		snprintf(why, INTAKE_WHY_SIZE, "%s",
			 intake->input && intake->stream >= 0 ? "no picture comes any more"
							      : "no answer, or no picture");
		return -ETIMEDOUT;
	}
	if (intake->segments.wrong || is_pictureless(intake)) {
		snprintf(why, INTAKE_WHY_SIZE, "%s",
			 intake->segments.wrong ? intake->segments.wrong
						: "64 MiB without a picture");
		return -EMSGSIZE;
	}
	if (averror == AVERROR_EOF) {
		snprintf(why, INTAKE_WHY_SIZE, "the stream ended");
		return -ENODATA;
	}
	text_set(said, sizeof(said), averror_said());
	if (intake->url)
		push_url_hide(intake->url, said, sizeof(said));
	text_set(shown, sizeof(shown), said);
	snprintf(why, INTAKE_WHY_SIZE, "%s%s%s", averror_text(averror, text),
		 shown[0] ? "; libav: " : "", shown);
	return averror_errno(averror);
}

/* Of visible characters of ASCII, as the beginning of a page or of a message is. */
static bool is_word(const uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (bytes[i] <= ' ' || bytes[i] >= 0x7f)
			return false;
	return true;
}

static int refuse_format(const struct intake *intake, char *why)
{
	int len = snprintf(why, INTAKE_WHY_SIZE,
			   "what comes is no H.264 (Annex B), MPEG-TS or MJPEG; it begins with");
	const size_t n = intake->head_len < 8 ? intake->head_len : 8;

	if (n > 0 && is_word(intake->head, n)) {
		snprintf(why + len, INTAKE_WHY_SIZE - (size_t)len, " \"%.*s\"", (int)n,
			 (const char *)intake->head);
		return -EBADMSG;
	}
	for (size_t i = 0; i < n; i++)
		len += snprintf(why + len, INTAKE_WHY_SIZE - (size_t)len, " %02x", intake->head[i]);
	return -EBADMSG;
}

/* --- opening --- */

static int read_options(AVDictionary **out, const char *text)
{
	const char *wrong;
	char **words;
	int n = words_split(&words, text ? text : "", &wrong);

	for (int i = 0; i < n; i++) {
		char *equals = strchr(words[i], '=');

		if (!equals)
			continue;
		*equals = '\0';
		av_dict_set(out, words[i], equals + 1, 0);
	}
	if (n >= 0)
		free(words);
	return n < 0 ? n : 0;
}

/* An option that nobody took. */
static int refuse_rest(AVDictionary *options, char *why)
{
	const AVDictionaryEntry *entry = av_dict_get(options, "", NULL, AV_DICT_IGNORE_SUFFIX);

	if (!entry)
		return 0;
	snprintf(why, INTAKE_WHY_SIZE, "url_options: libavformat has no option %.64s for this URL",
		 entry->key);
	return -EINVAL;
}

static int see_format(struct intake *intake, char *why)
{
	while (intake->head_len < HEAD_SIZE) {
		int n = read_more(intake, intake->head + intake->head_len,
				  (int)(HEAD_SIZE - intake->head_len));

		if (n < 0 && (n != AVERROR_EOF || intake->head_len == 0))
			return fail(intake, n, why);
		if (n < 0)
			break;
		intake->head_len += (size_t)n;
		intake->format =
			format_find(intake->head, intake->head_len, intake->head_len == HEAD_SIZE);
		if (intake->format)
			return 0;
	}
	return refuse_format(intake, why);
}

static bool is_hls(const struct intake *intake)
{
	return intake->format && strcmp(intake->format->name, "hls") == 0;
}

static bool is_mp4(const struct intake *intake)
{
	return intake->format && strcmp(intake->format->name, "mp4") == 0;
}

/* What a demuxer reads the format from. NULL: out of memory. */
static AVIOContext *make_bytes(struct intake *intake)
{
	uint8_t *buffer = av_malloc(BUFFER_SIZE);
	AVIOContext *bytes = NULL;

	if (buffer && is_mp4(intake))
		bytes = avio_alloc_context(buffer, BUFFER_SIZE, 0, &intake->boxes, boxes_read, NULL,
					   NULL);
	else if (buffer)
		bytes = avio_alloc_context(buffer, BUFFER_SIZE, 0, intake, read_bytes, NULL, NULL);
	if (bytes)
		bytes->seekable = 0;
	else
		av_free(buffer);
	return bytes;
}

static void free_bytes(AVIOContext **bytes)
{
	if (*bytes)
		av_freep(&(*bytes)->buffer);
	avio_context_free(bytes);
}

/* What was read is the playlist: libavformat fetches it again, and what it names. */
static int begin_hls(struct intake *intake, const AVDictionary *options, char *why)
{
	int r;

	if (!intake->url || strncmp(intake->url, "http", 4) != 0) {
		snprintf(why, INTAKE_WHY_SIZE,
			 "what comes is a playlist of HLS, which is read over http and https only");
		return -EBADMSG;
	}
	avio_closep(&intake->inner);
	if (intake->silence_ms < SEGMENTS_SILENCE_MS)
		intake->silence_ms = SEGMENTS_SILENCE_MS;
	r = segments_init(&intake->segments, intake->url, options);
	return r < 0 ? fail(intake, r, why) : 0;
}

static int open_bytes(struct intake *intake, AVDictionary **options, char *why)
{
	const AVIOInterruptCB interrupt = {is_interrupted, intake};
	AVDictionary *kept = NULL;
	int r;

	r = av_dict_copy(&kept, *options, 0); /* opening takes some out */
	if (r >= 0 && intake->url)
		r = avio_open2(&intake->inner, intake->url, AVIO_FLAG_READ, &interrupt, options);
	if (r < 0) {
		r = fail(intake, r, why);
	} else if (intake->url && segments_led_away(intake->inner, intake->url)) {
		snprintf(why, INTAKE_WHY_SIZE, "the server redirects to another scheme");
		r = -EPERM;
	} else {
		allow_ms(intake, intake->silence_ms ? ANALYSE_MS : 0);
		r = see_format(intake, why);
	}
	if (!r && is_hls(intake))
		r = begin_hls(intake, kept, why);
	av_dict_free(&kept);
	if (r || is_hls(intake))
		return r;
	intake->boxes = (struct boxes){.source = read_bytes, .user = intake};
	intake->bytes = make_bytes(intake);
	return intake->bytes ? 0 : fail(intake, AVERROR(ENOMEM), why);
}

static int open_input(struct intake *intake, AVDictionary **options, char *why)
{
	const AVInputFormat *format = NULL;
	int r;

	intake->input = avformat_alloc_context();
	if (!intake->input)
		return fail(intake, AVERROR(ENOMEM), why);
	intake->input->interrupt_callback = (AVIOInterruptCB){is_interrupted, intake};
	intake->input->pb = intake->bytes;
	intake->input->max_analyze_duration = (int64_t)ANALYSE_MS * 1000;
	intake->input->probesize = ANALYSE_BYTES;
	/* Without a clock there is no rate to be found, and libavformat would look for it until the
	 * time is up. */
	intake->input->fps_probe_size = !intake->format || intake->format->clock ? ANALYSE_RATE : 0;
	if (intake->format)
		format = av_find_input_format(intake->format->name);
	r = is_mp4(intake) ? av_dict_copy(&intake->options, *options, 0) : 0;
	if (r < 0)
		return fail(intake, r, why);
	if (is_hls(intake))
		r = segments_open(&intake->segments, &intake->input, options);
	else
		r = avformat_open_input(&intake->input, intake->format ? NULL : intake->url, format,
					options);
	if (r < 0)
		return fail(intake, r, why);
	allow_ms(intake, intake->silence_ms ? ANALYSE_MS : 0);
	expect_no_more_streams(intake);
	r = avformat_find_stream_info(intake->input, NULL);
	if (r >= 0)
		r = av_find_best_stream(intake->input, AVMEDIA_TYPE_VIDEO, -1, -1, NULL, 0);
	if (r == AVERROR_STREAM_NOT_FOUND && !is_interrupted(intake)) {
		snprintf(why, INTAKE_WHY_SIZE, "there is no video in it");
		return -EINVAL;
	}
	if (r < 0)
		return fail(intake, r, why);
	for (unsigned i = 0; i < intake->input->nb_streams; i++)
		if ((int)i != r)
			intake->input->streams[i]->discard = AVDISCARD_ALL;
	if (intake->input->streams[r]->codecpar->width > 0 &&
	    intake->input->streams[r]->codecpar->height > 0) {
		intake->stream = r;
		return 0;
	}
	/* The end, or the time, came before the size. */
	if (is_interrupted(intake))
		return fail(intake, AVERROR_EXIT, why);
	snprintf(why, INTAKE_WHY_SIZE,
		 "no size is known of its pictures (%s): parameter sets, or a "
		 "key picture, did not come",
		 avcodec_get_name(intake->input->streams[r]->codecpar->codec_id));
	return -ENODATA;
}

static void set_defaults(AVDictionary **options, const char *url)
{
	static const struct {
		const char *scheme, *protocols;
	} allowed[] = {
		{"rtsp:", "rtsp,rtp,udp,tcp,http"},
		{"http:", "http,tcp"},
		{"https:", "https,tls,tcp"}, /* and no way back to http */
		{"tcp:", "tcp"},
		{"srt:", "srt"},
		{"udp:", "udp"},
	};

	/* An answer may name other addresses, but no files. */
	for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++)
		if (strncmp(url, allowed[i].scheme, strlen(allowed[i].scheme)) == 0)
			av_dict_set(options, "protocol_whitelist", allowed[i].protocols, 0);
	if (strncmp(url, "https:", 6) == 0) {
		av_dict_set(options, "tls_verify", "1", AV_DICT_DONT_OVERWRITE);
		av_dict_set(options, "ca_file", SOURCE_URL_CAFILE, AV_DICT_DONT_OVERWRITE);
	}
	if (strncmp(url, "rtsp:", 5) != 0)
		return;
	/* UDP loses packets, which damages pictures, and does not pass a sandbox or NAT. */
	av_dict_set(options, "rtsp_transport", "tcp", AV_DICT_DONT_OVERWRITE);
	av_dict_set(options, "allowed_media_types", "video", 0);
}

int intake_open(struct intake **out, const struct intake_options *given, char *why)
{
	struct intake *intake = calloc(1, sizeof(*intake));
	AVDictionary *options = NULL;
	const bool rtsp = given->fd < 0 && strncmp(given->url, "rtsp:", 5) == 0;
	int r;

	if (!intake) {
		snprintf(why, INTAKE_WHY_SIZE, "out of memory");
		return -ENOMEM;
	}
	intake->fd = given->fd;
	intake->url = given->fd < 0 ? given->url : NULL;
	intake->stop = given->stop;
	intake->silence_ms = given->silence_ms;
	intake->stream = -1;
	allow_ms(intake, OPEN_MS);
	averror_listen();
	averror_forget();
	av_log_set_level(AV_LOG_PANIC);
	r = intake->url ? read_options(&options, given->url_options) : 0;
	if (r)
		r = fail(intake, r, why);
	if (!r && intake->url)
		set_defaults(&options, intake->url);
	if (!r && !rtsp)
		r = open_bytes(intake, &options, why);
	if (!r && !rtsp)
		av_dict_set(&options, "protocol_whitelist", NULL, 0);
	if (!r)
		r = open_input(intake, &options, why);
	if (!r)
		r = refuse_rest(options, why);
	av_dict_free(&options);
	if (r) {
		intake_close(intake);
		return r;
	}
	*out = intake;
	return 0;
}

static void close_later(struct intake *intake)
{
	avformat_close_input(&intake->later);
	free_bytes(&intake->later_bytes);
}

/* Another demuxer goes on behind a cut, at `position` of the stream. */
static int open_later(struct intake *intake, int64_t position)
{
	AVDictionary *options = NULL;
	int r;

	close_later(intake);
	intake->later_bytes = make_bytes(intake);
	intake->later = avformat_alloc_context();
	if (!intake->later_bytes || !intake->later)
		return AVERROR(ENOMEM);
	intake->later_bytes->pos = position;
	intake->later->interrupt_callback = intake->input->interrupt_callback;
	intake->later->pb = intake->later_bytes;
	r = av_dict_copy(&options, intake->options, 0);
	if (r >= 0)
		r = avformat_open_input(&intake->later, NULL,
					av_find_input_format(intake->format->name), &options);
	av_dict_free(&options);
	if (r < 0)
		return r;
	/* The description is the same. */
	if (intake->later->nb_streams != intake->input->nb_streams)
		return AVERROR_INVALIDDATA;
	for (unsigned i = 0; i < intake->later->nb_streams; i++)
		intake->later->streams[i]->discard = intake->input->streams[i]->discard;
	return 0;
}

void intake_close(struct intake *intake)
{
	if (!intake)
		return;
	allow_ms(intake, CLOSE_MS);
	intake->late = false;
	intake->closing = true;
	close_later(intake);
	avformat_close_input(&intake->input);
	free_bytes(&intake->bytes);
	av_dict_free(&intake->options);
	boxes_finish(&intake->boxes);
	avio_closep(&intake->inner);
	segments_finish(&intake->segments);
	free(intake);
}

/* --- properties --- */

const AVStream *intake_stream(const struct intake *intake)
{
	return intake->input->streams[intake->stream];
}

bool intake_has_clock(const struct intake *intake)
{
	return !intake->format || intake->format->clock;
}

bool intake_is_parsed(const struct intake *intake)
{
	const AVCodecParameters *codec = intake_stream(intake)->codecpar;

	if (!intake->format || !intake->format->parsed)
		return false;
	/* Segments of MP4 have whole pictures, and parameters with a version (ISO/IEC 14496-15). */
	return !is_hls(intake) || codec->extradata_size == 0 || codec->extradata[0] != 1;
}

AVRational intake_shape(const struct intake *intake, bool container)
{
	AVStream *stream = intake->input->streams[intake->stream];

	return demux_reduce_shape(
		container ? stream->sample_aspect_ratio
			  : av_guess_sample_aspect_ratio(intake->input, stream, NULL));
}

/* What the newest parameter sets state of H.264. */
static struct rate coded_rate(const AVCodecParameters *codec, struct rate otherwise)
{
	const size_t len = codec->extradata_size > 0 ? (size_t)codec->extradata_size : 0;
	struct sps sps;
	struct nal nal;
	size_t pos = 0;

	if (codec->codec_id != AV_CODEC_ID_H264)
		return otherwise;
	while (nal_next(codec->extradata, len, &pos, &nal))
		if (nal.type == NAL_SPS && sps_read(nal.data, nal.len, &sps) == 0 &&
		    sps.num_units_in_tick > 0 && sps.num_units_in_tick < UINT32_MAX / 2 &&
		    sps.time_scale / (2.0 * sps.num_units_in_tick) >= RATE_MIN &&
		    sps.time_scale / (2.0 * sps.num_units_in_tick) <= RATE_MAX)
			return (struct rate){sps.time_scale, 2 * sps.num_units_in_tick};
	return otherwise;
}

struct rate intake_rate(const struct intake *intake, struct rate otherwise)
{
	const AVStream *stream = intake_stream(intake);

	return intake_has_clock(intake) ? demux_stated_rate(stream, otherwise)
					: coded_rate(stream->codecpar, otherwise);
}

/* --- reading --- */

/* Waits until the picture goes on, or the process stops. */
static void keep_rhythm(struct intake *intake, const AVPacket *packet)
{
	const AVRational base = intake_stream(intake)->time_base;
	int64_t now_us = clock_now_us(), left_us, due_us;

	if (packet->dts == AV_NOPTS_VALUE)
		return;
	due_us = segments_due_us(&intake->segments, av_rescale_q(packet->dts, base, AV_TIME_BASE_Q),
				 now_us);
	for (; now_us < due_us && !atomic_load_explicit(intake->stop, memory_order_relaxed);
	     now_us = clock_now_us()) {
		left_us = due_us - now_us;
		(void)poll(NULL, 0, left_us < POLL_MS * 1000 ? (int)(left_us / 1000) + 1 : POLL_MS);
	}
}

int intake_read(struct intake *intake, AVPacket *packet, char *why)
{
	int64_t position;
	int r;

	allow_ms(intake, intake->silence_ms);
	averror_forget();
	for (;;) {
		r = av_read_frame(intake->later ? intake->later : intake->input, packet);
		if (r == AVERROR(EAGAIN) && !is_interrupted(intake)) {
			(void)poll(NULL, 0, AGAIN_MS);
			continue;
		}
		if (r == AVERROR_EOF && boxes_resume(&intake->boxes, &position)) {
			r = open_later(intake, position);
			if (r >= 0)
				continue;
		}
		if (r < 0)
			return fail(intake, r, why);
		if (packet->stream_index == intake->stream)
			break;
		av_packet_unref(packet);
	}
	intake->unread = 0;
	intake->seen = intake->segments.n_read;
	boxes_count_picture(&intake->boxes);
	if (is_hls(intake))
		keep_rhythm(intake, packet);
	return 0;
}
