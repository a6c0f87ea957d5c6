/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whatever a worker sends, with whatever fds: camcastd takes it or refuses it, reads nothing
 * outside, and keeps no fd but those of segments. The input is a row of messages, each
 *
 *   kind (1)   low four bits: what fd comes with it (enum below); high bits: it comes that many
 *              times 10 ms after the one before
 *   length (2) little-endian, of the message, which follows; 0xffff: longer than any
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/worker/messages.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum fd_kind { NONE, SEGMENT, SMALL_SEGMENT, EMPTY_SEGMENT, UNSEALED, DEVICE, TWO, LOST, ONE_LOST };
enum { FOREIGN = 7, FEEDS }; /* the seven of one camera, and one of another */

static struct config *config;
static struct loop *loop;
static struct cameras *cameras;
static struct worker_messages *messages;
static int64_t now_us;

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void ignore_idr(struct feed_demand *demand)
{
	(void)demand;
}

static void ignore_watched(struct feed_demand *demand)
{
	(void)demand;
}

static void ignore_unwatched(struct feed_demand *demand, bool viewed)
{
	(void)demand, (void)viewed;
}

static void create_feeds(void)
{
	static struct feed_demand demand = {
		.idr = ignore_idr, .watched = ignore_watched, .unwatched = ignore_unwatched};

	for (unsigned i = 0; i < FEEDS; i++) {
		struct output *output = cameras->outputs[i];
		struct feed_options feed = {.name = output->name,
					    .policy = output->stream->config,
					    .can_force_idr = true};

		require(feed_create(&output->feed, loop, &feed, &demand) == 0);
	}
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const char text[] = "[camera a]\n[camera b]\n"
				   "[stream a1]\ncamera = a\nannexb = 0\nlength_prefixed = 0\n"
				   "[stream b1]\ncamera = b\nannexb = 0\n";
	struct loop_options options = {.backend = CONFIG_BACKEND_EPOLL, .max_conns = 1};

	(void)argc;
	(void)argv;
	require(config_parse(&config, "fuzz", text, sizeof text - 1, stderr) == 0);
	require(cameras_create(&cameras, config) == 0 && cameras->n_outputs == 2 * FOREIGN);
	require(loop_create(&loop, &options) == 0);
	require(worker_messages_create(&messages, cameras->cameras[0]) == 0);
	return 0;
}

static int make_segment(off_t size, int seals)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	require(fd >= 0 && ftruncate(fd, size) == 0);
	require(!seals || fcntl(fd, F_ADD_SEALS, seals) == 0);
	return fd;
}

static void add_fds(struct worker_packet *packet, enum fd_kind kind)
{
	const int seals = F_SEAL_SHRINK | F_SEAL_GROW;

	switch (kind) {
	case SEGMENT:
		packet->fds[packet->n_fds++] = make_segment(65536, seals);
		break;
	case SMALL_SEGMENT:
		packet->fds[packet->n_fds++] = make_segment(1, seals);
		break;
	case EMPTY_SEGMENT:
		packet->fds[packet->n_fds++] = make_segment(0, seals);
		break;
	case UNSEALED:
		packet->fds[packet->n_fds++] = make_segment(65536, F_SEAL_GROW);
		break;
	case DEVICE:
		packet->fds[packet->n_fds++] = open("/dev/null", O_RDONLY | O_CLOEXEC);
		break;
	case TWO:
		packet->fds[packet->n_fds++] = make_segment(65536, seals);
		packet->fds[packet->n_fds++] = make_segment(65536, seals);
		break;
	case ONE_LOST:
		packet->fds[packet->n_fds++] = make_segment(65536, seals);
		packet->truncated = true;
		break;
	case LOST:
		packet->truncated = true;
		break;
	case NONE:
		break;
	}
}

/* The lowest free fd: a leak moves it. */
static int lowest_fd(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	require(fd >= 0 && close(fd) == 0);
	return fd;
}

static void check_news(const struct worker_news *news)
{
	const struct feed *foreign = cameras->outputs[FOREIGN]->feed;
	const struct camcast_msg_heartbeat *heartbeat = worker_messages_heartbeat(messages);
	const struct camcast_msg_stream *stream = worker_messages_streams(messages);

	switch (news->event) {
	case WORKER_EVENT_STREAM:
		require(news->number == 0);
		break;
	case WORKER_EVENT_KEY:
	case WORKER_EVENT_LOST_SEGMENT:
	case WORKER_EVENT_GOT_SEGMENT:
	case WORKER_EVENT_NO_MEMORY:
		require(news->number < FOREIGN);
		break;
	case WORKER_EVENT_NONE:
	case WORKER_EVENT_HELLO:
	case WORKER_EVENT_HEARTBEAT:
		break;
	}
	require(memchr(heartbeat->reason, 0, sizeof heartbeat->reason));
	require(memchr(stream->detail, 0, sizeof stream->detail));
	require(feed_stats(foreign)->units == 0 && feed_stats(foreign)->log.segments == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int before = lowest_fd();
	char why[WORKER_WHY_MAX];
	struct worker_news news;
	int ret = 0;

	create_feeds();
	while (ret == 0 && size >= 3) {
		int fds[2];
		struct worker_packet packet = {.len = data[1] | (size_t)data[2] << 8, .fds = fds};
		uint8_t *message;

		now_us += (data[0] >> 4) * 10000;
		add_fds(&packet, data[0] & 15);
		data += 3;
		size -= 3;
		packet.oversize = packet.len == 0xffff;
		if (packet.len > size)
			packet.len = size;
		/* A block of exactly that size, so that the sanitizer sees a read behind it. */
		message = calloc(1, packet.len + !packet.len);
		require(message);
		memcpy(message, data, packet.len);
		packet.data = message;
		data += packet.len;
		size -= packet.len;
		ret = worker_messages_take(messages, &packet, now_us, &news, why);
		free(message);
		for (unsigned i = 0; i < packet.n_fds; i++)
			require(fds[i] < 0 || (ret < 0 && close(fds[i]) == 0));
		require(ret == 0 || (ret == -EPROTO && why[0] && memchr(why, 0, sizeof why)));
		if (ret == 0)
			check_news(&news);
	}
	worker_messages_reset(messages);
	for (unsigned i = 0; i < FEEDS; i++)
		feed_destroy(cameras->outputs[i]->feed);
	require(lowest_fd() == before);
	now_us += 4000000;
	return 0;
}
