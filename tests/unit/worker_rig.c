/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/worker_rig.h"

static void count_idr(struct feed_demand *demand)
{
	container_of(demand, struct rig, demand)->idrs++;
}

static void ignore_watched(struct feed_demand *demand)
{
	(void)demand;
}

static void ignore_unwatched(struct feed_demand *demand, bool viewed)
{
	(void)demand, (void)viewed;
}

void rig_open(struct rig *rig, const char *daemon)
{
	struct loop_options options = {
		.backend = CONFIG_BACKEND_EPOLL, .send_threshold = 8192, .max_conns = 64};
	char text[1024];
	int n;

	memset(rig, 0, sizeof *rig);
	n = snprintf(text, sizeof text,
		     "[daemon]\n%s\n[camera front]\nsource = pattern\n"
		     "[camera back]\nsource = pattern\n"
		     "[stream fh]\ncamera = front\nannexb = 127.0.0.1:0\nmax_clients = 3\n"
		     "[stream fj]\ncamera = front\ncodec = mjpeg\non_demand = yes\n"
		     "linger_ms = 100\nlength_prefixed = 127.0.0.1:0\n"
		     "[stream bh]\ncamera = back\nannexb = 127.0.0.1:0\n",
		     daemon);
	assert_int_equal(config_parse(&rig->config, "rig", text, (size_t)n, stderr), 0);
	assert_int_equal(cameras_create(&rig->cameras, rig->config), 0);
	assert_int_equal(rig->cameras->n_outputs, RIG_FEEDS);
	if (rig->config->daemon.max_clients == 0)
		rig->config->daemon.max_clients = 1000; /* as limits_apply() chooses */
	assert_int_equal(loop_create(&rig->loop, &options), 0);
	assert_int_equal(fdreserve_create(&rig->reserve, rig->loop, 16), 0);
	assert_int_equal(
		admission_create(&rig->admission, rig->loop, &rig->config->daemon, rig->reserve),
		0);
	assert_int_equal(
		server_create(&rig->server, rig->loop, &rig->config->daemon, rig->admission), 0);
	rig->demand.idr = count_idr;
	rig->demand.watched = ignore_watched;
	rig->demand.unwatched = ignore_unwatched;
}

void rig_create_feeds(struct rig *rig, struct feed_demand *const *demands)
{
	for (unsigned i = 0; i < RIG_FEEDS; i++) {
		struct output *output = rig->cameras->outputs[i];
		const struct config_stream *stream = output->stream->config;
		struct feed_options options = {
			.name = output->name,
			.policy = stream,
			.key_only = stream->codec == CONFIG_CODEC_MJPEG,
			.can_force_idr = true,
		};

		assert_int_equal(feed_create(&output->feed, rig->loop, &options,
					     demands ? demands[i] : &rig->demand),
				 0);
		output->tcp.user = output->feed;
	}
}

void rig_listen(struct rig *rig)
{
	struct server_place places[RIG_FEEDS];
	size_t n = 0;

	for (unsigned i = 0; i < RIG_FEEDS; i++) {
		struct output *output = rig->cameras->outputs[i];

		if (output->config->n_listen > 0)
			places[n++] = (struct server_place){&output->tcp,
							    &output->config->listen[0], "a test"};
	}
	assert_int_equal(server_listen(rig->server, places, n, NULL), 0);
}

void rig_destroy_feeds(struct rig *rig)
{
	for (unsigned i = 0; i < RIG_FEEDS; i++) {
		feed_destroy(rig->cameras->outputs[i]->feed);
		rig->cameras->outputs[i]->feed = NULL;
	}
}

struct feed *rig_feed(const struct rig *rig, unsigned output)
{
	return rig->cameras->outputs[output]->feed;
}

void rig_close(struct rig *rig)
{
	rig_destroy_feeds(rig);
	server_destroy(rig->server);
	fdreserve_destroy(rig->reserve);
	loop_destroy(rig->loop);
	admission_destroy(rig->admission);
	cameras_destroy(rig->cameras);
	config_destroy(rig->config);
}

void rig_run_until(struct rig *rig, bool (*done)(void *user), void *user)
{
	struct timespec begun, now;

	clock_gettime(CLOCK_MONOTONIC_RAW, &begun); /* not the clock that tests turn */
	while (!done(user)) {
		assert_int_equal(loop_turn(rig->loop, 20000), 0);
		clock_gettime(CLOCK_MONOTONIC_RAW, &now);
		assert_true(now.tv_sec - begun.tv_sec < 10);
	}
}

int rig_segment(int64_t size, int seals)
{
	int fd = memfd_create("rig-segment", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, size), 0);
	if (seals)
		assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}
