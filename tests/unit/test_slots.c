/* SPDX-License-Identifier: BSD-2-Clause */
/* Frame formats and slot rings, with providers that this file plays. */
#include <errno.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <linux/dma-heap.h>
#include <linux/udmabuf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "capture/frame.h"
#include "tests/unit/open_fds.h"

#define CMA "/dev/dma_heap/linux,cma"
#define SYSTEM "/dev/dma_heap/system"
#define UDMABUF "/dev/udmabuf"

/* --- fake devices --- */

static struct {
	const char *path;     /* the one that opens; NULL: none */
	const char *denied;   /* the one that answers EACCES */
	int fd;		      /* of the open device */
	unsigned left;	      /* allocations before ENOMEM */
	unsigned allocations; /* made */
	uint64_t sizes;	      /* of the last one */
	uint64_t syncs[8];    /* flags of DMA_BUF_IOCTL_SYNC, in order */
	unsigned n_syncs;
	int sync_errors[4]; /* errno of the next ones, 0 ends the list */
	unsigned n_errors;
} fake;

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __real_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...);

int __wrap_open(const char *path, int flags, ...)
{
	va_list ap;
	mode_t mode;

	va_start(ap, flags);
	mode = flags & O_CREAT ? va_arg(ap, mode_t) : 0;
	va_end(ap);
	if (strncmp(path, "/dev/dma_heap/", 14) != 0 && strcmp(path, UDMABUF) != 0)
		return __real_open(path, flags, mode);
	assert_true(flags & O_CLOEXEC);
	if (fake.path && strcmp(path, fake.path) == 0) {
		fake.fd = memfd_create("device", MFD_CLOEXEC);
		return fake.fd;
	}
	errno = fake.denied && strcmp(path, fake.denied) == 0 ? EACCES : ENOENT;
	return -1;
}

static int make_slot(uint64_t size)
{
	int fd;

	if (fake.left == 0) {
		errno = ENOMEM;
		return -1;
	}
	fake.left--;
	fake.allocations++;
	fake.sizes = size;
	fd = memfd_create("dmabuf", MFD_CLOEXEC);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	return fd;
}

static int make_udmabuf(const struct udmabuf_create *create)
{
	struct stat st;

	assert_int_equal(create->offset, 0);
	assert_int_equal(create->size % (uint64_t)sysconf(_SC_PAGESIZE), 0);
	assert_true(create->size <= 64u << 20);
	assert_true(create->flags & UDMABUF_FLAGS_CLOEXEC);
	assert_true(fcntl((int)create->memfd, F_GET_SEALS) & F_SEAL_SHRINK);
	assert_false(fcntl((int)create->memfd, F_GET_SEALS) & F_SEAL_WRITE);
	assert_int_equal(fstat((int)create->memfd, &st), 0);
	assert_true((uint64_t)st.st_size >= create->size);
	return make_slot(create->size);
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (request == DMA_HEAP_IOCTL_ALLOC) {
		struct dma_heap_allocation_data *data = arg;
		int slot;

		assert_int_equal(fd, fake.fd);
		assert_int_equal(data->fd_flags, O_RDWR | O_CLOEXEC);
		slot = make_slot(data->len);
		data->fd = (uint32_t)slot;
		return slot < 0 ? -1 : 0;
	}
	if (request == UDMABUF_CREATE) {
		assert_int_equal(fd, fake.fd);
		return make_udmabuf(arg);
	}
	if (request == DMA_BUF_IOCTL_SYNC) {
		const struct dma_buf_sync *sync = arg;

		if (fake.sync_errors[fake.n_errors]) {
			errno = fake.sync_errors[fake.n_errors++];
			return -1;
		}
		assert_in_range(fake.n_syncs, 0, 7);
		fake.syncs[fake.n_syncs++] = sync->flags;
		return 0;
	}
	return __real_ioctl(fd, request, arg);
}

/* Returns the text that the calls in between wrote to stderr. */
static int stderr_before, stderr_file;

static void catch_stderr(void)
{
	stderr_before = dup(2);
	stderr_file = memfd_create("stderr", MFD_CLOEXEC);
	assert_int_equal(dup2(stderr_file, 2), 2);
}

static const char *caught_stderr(void)
{
	static char text[4096];
	ssize_t n;

	dup2(stderr_before, 2);
	n = pread(stderr_file, text, sizeof(text) - 1, 0);
	text[n > 0 ? n : 0] = '\0';
	close(stderr_file);
	close(stderr_before);
	return text;
}

static int setup(void **state)
{
	(void)state;
	memset(&fake, 0, sizeof(fake));
	fake.fd = -1;
	fake.left = 100;
	return 0;
}

/* --- formats --- */

static void nv12_has_two_planes_of_one_stride(void **state)
{
	struct frame_format f = {.fourcc = FRAME_NV12, .width = 1270, .height = 720};

	(void)state;
	assert_int_equal(frame_format_layout(&f, 0), 0);
	assert_int_equal(f.n_planes, 2);
	assert_int_equal(f.planes[0].stride, 1280);
	assert_int_equal(f.planes[1].stride, 1280);
	assert_int_equal(f.planes[1].offset, 1280 * 720);
	assert_int_equal(f.planes[1].rows, 360);
	assert_int_equal(f.size, 1280 * 720 * 3 / 2);
}

static void i420_has_chroma_of_half_the_stride(void **state)
{
	struct frame_format f = {.fourcc = FRAME_I420, .width = 640, .height = 480};

	(void)state;
	assert_int_equal(frame_format_layout(&f, 704), 0);
	assert_int_equal(f.n_planes, 3);
	assert_int_equal(f.planes[1].stride, 352);
	assert_int_equal(f.planes[2].offset, 704 * 480 + 352 * 240);
	assert_int_equal(f.size, 704 * 480 * 3 / 2);
}

static void yuyv_is_packed(void **state)
{
	struct frame_format f = {.fourcc = FRAME_YUYV, .width = 640, .height = 480};

	(void)state;
	assert_int_equal(frame_format_layout(&f, 0), 0);
	assert_int_equal(f.n_planes, 1);
	assert_int_equal(f.planes[0].stride, 1280);
	assert_int_equal(f.size, 1280 * 480);
}

static void impossible_formats_are_refused(void **state)
{
	struct frame_format f = {.fourcc = FRAME_I420, .width = 640, .height = 480};

	(void)state;
	assert_int_equal(frame_format_layout(&f, 638), -EINVAL);
	assert_int_equal(frame_format_layout(&f, 641), -EINVAL);
	f.width = 641;
	assert_int_equal(frame_format_layout(&f, 0), -EINVAL);
	f.width = 0;
	assert_int_equal(frame_format_layout(&f, 0), -EINVAL);
	f.width = 640;
	f.fourcc = 0x34363248; /* H264 */
	assert_int_equal(frame_format_layout(&f, 0), -EINVAL);
	f.fourcc = FRAME_NV12;
	f.width = f.height = 0x80000000u;
	assert_int_equal(frame_format_layout(&f, 0), -EINVAL);
}

static void slots_have_room_for_whole_macroblocks(void **state)
{
	struct frame_format f = {.fourcc = FRAME_I420, .width = 1920, .height = 1080};

	(void)state;
	assert_int_equal(frame_format_layout(&f, 0), 0);
	assert_int_equal(frame_format_slot_size(&f), 1920 * 1088 * 3 / 2);
	f.height = 720;
	assert_int_equal(frame_format_layout(&f, 0), 0);
	assert_int_equal(frame_format_slot_size(&f), f.size);
}

/* --- rings --- */

static void the_best_heap_that_opens_is_taken(void **state)
{
	static const struct {
		const char *path, *name;
	} heaps[] = {
		{"/dev/dma_heap/vidbuf_cached", "dma-heap:vidbuf_cached"},
		{CMA, "dma-heap:linux,cma"},
		{SYSTEM, "dma-heap:system"},
		{UDMABUF, "udmabuf"},
	};

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		unsigned before = open_fds();
		struct slot_ring *ring;

		fake.path = heaps[i].path;
		fake.allocations = 0;
		assert_int_equal(slot_ring_create_for(&ring, "front", "auto", 4, 10000), 0);
		assert_string_equal(ring->allocator, heaps[i].name);
		assert_true(ring->dmabuf);
		assert_true(ring->owned);
		assert_int_equal(ring->n, 4);
		assert_int_equal(fake.allocations, 4);
		assert_int_equal(fake.sizes % (uint64_t)sysconf(_SC_PAGESIZE), 0);
		assert_true(fake.sizes >= 10000);
		assert_int_equal(ring->slots[3].size, fake.sizes);
		assert_int_equal(open_fds(), before + 4);
		slot_ring_destroy(ring);
		assert_int_equal(open_fds(), before);
	}
}

static void without_a_provider_slots_are_memfds(void **state)
{
	struct slot_ring *ring;

	(void)state;
	assert_int_equal(slot_ring_create_for(&ring, "front", "auto", 3, 4096), 0);
	assert_string_equal(ring->allocator, "memfd");
	assert_false(ring->dmabuf);
	assert_int_equal(fcntl(ring->slots[0].fd, F_GET_SEALS) & (F_SEAL_SHRINK | F_SEAL_GROW),
			 F_SEAL_SHRINK | F_SEAL_GROW);
	slot_ring_destroy(ring);
}

static void an_exhausted_heap_gives_back_what_it_gave(void **state)
{
	unsigned before = open_fds();
	struct slot_ring *ring;

	(void)state;
	fake.path = CMA;
	fake.left = 3;
	assert_int_equal(slot_ring_create_for(&ring, "front", "auto", 4, 4096), 0);
	assert_string_equal(ring->allocator, "memfd");
	assert_int_equal(open_fds(), before + 4);
	slot_ring_destroy(ring);
	assert_int_equal(open_fds(), before);
}

static void a_named_allocator_is_not_replaced(void **state)
{
	struct slot_ring *ring;

	(void)state;
	assert_int_equal(slot_ring_create_for(&ring, "front", "udmabuf", 4, 4096), -ENOENT);
	fake.path = CMA;
	assert_int_equal(slot_ring_create_for(&ring, "front", "linux,cma", 4, 4096), 0);
	assert_string_equal(ring->allocator, "dma-heap:linux,cma");
	slot_ring_destroy(ring);
	assert_int_equal(slot_ring_create_for(&ring, "front", "nonsense", 4, 4096), -EINVAL);
}

static void a_slot_larger_than_udmabuf_allows_comes_from_elsewhere(void **state)
{
	struct slot_ring *ring;

	(void)state;
	fake.path = UDMABUF;
	assert_int_equal(slot_ring_create_for(&ring, "front", "auto", 1, (64u << 20) + 1), 0);
	assert_string_equal(ring->allocator, "memfd");
	slot_ring_destroy(ring);
}

static void a_missing_permission_names_the_remedy(void **state)
{
	struct slot_ring *ring;
	const char *said;

	(void)state;
	fake.denied = SYSTEM;
	catch_stderr();
	assert_int_equal(slot_ring_create_for(&ring, "front", "auto", 1, 4096), 0);
	said = caught_stderr();
	assert_non_null(strstr(said, "camera front: frame slots: 1 x "));
	assert_non_null(strstr(said, "dma-heap:system: Permission denied"));
	assert_non_null(strstr(said, "60-camcast.rules"));
	assert_null(strstr(said, "linux,cma"));
	slot_ring_destroy(ring);
}

static void impossible_rings_are_refused(void **state)
{
	struct slot_ring *ring;

	(void)state;
	assert_int_equal(slot_ring_create(&ring, "memfd", 0, 4096), -EINVAL);
	assert_int_equal(slot_ring_create(&ring, "memfd", 1, 0), -EINVAL);
	assert_int_equal(slot_ring_create(&ring, "memfd", 1, UINT32_MAX), -EINVAL);
}

/* --- mapping and access --- */

static void a_slot_is_mapped_once_and_made_writable_when_needed(void **state)
{
	struct slot_ring *ring;
	uint8_t *a, *b, *c;
	char byte;

	(void)state;
	assert_int_equal(slot_ring_create(&ring, "memfd", 2, 4096), 0);
	assert_int_equal(slot_map(ring, 1, false, &a), 0);
	assert_int_equal(slot_map(ring, 1, true, &b), 0);
	assert_int_equal(slot_map(ring, 1, false, &c), 0);
	assert_ptr_equal(a, b);
	assert_ptr_equal(a, c);
	b[4095] = 'x';
	assert_int_equal(pread(ring->slots[1].fd, &byte, 1, 4095), 1);
	assert_int_equal(byte, 'x');
	slot_ring_destroy(ring);
}

static void dmabufs_are_synced_around_each_access(void **state)
{
	struct slot_ring *ring;

	(void)state;
	fake.path = CMA;
	assert_int_equal(slot_ring_create_for(&ring, "front", "auto", 1, 4096), 0);
	assert_int_equal(slot_begin_access(ring, 0, false), 0);
	assert_int_equal(slot_end_access(ring, 0, false), 0);
	assert_int_equal(slot_begin_access(ring, 0, true), 0);
	assert_int_equal(slot_end_access(ring, 0, true), 0);
	assert_int_equal(fake.n_syncs, 4);
	assert_int_equal(fake.syncs[0], DMA_BUF_SYNC_START | DMA_BUF_SYNC_READ);
	assert_int_equal(fake.syncs[1], DMA_BUF_SYNC_END | DMA_BUF_SYNC_READ);
	assert_int_equal(fake.syncs[2], DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW);
	assert_int_equal(fake.syncs[3], DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW);
	slot_ring_destroy(ring);
}

static void an_interrupted_sync_is_repeated(void **state)
{
	struct slot_ring *ring;

	(void)state;
	fake.path = CMA;
	assert_int_equal(slot_ring_create_for(&ring, "front", "auto", 1, 4096), 0);
	fake.sync_errors[0] = EINTR;
	fake.sync_errors[1] = EAGAIN;
	assert_int_equal(slot_begin_access(ring, 0, false), 0);
	assert_int_equal(fake.n_syncs, 1);
	fake.n_errors = 0;
	fake.sync_errors[0] = EIO;
	assert_int_equal(slot_end_access(ring, 0, false), -EIO);
	slot_ring_destroy(ring);
}

static void memfds_are_not_synced(void **state)
{
	struct slot_ring *ring;

	(void)state;
	assert_int_equal(slot_ring_create(&ring, "memfd", 1, 4096), 0);
	assert_int_equal(slot_begin_access(ring, 0, true), 0);
	assert_int_equal(slot_end_access(ring, 0, true), 0);
	assert_int_equal(fake.n_syncs, 0);
	slot_ring_destroy(ring);
}

static void foreign_descriptors_stay_open(void **state)
{
	int fds[2] = {memfd_create("a", MFD_CLOEXEC), memfd_create("b", MFD_CLOEXEC)};
	struct slot_ring *ring;
	uint8_t *map;

	(void)state;
	assert_int_equal(ftruncate(fds[0], 4096), 0);
	assert_int_equal(ftruncate(fds[1], 4096), 0);
	assert_int_equal(slot_ring_wrap(&ring, "libcamera", fds, 2, 4096), 0);
	assert_string_equal(ring->allocator, "libcamera");
	assert_true(ring->dmabuf);
	assert_int_equal(slot_map(ring, 1, false, &map), 0);
	slot_ring_destroy(ring);
	assert_int_equal(close(fds[0]), 0);
	assert_int_equal(close(fds[1]), 0);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup(name, setup)
	const struct CMUnitTest tests[] = {
		CASE(nv12_has_two_planes_of_one_stride),
		CASE(i420_has_chroma_of_half_the_stride),
		CASE(yuyv_is_packed),
		CASE(impossible_formats_are_refused),
		CASE(slots_have_room_for_whole_macroblocks),
		CASE(the_best_heap_that_opens_is_taken),
		CASE(without_a_provider_slots_are_memfds),
		CASE(an_exhausted_heap_gives_back_what_it_gave),
		CASE(a_named_allocator_is_not_replaced),
		CASE(a_slot_larger_than_udmabuf_allows_comes_from_elsewhere),
		CASE(a_missing_permission_names_the_remedy),
		CASE(impossible_rings_are_refused),
		CASE(a_slot_is_mapped_once_and_made_writable_when_needed),
		CASE(dmabufs_are_synced_around_each_access),
		CASE(an_interrupted_sync_is_repeated),
		CASE(memfds_are_not_synced),
		CASE(foreign_descriptors_stay_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
