/* SPDX-License-Identifier: BSD-2-Clause */
#include "v4l2_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct v4l2_fixture fx;

static void on_coded(void *user, const struct access_unit *unit)
{
	struct seen_unit *seen = &fx.units[fx.n_units++];

	assert_ptr_equal(user, &fx);
	assert_in_range(unit->len, 1, sizeof(seen->bytes));
	memcpy(seen->bytes, unit->data, unit->len);
	seen->len = unit->len;
	seen->capture_us = unit->capture_us;
	seen->key = unit->key;
	seen->droppable = unit->droppable;
	seen->as_is = unit->as_is;
}

static void on_failed(void *user, int error, const char *why)
{
	assert_ptr_equal(user, &fx);
	fx.failures++;
	fx.error = error;
	snprintf(fx.failed_why, sizeof(fx.failed_why), "%s", why);
}

void on_release(struct frame *frame)
{
	(void)frame;
	fx.released++;
}

static const struct encoder_events events = {on_coded, on_failed, &fx};

void set_size(uint32_t fourcc, uint32_t width, uint32_t height, uint32_t stride)
{
	fx.config.format.fourcc = fourcc;
	fx.config.format.width = width;
	fx.config.format.height = height;
	assert_int_equal(frame_format_layout(&fx.config.format, stride), 0);
	for (unsigned i = 0; i < SLOTS; i++)
		fx.slots[i].size = (fx.config.format.size + 4095) & ~4095u;
}

int setup(void **state)
{
	(void)state;
	sim_reset();
	memset(&fx, 0, sizeof(fx));
	fx.stream.v4l2_device = (char *)(uintptr_t) "";
	fx.stream.v4l2_format = (char *)(uintptr_t) "H264";
	fx.stream.level = (char *)(uintptr_t) "auto";
	fx.stream.bitrate = 2010000;
	fx.stream.keyframe_interval = 30;
	fx.stream.profile = CONFIG_PROFILE_HIGH;
	fx.ring.slots = fx.slots;
	fx.ring.n = SLOTS;
	fx.ring.dmabuf = true;
	strcpy(fx.ring.allocator, "dma-heap:system");
	fx.config.stream = &fx.stream;
	fx.config.ring = &fx.ring;
	fx.config.format.rate = (struct rate){30, 1};
	set_size(FRAME_NV12, 1280, 720, 1280);
	for (unsigned i = 0; i < SLOTS; i++)
		fx.slots[i].fd = 500 + (int)i;
	return 0;
}

int teardown(void **state)
{
	(void)state;
	if (fx.encoder)
		encoder_v4l2m2m.destroy(fx.encoder);
	assert_int_equal(sim.opened, sim.closed);
	assert_int_equal(sim.mapped, sim.unmapped);
	assert_int_equal(sim.n_raw, 0);
	assert_int_equal(sim.n_coded, 0);
	for (unsigned i = 0; i < SLOTS; i++) {
		assert_null(fx.slots[i].map);
		assert_int_equal(atomic_load(&fx.frames[i].refs), 0);
	}
	assert_false(sim.raw_fd_changed);
	return 0;
}

int create(void)
{
	return encoder_v4l2m2m.create(&fx.encoder, &fx.config, &events, fx.why);
}

void create_ok(void)
{
	if (create())
		fail_msg("%s", fx.why);
}

void refused_saying(int error, const char *text)
{
	assert_int_equal(create(), error);
	if (!strstr(fx.why, text))
		fail_msg("\"%s\" is not in \"%s\"", text, fx.why);
}

void destroy(void)
{
	encoder_v4l2m2m.destroy(fx.encoder);
	fx.encoder = NULL;
}

int encode(unsigned slot, int64_t capture_us, bool force_idr)
{
	struct frame *frame = &fx.frames[slot];

	frame->format = &fx.config.format;
	frame->ring = &fx.ring;
	frame->slot = slot;
	frame->capture_us = capture_us;
	frame->release = on_release;
	atomic_store(&frame->refs, 1);
	return encoder_v4l2m2m.encode(fx.encoder, frame, force_idr);
}

int dispatch(short revents)
{
	return encoder_v4l2m2m.dispatch(fx.encoder, revents);
}

int32_t control(uint32_t id)
{
	return sim_find_control(id)->value;
}
