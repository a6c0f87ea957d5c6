/* SPDX-License-Identifier: BSD-2-Clause */
/* An encoder under test on v4l2_sim.h's driver, a ring of slots that are only numbers, and what
 * the encoder told. */
#ifndef TESTS_UNIT_V4L2_FIXTURE_H
#define TESTS_UNIT_V4L2_FIXTURE_H

#include "capture/encode/encoder.h"
#include "capture/encode/v4l2.h"

#include "v4l2_sim.h"

#define SLOTS 6
#define US 1000000 /* in a second */

struct seen_unit {
	uint8_t bytes[3 * SIM_CODED_SIZE];
	size_t len;
	int64_t capture_us;
	bool key, droppable, as_is;
};

struct v4l2_fixture {
	struct config_stream stream;
	struct slot slots[SLOTS];
	struct slot_ring ring;
	struct encoder_config config;
	struct encoder *encoder;
	char why[V4L2_WHY_MAX];
	struct frame frames[SLOTS];
	unsigned released;
	struct seen_unit units[16];
	unsigned n_units;
	unsigned failures;
	int error;
	char failed_why[V4L2_WHY_MAX];
};

extern struct v4l2_fixture fx;

int setup(void **state);
/* After each test: the device is closed, nothing is mapped, and no picture was read. */
int teardown(void **state);
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

void set_size(uint32_t fourcc, uint32_t width, uint32_t height, uint32_t stride);
int create(void);
void create_ok(void);
void refused_saying(int error, const char *text);
void destroy(void);
int encode(unsigned slot, int64_t capture_us, bool force_idr);
int dispatch(short revents);
void on_release(struct frame *frame); /* counts */
int32_t control(uint32_t id);

#endif
