/* SPDX-License-Identifier: BSD-2-Clause */
#include "capture/frame.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <linux/dma-heap.h>
#include <linux/udmabuf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/memfd.h"
#include "base/text.h"

/* Linux's default for the module parameter size_limit_mb (drivers/dma-buf/udmabuf.c). */
#define UDMABUF_SIZE_MAX (64u << 20)

int frame_format_layout(struct frame_format *format, uint32_t stride)
{
	uint32_t width = format->width, height = format->height;
	uint32_t row = format->fourcc == FRAME_YUYV ? 2 * width : width;
	struct frame_plane *planes = format->planes;
	uint64_t size = 0;

	if (width == 0 || height == 0 || width % 2 || height % 2 || width > 16384 || height > 16384)
		return -EINVAL;
	if (stride == 0)
		stride = (row + 63) & ~63u;
	if (stride < row || stride % 2 || stride > 1u << 17)
		return -EINVAL;
	memset(planes, 0, sizeof(format->planes));
	planes[0].stride = stride;
	planes[0].rows = height;
	switch (format->fourcc) {
	case FRAME_NV12:
		format->n_planes = 2;
		planes[1].stride = stride;
		planes[1].rows = height / 2;
		break;
	case FRAME_I420:
		format->n_planes = 3;
		planes[1].stride = planes[2].stride = stride / 2;
		planes[1].rows = planes[2].rows = height / 2;
		break;
	case FRAME_YUYV:
		format->n_planes = 1;
		break;
	default:
		return -EINVAL;
	}
	for (unsigned i = 0; i < format->n_planes; i++) {
		planes[i].offset = (uint32_t)size;
		size += (uint64_t)planes[i].stride * planes[i].rows;
	}
	if (size > INT32_MAX)
		return -EINVAL;
	format->size = (uint32_t)size;
	return 0;
}

uint32_t frame_format_slot_size(const struct frame_format *format)
{
	uint64_t padded = (format->height + 15) & ~15u;

	return (uint32_t)((format->size * padded + format->height - 1) / format->height);
}

const char *frame_fourcc_name(uint32_t fourcc)
{
	switch (fourcc) {
	case FRAME_NV12:
		return "NV12";
	case FRAME_I420:
		return "I420";
	case FRAME_YUYV:
		return "YUYV";
	default:
		return "?";
	}
}

/* --- providers: each opens once, then allocates slot by slot --- */

static int device_open(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static int heap_allocate(int device, uint32_t size)
{
	struct dma_heap_allocation_data data = {
		.len = size,
		.fd_flags = O_RDWR | O_CLOEXEC,
	};

	if (ioctl(device, DMA_HEAP_IOCTL_ALLOC, &data) < 0)
		return -errno;
	return (int)data.fd;
}

static int memfd_allocate(int device, uint32_t size)
{
	(void)device;
	return memfd_create_fixed("camcast-slot", size);
}

/* The dmabuf keeps the memfd's pages, so the memfd itself is closed again. */
static int udmabuf_allocate(int device, uint32_t size)
{
	struct udmabuf_create create = {.flags = UDMABUF_FLAGS_CLOEXEC, .size = size};
	int memfd, fd;

	if (size > UDMABUF_SIZE_MAX)
		return -EFBIG;
	memfd = memfd_allocate(-1, size);
	if (memfd < 0)
		return memfd;
	create.memfd = (uint32_t)memfd;
	fd = ioctl(device, UDMABUF_CREATE, &create);
	if (fd < 0)
		fd = -errno;
	close(memfd);
	return fd;
}

static const struct provider {
	const char *name;
	const char *path; /* NULL: needs no device */
	int (*allocate)(int device, uint32_t size);
} providers[] = {
	/* First the Raspberry Pi's CMA heap with cached mappings, then any CMA heap: both are
	 * contiguous, as hardware encoders without an IOMMU need. Then memory that is not
	 * contiguous. */
	{"dma-heap:vidbuf_cached", "/dev/dma_heap/vidbuf_cached", heap_allocate},
	{"dma-heap:linux,cma", "/dev/dma_heap/linux,cma", heap_allocate},
	{"dma-heap:system", "/dev/dma_heap/system", heap_allocate},
	{"udmabuf", "/dev/udmabuf", udmabuf_allocate},
	{"memfd", NULL, memfd_allocate},
};

/* The full name, or a heap's name without "dma-heap:". */
static bool provider_has_name(const struct provider *provider, const char *name)
{
	const char *colon = strchr(provider->name, ':');

	return strcmp(name, provider->name) == 0 || (colon && strcmp(name, colon + 1) == 0);
}

static const char *advice(int error)
{
	if (error == -EACCES)
		return " (install 60-camcast.rules, or add the user to group video)";
	if (error == -EPERM) /* security/device_cgroup.c */
		return " (the service's DeviceAllow= or the container does not allow it)";
	return "";
}

static struct slot_ring *ring_new(const char *allocator, unsigned n)
{
	struct slot_ring *ring = calloc(1, sizeof(*ring));

	if (!ring)
		return NULL;
	ring->slots = calloc(n, sizeof(*ring->slots));
	if (!ring->slots) {
		free(ring);
		return NULL;
	}
	snprintf(ring->allocator, sizeof(ring->allocator), "%s", allocator);
	pthread_mutex_init(&ring->lock, NULL);
	return ring;
}

static int provider_try(struct slot_ring **out, const struct provider *provider, unsigned n,
			uint32_t size)
{
	struct slot_ring *ring;
	int device = -1, r = 0;

	if (provider->path) {
		device = device_open(provider->path);
		if (device < 0)
			return device;
	}
	ring = ring_new(provider->name, n);
	if (!ring) {
		r = -ENOMEM;
		goto close_device;
	}
	ring->owned = true;
	ring->dmabuf = provider->path != NULL;
	for (; ring->n < n; ring->n++) {
		r = provider->allocate(device, size);
		if (r < 0)
			goto destroy_ring;
		ring->slots[ring->n].fd = r;
		ring->slots[ring->n].size = size;
	}
	r = 0;
	*out = ring;
	goto close_device;
destroy_ring:
	slot_ring_destroy(ring);
close_device:
	if (device >= 0)
		close(device);
	return r;
}

int slot_ring_create(struct slot_ring **out, const char *allocator, unsigned n, uint32_t size)
{
	if (n == 0 || size == 0 || size > INT32_MAX)
		return -EINVAL;
	for (size_t i = 0; i < sizeof(providers) / sizeof(*providers); i++)
		if (provider_has_name(&providers[i], allocator))
			return provider_try(out, &providers[i], n, memfd_round_size(size));
	return -EINVAL;
}

int slot_ring_create_for(struct slot_ring **out, const char *camera, const char *allocator,
			 unsigned n, uint32_t size)
{
	const bool any = strcmp(allocator, "auto") == 0;
	char tried[512] = "";
	int error = -EINVAL;

	for (size_t i = 0; i < sizeof(providers) / sizeof(*providers); i++) {
		const struct provider *provider = &providers[i];
		int r;

		if (!any && !provider_has_name(provider, allocator))
			continue;
		r = slot_ring_create(out, provider->name, n, size);
		if (r == 0) {
			diag_info("camera %s: frame slots: %u x %u bytes from %s%s%s", camera, n,
				  (*out)->slots[0].size, provider->name,
				  tried[0] ? "; not from " : "", tried);
			return 0;
		}
		error = r;
		/* A missing heap is normal; a heap that refuses to allocate is not. */
		if (r != -ENOENT || !any) {
			text_append(tried, sizeof(tried), tried[0] ? ", " : "");
			text_append(tried, sizeof(tried), provider->name);
			text_append(tried, sizeof(tried), ": ");
			text_append(tried, sizeof(tried), strerror(-r));
			text_append(tried, sizeof(tried), advice(r));
		}
	}
	diag_error("camera %s: frame slots: no memory for %u x %u bytes: %s%s", camera, n, size,
		   tried[0] ? tried : "unknown allocator ", tried[0] ? "" : allocator);
	return error;
}

int slot_ring_wrap(struct slot_ring **out, const char *allocator, const int *fds, unsigned n,
		   uint32_t size)
{
	struct slot_ring *ring;

	if (n == 0 || size == 0 || size > INT32_MAX)
		return -EINVAL;
	ring = ring_new(allocator, n);
	if (!ring)
		return -ENOMEM;
	ring->dmabuf = true;
	for (; ring->n < n; ring->n++) {
		ring->slots[ring->n].fd = fds[ring->n];
		ring->slots[ring->n].size = size;
	}
	*out = ring;
	return 0;
}

void slot_ring_destroy(struct slot_ring *ring)
{
	if (!ring)
		return;
	for (unsigned i = 0; i < ring->n; i++) {
		if (ring->slots[i].map)
			munmap(ring->slots[i].map, ring->slots[i].size);
		if (ring->owned)
			close(ring->slots[i].fd);
	}
	pthread_mutex_destroy(&ring->lock);
	free(ring->slots);
	free(ring);
}

int slot_map(struct slot_ring *ring, unsigned i, bool writable, uint8_t **map)
{
	struct slot *slot = &ring->slots[i];
	int protection = PROT_READ | (writable ? PROT_WRITE : 0);
	int r = 0;

	pthread_mutex_lock(&ring->lock);
	if (!slot->map) {
		void *p = mmap(NULL, slot->size, protection, MAP_SHARED, slot->fd, 0);

		if (p == MAP_FAILED) {
			r = -errno;
		} else {
			slot->map = p;
			slot->writable = writable;
		}
	} else if (writable && !slot->writable) {
		if (mprotect(slot->map, slot->size, protection) < 0)
			r = -errno;
		else
			slot->writable = true;
	}
	if (r == 0)
		*map = slot->map;
	pthread_mutex_unlock(&ring->lock);
	return r;
}

/* Documentation/driver-api/dma-buf.rst: the ioctl may be interrupted and must then be repeated. */
static int sync_slot(struct slot_ring *ring, unsigned i, uint64_t flags)
{
	struct dma_buf_sync sync = {.flags = flags};

	if (!ring->dmabuf)
		return 0;
	while (ioctl(ring->slots[i].fd, DMA_BUF_IOCTL_SYNC, &sync) < 0) {
		if (errno != EINTR && errno != EAGAIN)
			return -errno;
	}
	return 0;
}

int slot_begin_access(struct slot_ring *ring, unsigned i, bool write)
{
	return sync_slot(ring, i,
			 DMA_BUF_SYNC_START | (write ? DMA_BUF_SYNC_RW : DMA_BUF_SYNC_READ));
}

int slot_end_access(struct slot_ring *ring, unsigned i, bool write)
{
	return sync_slot(ring, i, DMA_BUF_SYNC_END | (write ? DMA_BUF_SYNC_RW : DMA_BUF_SYNC_READ));
}
