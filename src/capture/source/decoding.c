/* SPDX-License-Identifier: BSD-2-Clause */
#include "capture/source/decoding.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/diag.h"

#define QUEUE_MAX 256 /* pictures that wait */
#define QUEUE_BYTES_MAX (64 << 20)
#define LATE_US 500000	      /* behind its time, it goes on at a newer key picture */
#define SLOW_LINE_US 60000000 /* at most one line in this time about that */

struct decoding {
	struct source_events events;
	AVCodecParameters *parameters;
	struct config_camera camera; /* only what a decoder needs: name, allocator, buffers */
	struct decoder_options options;

	/* main thread */
	pthread_t thread;
	bool started, running;

	/* Written under lock. The source's thread looks at it first without the lock, relaxed:
	 * what counts is read again under it. */
	atomic_bool wanted;
	pthread_mutex_t lock; /* guards what follows, up to the next blank line */
	pthread_cond_t wake;
	AVPacket *queue[QUEUE_MAX]; /* in decoding order, from head on */
	unsigned head, n;
	size_t bytes;
	bool wait_key; /* nothing is queued up to the next key picture */
	bool gap;      /* the first picture of the queue does not follow the last one taken */
	bool stop;

	/* the thread */
	struct decoder *decoder; /* NULL before the first picture; stays then */
	bool failed;		 /* it cannot be created: said in the log */
	uint64_t sequence;
	struct diag_limit slow_limit;
};

/* --- the queue; the lock is held --- */

static AVPacket *pop(struct decoding *decoding)
{
	AVPacket *packet = decoding->queue[decoding->head];

	decoding->head = (decoding->head + 1) % QUEUE_MAX;
	decoding->n--;
	decoding->bytes -= (size_t)packet->size;
	return packet;
}

static void drop(struct decoding *decoding, unsigned n)
{
	while (n-- > 0) {
		AVPacket *packet = pop(decoding);

		av_packet_free(&packet);
	}
	decoding->gap = true;
}

/* The pictures that wait are of no use; the next one is a key picture. */
static void begin_at_key(struct decoding *decoding)
{
	drop(decoding, decoding->n);
	decoding->wait_key = true;
}

/* How many pictures wait before the newest key picture; 0: there is none behind the first. */
static unsigned before_newest_key(const struct decoding *decoding)
{
	for (unsigned i = decoding->n; i-- > 0;)
		if (decoding->queue[(decoding->head + i) % QUEUE_MAX]->flags & AV_PKT_FLAG_KEY)
			return i;
	return 0;
}

static void push(struct decoding *decoding, AVPacket *packet)
{
	if (decoding->n == QUEUE_MAX || decoding->bytes > QUEUE_BYTES_MAX)
		begin_at_key(decoding);
	if (decoding->wait_key && !(packet->flags & AV_PKT_FLAG_KEY)) {
		av_packet_free(&packet);
		return;
	}
	decoding->wait_key = false;
	decoding->queue[(decoding->head + decoding->n++) % QUEUE_MAX] = packet;
	decoding->bytes += (size_t)packet->size;
	pthread_cond_signal(&decoding->wake);
}

/* --- the source's thread --- */

/* NULL: out of memory. It has no other time than that of showing, in us: libavcodec would weigh the
 * two. */
static AVPacket *copy_of(const struct packet *packet)
{
	AVPacket *copy = av_packet_alloc();

	if (!copy || packet->len > INT32_MAX - AV_INPUT_BUFFER_PADDING_SIZE ||
	    av_new_packet(copy, (int)packet->len) < 0) {
		av_packet_free(&copy);
		return NULL;
	}
	memcpy(copy->data, packet->data, packet->len);
	copy->pts = packet->pts_us;
	if (packet->key)
		copy->flags |= AV_PKT_FLAG_KEY;
	return copy;
}

void decoding_take(struct decoding *decoding, const struct packet *packet)
{
	AVPacket *copy;

	if (!atomic_load_explicit(&decoding->wanted, memory_order_relaxed))
		return;
	copy = copy_of(packet);
	pthread_mutex_lock(&decoding->lock);
	if (!copy)
		begin_at_key(decoding);
	else if (atomic_load_explicit(&decoding->wanted, memory_order_relaxed))
		push(decoding, copy);
	else
		av_packet_free(&copy);
	pthread_mutex_unlock(&decoding->lock);
}

/* --- the thread --- */

/* The time of the next picture is long past: a newer key picture takes its place. Returns whether
 * there is one. */
static bool skip_late(struct decoding *decoding)
{
	const AVPacket *next = decoding->queue[decoding->head];
	unsigned n;

	if (clock_now_us() - next->pts < LATE_US)
		return false;
	n = before_newest_key(decoding);
	drop(decoding, n);
	return n > 0;
}

/* Waits for a picture; NULL when stopped. *gap: it does not follow the one before. */
static AVPacket *next_packet(struct decoding *decoding, bool *gap)
{
	AVPacket *packet = NULL;
	bool skipped = false;
	uint64_t suppressed;

	pthread_mutex_lock(&decoding->lock);
	while (!decoding->stop && decoding->n == 0)
		pthread_cond_wait(&decoding->wake, &decoding->lock);
	if (!decoding->stop) {
		skipped = skip_late(decoding);
		packet = pop(decoding);
		*gap = decoding->gap;
		decoding->gap = false;
	}
	pthread_mutex_unlock(&decoding->lock);
	if (skipped &&
	    diag_allowed(&decoding->slow_limit, clock_now_us(), SLOW_LINE_US, &suppressed))
		diag_warn("camera %s: decoding is slower than the pictures come; the streams that "
			  "are encoded lack pictures up to a key picture",
			  decoding->camera.name);
	return packet;
}

/* CLOCK_MONOTONIC. False: nobody wants pictures any more, or it is stopped. */
static bool wait_until(struct decoding *decoding, int64_t us)
{
	const struct timespec at = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
	bool go_on;

	pthread_mutex_lock(&decoding->lock);
	for (;;) {
		go_on = !decoding->stop &&
			atomic_load_explicit(&decoding->wanted, memory_order_relaxed);
		/* New pictures wake it, too. */
		if (!go_on || clock_now_us() >= us ||
		    pthread_cond_timedwait(&decoding->wake, &decoding->lock, &at))
			break;
	}
	pthread_mutex_unlock(&decoding->lock);
	return go_on;
}

static bool open_decoder(struct decoding *decoding)
{
	char why[256];

	if (!decoding->decoder && !decoding->failed &&
	    decoder_create(&decoding->decoder, decoding->parameters, &decoding->options, why)) {
		decoding->decoder = NULL;
		decoding->failed = true;
		diag_error("camera %s: streams that are encoded get no pictures: %s",
			   decoding->camera.name, why);
	}
	return decoding->decoder;
}

static void deliver(struct decoding *decoding)
{
	struct frame *frame;
	int64_t us;
	int r;

	while ((r = decoder_receive(decoding->decoder, &frame, &us)) != -EAGAIN && r != -ENODATA) {
		if (r == -ENOBUFS) /* the encoders are behind */
			decoding->sequence++;
		if (r == -ENOBUFS)
			continue;
		if (r)
			return;
		frame->sequence = ++decoding->sequence;
		frame->capture_us = us == AV_NOPTS_VALUE ? clock_now_us() : us;
		if (wait_until(decoding, frame->capture_us))
			decoding->events.frame(decoding->events.user, frame);
		else
			frame_unref(frame);
	}
}

static void *run(void *arg)
{
	struct decoding *decoding = arg;
	AVPacket *packet;
	bool gap;

	pthread_setname_np(pthread_self(), "decoding");
	while ((packet = next_packet(decoding, &gap))) {
		if (open_decoder(decoding)) {
			if (gap)
				decoder_flush(decoding->decoder);
			/* A damaged picture costs itself. Every one was received, so there is
			 * room. */
			(void)decoder_send(decoding->decoder, packet);
			deliver(decoding);
		}
		av_packet_free(&packet);
	}
	return NULL;
}

/* --- the main thread --- */

static int start_thread(struct decoding *decoding)
{
	int r;

	if (decoding->running || !decoding->started ||
	    !atomic_load_explicit(&decoding->wanted, memory_order_relaxed))
		return 0;
	decoding->stop = false;
	r = pthread_create(&decoding->thread, NULL, run, decoding);
	decoding->running = r == 0;
	return -r;
}

void decoding_want(struct decoding *decoding, bool wanted)
{
	int r;

	pthread_mutex_lock(&decoding->lock);
	if (wanted != atomic_load_explicit(&decoding->wanted, memory_order_relaxed)) {
		begin_at_key(decoding);
		atomic_store_explicit(&decoding->wanted, wanted, memory_order_relaxed);
		pthread_cond_signal(&decoding->wake);
	}
	pthread_mutex_unlock(&decoding->lock);
	r = start_thread(decoding);
	if (r < 0)
		diag_error("camera %s: streams that are encoded get no pictures: starting a "
			   "thread: %s",
			   decoding->camera.name, strerror(-r));
}

int decoding_start(struct decoding *decoding)
{
	decoding->started = true;
	return start_thread(decoding);
}

void decoding_stop(struct decoding *decoding)
{
	if (!decoding->started)
		return;
	decoding->started = false;
	pthread_mutex_lock(&decoding->lock);
	decoding->stop = true;
	pthread_cond_signal(&decoding->wake);
	pthread_mutex_unlock(&decoding->lock);
	if (decoding->running)
		pthread_join(decoding->thread, NULL);
	decoding->running = false;
	begin_at_key(decoding);
}

struct frame_format decoding_format(const struct decoding *decoding)
{
	return decoder_outline(decoding->parameters, &decoding->options);
}

int decoding_create(struct decoding **out, const AVCodecParameters *parameters,
		    const struct decoder_options *options, const struct source_events *events)
{
	struct decoding *decoding = calloc(1, sizeof(*decoding));
	pthread_condattr_t attr;

	if (!decoding)
		return -ENOMEM;
	pthread_mutex_init(&decoding->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&decoding->wake, &attr);
	pthread_condattr_destroy(&attr);
	decoding->events = *events;
	decoding->options = *options;
	decoding->options.camera = &decoding->camera;
	memcpy(decoding->camera.name, options->camera->name, sizeof(decoding->camera.name));
	decoding->camera.buffers = options->camera->buffers;
	decoding->camera.allocator = strdup(options->camera->allocator);
	decoding->parameters = avcodec_parameters_alloc();
	if (!decoding->camera.allocator || !decoding->parameters ||
	    avcodec_parameters_copy(decoding->parameters, parameters) < 0) {
		decoding_destroy(decoding);
		return -ENOMEM;
	}
	/* A header would say that lengths stand before the NAL units. */
	av_freep(&decoding->parameters->extradata);
	decoding->parameters->extradata_size = 0;
	decoding->wait_key = decoding->gap = true;
	*out = decoding;
	return 0;
}

void decoding_destroy(struct decoding *decoding)
{
	if (!decoding)
		return;
	drop(decoding, decoding->n);
	decoder_destroy(decoding->decoder);
	avcodec_parameters_free(&decoding->parameters);
	free(decoding->camera.allocator);
	pthread_cond_destroy(&decoding->wake);
	pthread_mutex_destroy(&decoding->lock);
	free(decoding);
}
