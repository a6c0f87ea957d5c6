/* SPDX-License-Identifier: BSD-2-Clause */
#include "client/view/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <libavcodec/avcodec.h>
#include <libavutil/imgutils.h>
#include <libswscale/swscale.h>

#include "base/diag.h"
#include "base/text.h"
#include "client/view/wake.h"

#define NAME_BYTES 120 /* of the server's name in the file's */

struct view_snapshots {
	const char *folder;
	pthread_t thread;
	bool started;	  /* thread is to be joined */
	atomic_bool busy; /* until the thread is done: set by the main thread, cleared by it */
	AVFrame *picture; /* the thread's while busy */
	enum view_colour colour;
	int width; /* of the file; differs from the picture's where pixels are not square */
	char path[4096];
	struct view_wake *wake;
	char result[4096 + 128]; /* the thread's while busy */
	bool told;		 /* result has been taken, or there is none */
};

/* --- on the thread --- */

static AVFrame *convert(const AVFrame *from, int width, enum view_colour colour)
{
	const int standard = colour == VIEW_REC709 ? SWS_CS_ITU709 : SWS_CS_ITU601;
	struct SwsContext *scaler =
		sws_getContext(from->width, from->height, from->format, width, from->height,
			       AV_PIX_FMT_RGB24, SWS_BICUBIC | SWS_ACCURATE_RND, NULL, NULL, NULL);
	AVFrame *to = av_frame_alloc();

	if (!to || !scaler)
		goto fail;
	to->format = AV_PIX_FMT_RGB24;
	to->width = width;
	to->height = from->height;
	if (av_frame_get_buffer(to, 0) < 0)
		goto fail;
	sws_setColorspaceDetails(scaler, sws_getCoefficients(standard), colour == VIEW_JPEG,
				 sws_getCoefficients(SWS_CS_DEFAULT), 1, 0, 1 << 16, 1 << 16);
	if (sws_scale(scaler, (const uint8_t *const *)from->data, from->linesize, 0, from->height,
		      to->data, to->linesize) < 0)
		goto fail;
	sws_freeContext(scaler);
	return to;

fail:
	sws_freeContext(scaler);
	av_frame_free(&to);
	return NULL;
}

static int encode(const AVFrame *picture, AVPacket *packet)
{
	const AVCodec *png = avcodec_find_encoder(AV_CODEC_ID_PNG);
	AVCodecContext *codec = png ? avcodec_alloc_context3(png) : NULL;
	int r = -ENOTSUP;

	if (!codec)
		return r;
	codec->width = picture->width;
	codec->height = picture->height;
	codec->pix_fmt = picture->format;
	codec->time_base = (AVRational){1, 1};
	if (avcodec_open2(codec, png, NULL) == 0 && avcodec_send_frame(codec, picture) == 0 &&
	    avcodec_send_frame(codec, NULL) == 0 && avcodec_receive_packet(codec, packet) == 0)
		r = 0;
	avcodec_free_context(&codec);
	return r;
}

/* Renames unless there is something of the new name. Some file systems, such as FAT, cannot do that
 * in one step. */
static int rename_new(const char *from, const char *to)
{
	struct stat st;

	if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -errno;
	if (lstat(to, &st) == 0)
		return -EEXIST;
	return rename(from, to) < 0 ? -errno : 0;
}

/* Never overwrites a file. Every file is complete, unless its name ends in .part. */
static int write_file(const char *path, const uint8_t *data, size_t len)
{
	char part[4096 + 8];
	int fd, r = 0;

	snprintf(part, sizeof(part), "%s.part", path);
	fd = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (fd < 0)
		return -errno;
	while (len && !r) {
		const ssize_t n = write(fd, data, len);

		if (n < 0 && errno != EINTR)
			r = -errno;
		if (n > 0) {
			data += n;
			len -= (size_t)n;
		}
	}
	if (close(fd) < 0 && !r)
		r = -errno;
	if (!r)
		r = rename_new(part, path);
	if (r)
		unlink(part);
	return r;
}

static void succeed(struct view_snapshots *snapshots)
{
	snprintf(snapshots->result, sizeof(snapshots->result), "snapshot: %s", snapshots->path);
	diag_info("%s", snapshots->result);
}

static void fail(struct view_snapshots *snapshots, int err)
{
	snprintf(snapshots->result, sizeof(snapshots->result), "no snapshot: %s: %s",
		 strerror(-err), snapshots->path);
	diag_error("%s", snapshots->result);
}

static void *write_snapshot(void *argument)
{
	struct view_snapshots *snapshots = argument;
	AVPacket *packet = av_packet_alloc();
	AVFrame *rgb = convert(snapshots->picture, snapshots->width, snapshots->colour);
	int r = rgb && packet ? encode(rgb, packet) : -ENOMEM;

	if (!r)
		r = write_file(snapshots->path, packet->data, (size_t)packet->size);
	if (r)
		fail(snapshots, r);
	else
		succeed(snapshots);
	av_frame_free(&rgb);
	av_packet_free(&packet);
	av_frame_free(&snapshots->picture);
	atomic_store_explicit(&snapshots->busy, false, memory_order_release);
	view_wake_ring(snapshots->wake);
	return NULL;
}

/* --- main thread --- */

/* FOLDER/NAME-20260131T120000.123Z.png; what a file's name cannot have becomes "_". */
static void name_file(struct view_snapshots *snapshots, const char *name)
{
	char safe[NAME_BYTES + 1], stamp[32];
	struct timeval now;
	struct tm tm;

	text_set(safe, sizeof(safe), name);
	for (char *c = safe; *c; c++)
		if (*c == '/' || (unsigned char)*c < 0x20 || *c == 0x7f || (*c == '.' && c == safe))
			*c = '_';
	gettimeofday(&now, NULL);
	gmtime_r(&now.tv_sec, &tm);
	strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%S", &tm);
	snprintf(snapshots->path, sizeof(snapshots->path), "%s/%s-%s.%03dZ.png", snapshots->folder,
		 safe, stamp, (int)(now.tv_usec / 1000));
}

static int begin(struct view_snapshots *snapshots)
{
	if (atomic_load_explicit(&snapshots->busy, memory_order_acquire)) {
		diag_warn("no snapshot: the one before is still being written");
		return -EBUSY;
	}
	if (snapshots->started)
		pthread_join(snapshots->thread, NULL);
	snapshots->started = false;
	snapshots->told = false;
	snapshots->picture = av_frame_alloc();
	return snapshots->picture ? 0 : -ENOMEM;
}

static int finish(struct view_snapshots *snapshots, int r)
{
	if (!r) {
		atomic_store_explicit(&snapshots->busy, true, memory_order_relaxed);
		r = -pthread_create(&snapshots->thread, NULL, write_snapshot, snapshots);
		snapshots->started = !r;
	}
	if (r) {
		fail(snapshots, r);
		atomic_store_explicit(&snapshots->busy, false, memory_order_relaxed);
		av_frame_free(&snapshots->picture);
	}
	return r;
}

int view_snapshots_window(struct view_snapshots *snapshots, SDL_Renderer *renderer)
{
	AVFrame *picture;
	int r = begin(snapshots);

	if (r)
		return r;
	picture = snapshots->picture;
	picture->format = AV_PIX_FMT_RGB24;
	if (SDL_GetRendererOutputSize(renderer, &picture->width, &picture->height) < 0 ||
	    av_frame_get_buffer(picture, 0) < 0)
		return finish(snapshots, -ENOMEM);
	if (SDL_RenderReadPixels(renderer, NULL, SDL_PIXELFORMAT_RGB24, picture->data[0],
				 picture->linesize[0]) < 0)
		r = -EIO;
	snapshots->colour = VIEW_REC601;
	snapshots->width = picture->width;
	name_file(snapshots, "camcast");
	return finish(snapshots, r);
}

int view_snapshots_picture(struct view_snapshots *snapshots, const char *name,
			   const struct view_picture *shown, const uint8_t *area)
{
	const uint8_t *planes[4] = {0};
	int strides[4] = {0};
	AVFrame *picture;
	int r = begin(snapshots);

	if (r)
		return r;
	picture = snapshots->picture;
	picture->format = shown->format == VIEW_NV12 ? AV_PIX_FMT_NV12 : AV_PIX_FMT_YUV420P;
	picture->width = (int)shown->width;
	picture->height = (int)shown->height;
	if (av_frame_get_buffer(picture, 0) < 0)
		return finish(snapshots, -ENOMEM);
	for (unsigned i = 0; i < 3; i++) {
		planes[i] = area + shown->offset[i];
		strides[i] = (int)shown->stride[i];
	}
	av_image_copy(picture->data, picture->linesize, planes, strides, picture->format,
		      picture->width, picture->height);
	snapshots->colour = shown->colour;
	snapshots->width = (int)view_picture_shown_width(shown);
	name_file(snapshots, name);
	return finish(snapshots, r);
}

bool view_snapshots_result(struct view_snapshots *snapshots, char *text, size_t size)
{
	if (snapshots->told || atomic_load_explicit(&snapshots->busy, memory_order_acquire))
		return false;
	snapshots->told = true;
	text_set(text, size, snapshots->result);
	return true;
}

int view_snapshots_create(struct view_snapshots **out, const char *folder, struct view_wake *wake)
{
	struct view_snapshots *snapshots = calloc(1, sizeof(*snapshots));

	if (!snapshots)
		return -ENOMEM;
	snapshots->folder = folder;
	snapshots->wake = wake;
	snapshots->told = true;
	*out = snapshots;
	return 0;
}

void view_snapshots_destroy(struct view_snapshots *snapshots)
{
	if (!snapshots)
		return;
	if (snapshots->started)
		pthread_join(snapshots->thread, NULL);
	free(snapshots);
}
