/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frames (raw pictures) and the ring of frame slots that they live in: dmabufs where the machine
 * has a provider, else memfds. Raw pictures are never copied: a hardware encoder imports the slot's
 * fd, a software one reads its mapping.
 */
#ifndef CAPTURE_FRAME_H
#define CAPTURE_FRAME_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"

/* Pixel formats are DRM/V4L2 fourccs; these three are all that the encoders here take. */
#define FRAME_NV12 0x3231564eu /* 'NV12' two planes: Y, interleaved CbCr */
#define FRAME_I420 0x32315559u /* 'YU12' three planes: Y, Cb, Cr */
#define FRAME_YUYV 0x56595559u /* packed 4:2:2, from USB cameras */

enum frame_colour {
	FRAME_COLOUR_UNKNOWN,
	FRAME_COLOUR_SMPTE170M,
	FRAME_COLOUR_REC709,
	FRAME_COLOUR_JPEG,
	FRAME_COLOUR_BT2020,	 /* wide gamut, standard dynamic range */
	FRAME_COLOUR_BT2020_PQ,	 /* HDR: SMPTE ST 2084 */
	FRAME_COLOUR_BT2020_HLG, /* HDR: ARIB STD-B67 */
};

struct frame_plane {
	uint32_t offset; /* bytes from the start of the slot */
	uint32_t stride; /* bytes */
	uint32_t rows;
};

struct frame_format {
	uint32_t fourcc;
	uint32_t width, height; /* pixels, even */
	/* The shape of a pixel, in lowest terms, at most 65535 each; 0: square, or not known. */
	uint32_t sar_width, sar_height;
	struct frame_plane planes[3];
	unsigned n_planes;
	uint32_t size; /* bytes of a whole picture in a slot */
	enum frame_colour colour;
	bool full_range;
	struct rate rate;
};

/* Fills planes and size for a format whose luma stride is `stride` bytes (0: width, for YUYV twice
 * the width, rounded up to 64). -EINVAL: unknown fourcc, size 0 or odd, stride too small or odd. */
int frame_format_layout(struct frame_format *format, uint32_t stride);
/* Bytes that a slot for this format should have: rows rounded up to 16, because encoders count
 * whole macroblocks (bcm2835-codec refuses a dmabuf smaller than that). */
uint32_t frame_format_slot_size(const struct frame_format *format);
/* "NV12", "I420", "YUYV", "?" */
const char *frame_fourcc_name(uint32_t fourcc);

/* --- slots --- */

struct slot {
	int fd;	       /* dmabuf or memfd */
	uint8_t *map;  /* NULL before slot_map(), which returns it */
	bool writable; /* the mapping is */
	uint32_t size; /* bytes, whole pages */
};

struct slot_ring {
	struct slot *slots;
	unsigned n;
	char allocator[64]; /* "dma-heap:vidbuf_cached", "dma-heap:linux,cma", "dma-heap:system",
			       "udmabuf", "memfd", "libcamera" */
	bool dmabuf; /* fds are dmabufs: reads need DMA_BUF_IOCTL_SYNC, and hardware can import them
		      */
	bool owned;  /* fds are ours to close (not libcamera's) */
	pthread_mutex_t lock; /* guards map and writable: each encoder's thread maps for itself */
};

/* Allocates n slots of at least size bytes each by one allocator: "dma-heap:system" (or "system"),
 * "udmabuf", "memfd"... 0 or -errno. Any thread. */
int slot_ring_create(struct slot_ring **out, const char *allocator, unsigned n, uint32_t size);
/*
 * The same for a camera, whose name is in the log line. `allocator` may also be "auto": dma-heap
 * vidbuf_cached, linux,cma, system, udmabuf, memfd, in this order. Returns 0 or -errno after a log
 * line with the error of each that was tried (for a missing permission, with the group or udev
 * rule). Any thread.
 */
int slot_ring_create_for(struct slot_ring **out, const char *camera, const char *allocator,
			 unsigned n, uint32_t size);
/* Creates a ring of fds that another component owns (libcamera's allocator). */
int slot_ring_wrap(struct slot_ring **out, const char *allocator, const int *fds, unsigned n,
		   uint32_t size);
void slot_ring_destroy(struct slot_ring *ring);

/* Maps slot i for the CPU, read-only or, for a source that draws, writable; kept until destroy, so
 * only the first call per slot costs anything. 0 or -errno. Any thread. */
int slot_map(struct slot_ring *ring, unsigned i, bool writable, uint8_t **map);
/* Bracket every CPU access of a slot; they do nothing for memfds. 0 or -errno. Any thread. */
int slot_begin_access(struct slot_ring *ring, unsigned i, bool write);
int slot_end_access(struct slot_ring *ring, unsigned i, bool write);

/* --- a frame on its way from a source through the encoders --- */

struct frame {
	const struct frame_format *format; /* lives as long as the source is started */
	struct slot_ring *ring;
	unsigned slot;
	uint64_t sequence;
	int64_t capture_us; /* CLOCK_MONOTONIC, when the sensor took it */
	atomic_uint refs; /* encoders still reading; the last one gives the slot back to the source
			     (acq_rel) */
	void (*release)(struct frame *frame); /* set by the source; any thread */
	void *source;
};

static inline void frame_ref(struct frame *frame)
{
	atomic_fetch_add_explicit(&frame->refs, 1, memory_order_relaxed);
}

/* The last unref happens after all reads of the picture by other threads (release, paired with the
 * acquire in this function). */
static inline void frame_unref(struct frame *frame)
{
	if (atomic_fetch_sub_explicit(&frame->refs, 1, memory_order_acq_rel) == 1)
		frame->release(frame);
}

#endif
