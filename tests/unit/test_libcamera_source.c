/* SPDX-License-Identifier: BSD-2-Clause */
/* The libcamera source over a camera that the test plays (it defines all of wrapper/camera.h, so
 * that libcamera itself is not linked): what completes, when, and what goes wrong. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>
#include <jpeglib.h>

#include "base/clock.h"
#include "capture/source/source.h"
#include "media/jpeg.h"
#include "wrapper/camera.h"

#define WIDTH 64
#define HEIGHT 48
#define BUFFERS 4
#define SIZE (1 << 16)

/* --- the camera that is played --- */

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;

	/* set by the test */
	int open_error;
	uint32_t fourcc; /* the only one that it offers */
	const uint32_t *also;
	int import_error, allocate_error;
	bool ignores_imports; /* pictures in imported buffers come back as errors */
	bool plays_by_itself; /* as fast as buffers come, like libcamera's virtual camera */
	int64_t step_us;      /* between its pictures, by its own clock */

	/* what happened; guarded by lock */
	struct camera_events events;
	bool started, imported;
	bool queued[BUFFERS]; /* buffers that the camera may fill */
	unsigned n_queued, starts, requeues;
	uint32_t sequence;
	int64_t clock_us;
	char controls[512]; /* "Name=value " in order */
	int fds[BUFFERS];
	pthread_t thread;
} fake;

int camera_manager_open(struct camera_manager **out)
{
	*out = (struct camera_manager *)(void *)&fake;
	return 0;
}

void camera_manager_close(struct camera_manager *manager)
{
	(void)manager;
}

int camera_manager_print(struct camera_manager *manager, FILE *out)
{
	(void)manager;
	(void)out;
	return 0;
}

const char *camera_error(void)
{
	return "";
}

int camera_open(struct camera **out, struct camera_manager *manager, const char *id)
{
	(void)manager;
	(void)id;
	*out = (struct camera *)(void *)&fake;
	return fake.open_error;
}

void camera_close(struct camera *camera)
{
	if (camera)
		assert_false(fake.started);
}

const char *camera_id(const struct camera *camera)
{
	(void)camera;
	return "fake0";
}

const char *camera_model(const struct camera *camera)
{
	(void)camera;
	return "fake";
}

int camera_configure(struct camera *camera, const struct camera_request *request,
		     struct camera_format *got)
{
	bool jpeg;

	(void)camera;
	/* It cannot turn its pictures, as USB cameras. */
	*got = (struct camera_format){.width = WIDTH,
				      .height = HEIGHT,
				      .buffers = BUFFERS,
				      .cannot_flip = request->hflip || request->vflip};
	for (unsigned i = 0; i < request->n_fourccs && !got->fourcc; i++)
		if (request->fourccs[i] == fake.fourcc ||
		    (fake.also && request->fourccs[i] == *fake.also))
			got->fourcc = request->fourccs[i];
	if (!got->fourcc)
		return -ENOTSUP;
	jpeg = got->fourcc == CAMERA_FOURCC_MJPEG;
	got->stride = jpeg ? 0 : got->fourcc == FRAME_YUYV ? 2 * WIDTH : WIDTH;
	got->size = jpeg ? SIZE : got->stride * HEIGHT * 3 / 2;
	return 0;
}

int camera_import(struct camera *camera, const int *fds, unsigned n)
{
	(void)camera;
	assert_int_equal(n, BUFFERS);
	memcpy(fake.fds, fds, sizeof(fake.fds));
	fake.imported = true;
	return fake.import_error;
}

int camera_allocate(struct camera *camera, unsigned *n)
{
	static int own[BUFFERS];

	(void)camera;
	if (fake.allocate_error)
		return fake.allocate_error;
	for (unsigned i = 0; i < BUFFERS; i++) {
		if (!own[i]) {
			own[i] = memfd_create("camera", MFD_CLOEXEC);
			assert_int_equal(ftruncate(own[i], SIZE), 0);
		}
		fake.fds[i] = own[i];
	}
	fake.imported = false;
	*n = BUFFERS;
	return 0;
}

int camera_buffer(struct camera *camera, unsigned index, struct camera_plane planes[3],
		  unsigned *n_planes)
{
	(void)camera;
	/* NV12 with a hole between its planes */
	planes[0] = (struct camera_plane){fake.fds[index], 0, WIDTH * HEIGHT};
	planes[1] = (struct camera_plane){fake.fds[index], 8192, WIDTH * HEIGHT / 2};
	*n_planes = 2;
	return 0;
}

bool camera_has_control(const struct camera *camera, const char *name)
{
	(void)camera;
	return strcmp(name, "Brightness") == 0 || strcmp(name, "FrameDurationLimits") == 0;
}

int camera_set_control(struct camera *camera, const char *name, const char *value)
{
	size_t len = strlen(fake.controls);

	if (!camera_has_control(camera, name))
		return -ENOENT;
	snprintf(fake.controls + len, sizeof(fake.controls) - len, "%s=%s ", name, value);
	return 0;
}

void camera_control_names(const struct camera *camera, char *out, size_t size)
{
	(void)camera;
	snprintf(out, size, "Brightness FrameDurationLimits");
}

int camera_crop_area(const struct camera *camera, int32_t crop[4])
{
	(void)camera;
	(void)crop;
	return -ENOENT;
}

/* Completes the oldest buffer that the camera has; waits until it has one. False: stopped. */
static bool complete(enum camera_frame_status status, uint32_t bytes_used)
{
	static unsigned next;
	struct camera_frame frame = {.status = status, .bytes_used = bytes_used};
	struct camera_events events;

	pthread_mutex_lock(&fake.lock);
	while (fake.started && !fake.n_queued)
		pthread_cond_wait(&fake.changed, &fake.lock);
	if (!fake.started) {
		pthread_mutex_unlock(&fake.lock);
		return false;
	}
	while (!fake.queued[next % BUFFERS])
		next++;
	frame.index = next++ % BUFFERS;
	fake.queued[frame.index] = false;
	fake.n_queued--;
	frame.sequence = fake.sequence++;
	fake.clock_us += fake.step_us;
	frame.sensor_us = fake.plays_by_itself ? clock_now_us() : fake.clock_us;
	events = fake.events;
	pthread_mutex_unlock(&fake.lock);
	events.frame(events.user, &frame);
	return true;
}

static void *play(void *arg)
{
	(void)arg;
	while (complete(
		fake.imported && fake.ignores_imports ? CAMERA_FRAME_ERROR : CAMERA_FRAME_OK, 0))
		;
	return NULL;
}

int camera_start(struct camera *camera, const struct camera_events *events)
{
	(void)camera;
	pthread_mutex_lock(&fake.lock);
	fake.events = *events;
	fake.started = true;
	fake.starts++;
	for (unsigned i = 0; i < BUFFERS; i++)
		fake.queued[i] = true;
	fake.n_queued = BUFFERS;
	pthread_mutex_unlock(&fake.lock);
	if (fake.plays_by_itself)
		assert_int_equal(pthread_create(&fake.thread, NULL, play, NULL), 0);
	return 0;
}

int camera_requeue(struct camera *camera, unsigned index)
{
	int r = -ESHUTDOWN;

	(void)camera;
	pthread_mutex_lock(&fake.lock);
	if (fake.started) {
		assert_false(fake.queued[index]);
		fake.queued[index] = true;
		fake.n_queued++;
		fake.requeues++;
		r = 0;
	}
	pthread_cond_broadcast(&fake.changed);
	pthread_mutex_unlock(&fake.lock);
	return r;
}

void camera_stop(struct camera *camera)
{
	(void)camera;
	pthread_mutex_lock(&fake.lock);
	fake.started = false;
	pthread_cond_broadcast(&fake.changed);
	pthread_mutex_unlock(&fake.lock);
	if (fake.plays_by_itself)
		pthread_join(fake.thread, NULL);
}

/* --- what the source makes of it --- */

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned frames, packets;
	struct frame *kept[BUFFERS];
	unsigned n_kept, keep;
	uint8_t packet[SIZE];
	size_t packet_len;
	bool gone;
	int error;
} seen;

static void handle_frame(void *user, struct frame *frame)
{
	(void)user;
	pthread_mutex_lock(&seen.lock);
	seen.frames++;
	if (seen.n_kept < seen.keep) {
		seen.kept[seen.n_kept++] = frame;
		frame = NULL;
	}
	pthread_cond_broadcast(&seen.changed);
	pthread_mutex_unlock(&seen.lock);
	if (frame)
		frame_unref(frame);
}

static void handle_packet(void *user, const struct packet *packet)
{
	(void)user;
	pthread_mutex_lock(&seen.lock);
	seen.packets++;
	assert_true(packet->key && packet->len <= SIZE);
	memcpy(seen.packet, packet->data, packet->len);
	seen.packet_len = packet->len;
	pthread_cond_broadcast(&seen.changed);
	pthread_mutex_unlock(&seen.lock);
}

static void handle_gone(void *user, int error, const char *why)
{
	(void)user;
	pthread_mutex_lock(&seen.lock);
	assert_true(strlen(why) > 0);
	seen.gone = true;
	seen.error = error;
	pthread_cond_broadcast(&seen.changed);
	pthread_mutex_unlock(&seen.lock);
}

/* Waits on one of the two locks until the condition holds; at most 10 s. */
#define wait_for(side, condition)                                                                  \
	do {                                                                                       \
		struct timespec end_;                                                              \
                                                                                                   \
		clock_gettime(CLOCK_REALTIME, &end_);                                              \
		end_.tv_sec += 10;                                                                 \
		pthread_mutex_lock(&(side).lock);                                                  \
		while (!(condition))                                                               \
			assert_int_equal(                                                          \
				pthread_cond_timedwait(&(side).changed, &(side).lock, &end_), 0);  \
		pthread_mutex_unlock(&(side).lock);                                                \
	} while (0)

static struct source *source;
static uint32_t framerate;
static bool vflip;
static char why[256];

static int open_source(const char *allocator, bool want_coded, struct config_control *controls,
		       size_t n_controls)
{
	const struct config_camera config = {
		.name = "test",
		.source = (char *)(uintptr_t) "libcamera",
		.size = {WIDTH, HEIGHT},
		.framerate = {framerate, 1},
		.buffers = BUFFERS,
		.allocator = (char *)(uintptr_t)allocator,
		.vflip = vflip,
		.controls = controls,
		.n_controls = n_controls,
	};
	const struct source_events events = {handle_frame, handle_packet, handle_gone, NULL};

	return source_open(&source, &config, want_coded ? SOURCE_COPY : SOURCE_DECODE,
			   CONFIG_CODEC_MJPEG, &events, why);
}

static int reset(void **state)
{
	(void)state;
	memset(&fake, 0, sizeof(fake));
	memset(&seen, 0, sizeof(seen));
	pthread_mutex_init(&fake.lock, NULL);
	pthread_cond_init(&fake.changed, NULL);
	pthread_mutex_init(&seen.lock, NULL);
	pthread_cond_init(&seen.changed, NULL);
	framerate = 50;
	vflip = false;
	fake.fourcc = FRAME_NV12;
	fake.step_us = 20000;
	fake.clock_us = 1000000;
	return 0;
}

static void start(const char *allocator)
{
	assert_int_equal(open_source(allocator, false, NULL, 0), 0);
	assert_int_equal(source_start(source), 0);
}

static void finish(void)
{
	source_stop(source);
	source_close(source);
}

/* --- tests --- */

static void a_slot_goes_back_when_the_last_encoder_lets_go(void **state)
{
	(void)state;
	seen.keep = 1;
	start("memfd");
	assert_string_equal(source_info(source)->name, "libcamera:fake");
	assert_string_equal(source_info(source)->allocator, "memfd");
	complete(CAMERA_FRAME_OK, 0);
	wait_for(seen, seen.n_kept == 1);
	assert_int_equal(fake.requeues, 0);
	assert_int_equal(seen.kept[0]->capture_us, 1020000);
	frame_ref(seen.kept[0]);
	frame_unref(seen.kept[0]);
	assert_int_equal(fake.requeues, 0);
	frame_unref(seen.kept[0]);
	assert_int_equal(fake.requeues, 1);
	finish();
}

static void a_slot_let_go_after_the_stop_goes_nowhere(void **state)
{
	(void)state;
	seen.keep = 1;
	start("memfd");
	complete(CAMERA_FRAME_OK, 0);
	wait_for(seen, seen.n_kept == 1);
	source_stop(source);
	frame_unref(seen.kept[0]);
	assert_int_equal(fake.requeues, 0);
	source_close(source);
}

static void pictures_with_errors_are_left_out_and_their_slots_go_back(void **state)
{
	(void)state;
	start("memfd");
	complete(CAMERA_FRAME_ERROR, 0);
	complete(CAMERA_FRAME_CANCELLED, 0);
	complete(CAMERA_FRAME_OK, 0);
	wait_for(seen, seen.frames == 1);
	wait_for(fake, fake.requeues == 3);
	finish();
	assert_int_equal(seen.frames, 1);
}

static void early_pictures_go_straight_back(void **state)
{
	(void)state;
	fake.step_us = 10000; /* 100 a second, 50 are wanted */
	start("memfd");
	for (int i = 0; i < 41; i++)
		assert_true(complete(CAMERA_FRAME_OK, 0));
	wait_for(fake, fake.requeues == 41);
	finish();
	assert_in_range(seen.frames, 20, 22);
}

static void a_camera_without_pace_gets_one_buffer_a_picture(void **state)
{
	unsigned before, after, frames;
	int64_t begin_us, us;

	(void)state;
	fake.plays_by_itself = true;
	start("memfd");
	wait_for(seen, seen.frames >= 60); /* it is found out within a second */
	pthread_mutex_lock(&fake.lock);
	before = fake.sequence;
	pthread_mutex_unlock(&fake.lock);
	pthread_mutex_lock(&seen.lock);
	frames = seen.frames + 25;
	pthread_mutex_unlock(&seen.lock);
	begin_us = clock_now_us();
	wait_for(seen, seen.frames >= frames);
	us = clock_now_us() - begin_us;
	pthread_mutex_lock(&fake.lock);
	after = fake.sequence;
	pthread_mutex_unlock(&fake.lock);
	finish();
	/* 50 a second, and no more than that were made */
	assert_in_range(us, 450000, 5000000);
	assert_in_range(after - before, 20, 35);
}

static void an_unplugged_camera_is_gone(void **state)
{
	(void)state;
	start("memfd");
	complete(CAMERA_FRAME_OK, 0);
	wait_for(seen, seen.frames == 1);
	fake.events.gone(fake.events.user);
	wait_for(seen, seen.gone);
	assert_int_equal(seen.error, -ENODEV);
	finish();
}

static void imports_that_bring_no_pictures_give_way_to_libcameras_buffers(void **state)
{
	(void)state;
	fake.plays_by_itself = true;
	fake.ignores_imports = true;
	assert_int_equal(open_source("auto", false, NULL, 0), 0);
	assert_string_equal(source_info(source)->allocator, "libcamera");
	/* and its planes are where libcamera says, not where they would be in a slot of ours */
	assert_int_equal(source_info(source)->format.planes[1].offset, 8192);
	assert_int_equal(source_start(source), 0);
	wait_for(seen, seen.frames >= 3);
	finish();
}

static void plain_memory_is_the_last_resort(void **state)
{
	(void)state;
	if (access("/dev/udmabuf", F_OK) == 0 || access("/dev/dma_heap", F_OK) == 0)
		skip(); /* the first resort works here */
	fake.plays_by_itself = true;
	fake.allocate_error = -ENOBUFS;
	assert_int_equal(open_source("auto", false, NULL, 0), 0);
	assert_string_equal(source_info(source)->allocator, "memfd");
	assert_int_equal(source_info(source)->format.planes[1].offset, WIDTH * HEIGHT);
	source_close(source);
}

static void a_camera_unplugged_while_buffers_are_tried_is_gone(void **state)
{
	(void)state;
	fake.plays_by_itself = true;
	fake.ignores_imports = true;
	fake.allocate_error = -ENODEV;
	assert_int_equal(open_source("auto", false, NULL, 0), -ENODEV);
	assert_in_range(fake.starts, 0, 1);
}

static void an_import_that_is_asked_for_and_refused_is_an_error(void **state)
{
	(void)state;
	fake.import_error = -EINVAL;
	assert_int_equal(open_source("memfd", false, NULL, 0), -EINVAL);
	assert_true(strlen(why) > 0);
}

static void a_camera_that_does_not_open_is_told(void **state)
{
	(void)state;
	fake.open_error = -EBUSY;
	assert_int_equal(open_source("auto", false, NULL, 0), -EBUSY);
	assert_true(strlen(why) > 0);
}

static void the_rate_and_the_controls_are_set(void **state)
{
	struct config_control controls[] = {
		{.name = (char *)(uintptr_t) "brightness", .value = (char *)(uintptr_t) "0.5"},
		{.name = (char *)(uintptr_t) "saturation", .value = (char *)(uintptr_t) "2"},
		{.name = (char *)(uintptr_t) "Brightness",
		 .value = (char *)(uintptr_t) "0.1",
		 .raw = true},
	};

	(void)state;
	assert_int_equal(open_source("memfd", false, controls, 3), 0);
	assert_string_equal(fake.controls,
			    "FrameDurationLimits=20000,20000 Brightness=0.5 Brightness=0.1 ");
	assert_int_equal(source_set_control(source, "brightness", "-1"), 0);
	assert_int_equal(source_set_control(source, "saturation", "1"), -ENOENT);
	assert_int_equal(source_set_control(source, "awb", "moonlight"), -EINVAL);
	assert_non_null(strstr(fake.controls, "Brightness=-1"));
	source_close(source);
}

/* --- JPEG --- */

/* A grey picture, lighter from line 24 on, with standard Huffman tables. */
static size_t make_jpeg(uint8_t *out)
{
	struct jpeg_compress_struct jpeg;
	struct jpeg_error_mgr errors;
	uint8_t row[WIDTH * 3], *bytes = NULL;
	JSAMPROW rows[] = {row};
	unsigned long len = 0;

	memset(row, 100, sizeof(row));
	jpeg.err = jpeg_std_error(&errors);
	jpeg_create_compress(&jpeg);
	jpeg_mem_dest(&jpeg, &bytes, &len);
	jpeg.image_width = WIDTH;
	jpeg.image_height = HEIGHT;
	jpeg.input_components = 3;
	jpeg.in_color_space = JCS_RGB;
	jpeg_set_defaults(&jpeg);
	jpeg_start_compress(&jpeg, TRUE);
	for (int i = 0; i < HEIGHT; i++) {
		if (i == 24)
			memset(row, 200, sizeof(row));
		jpeg_write_scanlines(&jpeg, rows, 1);
	}
	jpeg_finish_compress(&jpeg);
	jpeg_destroy_compress(&jpeg);
	memcpy(out, bytes, len);
	free(bytes);
	return len;
}

/* Takes out the DHT segments. */
static size_t strip_tables(const uint8_t *in, size_t len, uint8_t *out)
{
	size_t pos = 2, n = 2;

	memcpy(out, in, 2);
	while (in[pos + 1] != 0xda) {
		const size_t segment = 2 + ((size_t)in[pos + 2] << 8 | in[pos + 3]);

		if (in[pos + 1] != 0xc4) {
			memcpy(out + n, in + pos, segment);
			n += segment;
		}
		pos += segment;
	}
	memcpy(out + n, in + pos, len - pos);
	return n + len - pos;
}

static uint8_t whole[SIZE], bare[SIZE];
static size_t whole_len, bare_len;

static void fill_buffers(const uint8_t *bytes, size_t len)
{
	for (unsigned i = 0; i < BUFFERS; i++)
		assert_int_equal(pwrite(fake.fds[i], bytes, len, 0), len);
}

static void open_jpeg_camera(bool want_coded)
{
	whole_len = make_jpeg(whole);
	bare_len = strip_tables(whole, whole_len, bare);
	assert_true(bare_len + 400 < whole_len);
	fake.fourcc = CAMERA_FOURCC_MJPEG;
	assert_int_equal(open_source("memfd", want_coded, NULL, 0), 0);
	assert_int_equal(source_info(source)->coded, want_coded);
	assert_int_equal(source_start(source), 0);
}

static void jpegs_are_passed_on_when_somebody_copies_them(void **state)
{
	(void)state;
	open_jpeg_camera(true);
	fill_buffers(whole, whole_len);
	complete(CAMERA_FRAME_OK, (uint32_t)whole_len);
	wait_for(seen, seen.packets == 1);
	assert_int_equal(seen.packet_len, whole_len);
	assert_memory_equal(seen.packet, whole, whole_len);
	wait_for(fake, fake.requeues == 1);
	finish();
}

static void jpegs_are_decoded_as_well_while_somebody_encodes_them(void **state)
{
	const struct frame_format *format;

	(void)state;
	seen.keep = 1;
	open_jpeg_camera(true);
	assert_int_equal(source_info(source)->decoded.width, WIDTH);
	fill_buffers(bare, bare_len);
	source_want_frames(source, true);
	complete(CAMERA_FRAME_OK, (uint32_t)bare_len);
	wait_for(seen, seen.packets == 1 && seen.n_kept == 1);
	wait_for(fake, fake.requeues == 1);
	format = seen.kept[0]->format;
	assert_int_equal(format->fourcc, FRAME_I420);
	assert_int_equal(format->height, HEIGHT);
	assert_int_equal(seen.kept[0]->capture_us, 1020000);
	frame_unref(seen.kept[0]);

	source_want_frames(source, false);
	complete(CAMERA_FRAME_OK, (uint32_t)bare_len);
	wait_for(seen, seen.packets == 2);
	finish();
	assert_int_equal(seen.frames, 1);
}

static void a_jpeg_without_huffman_tables_gets_the_standard_ones(void **state)
{
	struct jpeg_header header;

	(void)state;
	open_jpeg_camera(true);
	fill_buffers(bare, bare_len);
	complete(CAMERA_FRAME_OK, (uint32_t)bare_len);
	wait_for(seen, seen.packets == 1);
	assert_int_equal(seen.packet_len, bare_len + JPEG_TABLES_LEN);
	assert_int_equal(jpeg_header_read(seen.packet, seen.packet_len, &header), 0);
	assert_true(header.has_tables);
	/* the same tables as libjpeg's, which wrote them as four segments */
	assert_int_equal(strip_tables(seen.packet, seen.packet_len, whole), bare_len);
	assert_memory_equal(whole, bare, bare_len);
	finish();
}

static void a_jpeg_that_was_cut_is_left_out(void **state)
{
	(void)state;
	open_jpeg_camera(true);
	fill_buffers(whole, 64);
	for (uint32_t len = 0; len < 64; len += 21)
		complete(CAMERA_FRAME_OK, len);
	complete(CAMERA_FRAME_OK, SIZE * 2); /* more than the buffer holds */
	wait_for(fake, fake.requeues == 5);
	finish();
	assert_int_equal(seen.packets, 0);
}

static void jpegs_that_nobody_copies_are_decoded(void **state)
{
	const struct frame_format *format;
	uint8_t *map;

	(void)state;
	seen.keep = 1;
	open_jpeg_camera(false);
	format = &source_info(source)->format;
	assert_int_equal(format->fourcc, FRAME_I420);
	assert_true(format->full_range);
	fill_buffers(bare, bare_len);
	complete(CAMERA_FRAME_OK, (uint32_t)bare_len);
	wait_for(seen, seen.n_kept == 1);
	wait_for(fake, fake.requeues == 1); /* the camera's buffer does not wait for encoders */
	assert_int_equal(seen.kept[0]->capture_us, 1020000);
	assert_int_equal(slot_map(seen.kept[0]->ring, seen.kept[0]->slot, false, &map), 0);
	assert_in_range(map[format->planes[0].stride * 20 + 30], 98, 102);
	frame_unref(seen.kept[0]);
	finish();
}

static void jpegs_of_a_camera_that_cannot_flip_are_flipped_here(void **state)
{
	const struct frame_format *format;
	uint8_t *map;

	(void)state;
	seen.keep = 1;
	vflip = true;
	open_jpeg_camera(false);
	format = &source_info(source)->format;
	fill_buffers(whole, whole_len);
	complete(CAMERA_FRAME_OK, (uint32_t)whole_len);
	wait_for(seen, seen.n_kept == 1);
	assert_int_equal(slot_map(seen.kept[0]->ring, seen.kept[0]->slot, false, &map), 0);
	assert_in_range(map[format->planes[0].stride * 4 + 30], 198, 202);
	assert_in_range(map[format->planes[0].stride * (HEIGHT - 5) + 30], 98, 102);
	frame_unref(seen.kept[0]);
	finish();
}

static void what_is_too_much_for_usb_as_packed_pixels_is_asked_for_as_jpeg(void **state)
{
	static const uint32_t jpeg = CAMERA_FOURCC_MJPEG;

	(void)state;
	fake.fourcc = FRAME_YUYV;
	fake.also = &jpeg;
	assert_int_equal(open_source("memfd", false, NULL, 0), 0);
	assert_int_equal(source_info(source)->format.fourcc, FRAME_YUYV);
	source_close(source);
	framerate = 5000; /* 31 MB/s */
	assert_int_equal(open_source("memfd", false, NULL, 0), 0);
	assert_int_equal(source_info(source)->format.fourcc, FRAME_I420);
	assert_non_null(strstr(source_info(source)->note, "decoded from mjpeg"));
	source_close(source);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_slot_goes_back_when_the_last_encoder_lets_go, reset),
		cmocka_unit_test_setup(a_slot_let_go_after_the_stop_goes_nowhere, reset),
		cmocka_unit_test_setup(pictures_with_errors_are_left_out_and_their_slots_go_back,
				       reset),
		cmocka_unit_test_setup(early_pictures_go_straight_back, reset),
		cmocka_unit_test_setup(a_camera_without_pace_gets_one_buffer_a_picture, reset),
		cmocka_unit_test_setup(an_unplugged_camera_is_gone, reset),
		cmocka_unit_test_setup(
			imports_that_bring_no_pictures_give_way_to_libcameras_buffers, reset),
		cmocka_unit_test_setup(plain_memory_is_the_last_resort, reset),
		cmocka_unit_test_setup(a_camera_unplugged_while_buffers_are_tried_is_gone, reset),
		cmocka_unit_test_setup(an_import_that_is_asked_for_and_refused_is_an_error, reset),
		cmocka_unit_test_setup(a_camera_that_does_not_open_is_told, reset),
		cmocka_unit_test_setup(the_rate_and_the_controls_are_set, reset),
		cmocka_unit_test_setup(jpegs_are_passed_on_when_somebody_copies_them, reset),
		cmocka_unit_test_setup(jpegs_are_decoded_as_well_while_somebody_encodes_them,
				       reset),
		cmocka_unit_test_setup(a_jpeg_without_huffman_tables_gets_the_standard_ones, reset),
		cmocka_unit_test_setup(a_jpeg_that_was_cut_is_left_out, reset),
		cmocka_unit_test_setup(jpegs_that_nobody_copies_are_decoded, reset),
		cmocka_unit_test_setup(jpegs_of_a_camera_that_cannot_flip_are_flipped_here, reset),
		cmocka_unit_test_setup(
			what_is_too_much_for_usb_as_packed_pixels_is_asked_for_as_jpeg, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
