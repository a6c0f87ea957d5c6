/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/worker/messages.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"

#define RATE_PERIOD_US 2000000
/* Units of a feed that wait for the fd of their segment: two seconds at 30 pictures a second. The
 * worker answers within milliseconds. */
#define WAITING_MAX 60

/* Counts within a period that begins with the first message after the end of the last one. The
 * whole count may come at once: a worker that was stopped, or that camcastd was too busy to read,
 * catches up. */
struct allowance {
	int64_t start_us;
	uint64_t count;
};

/* Messages that camcastd sent in this period and in the one before, because the worker may answer
 * late. */
struct requests {
	int64_t start_us;
	uint64_t count, before;
};

/* The state of one feed, as the worker has announced it. */
struct feed_way {
	bool begun;	  /* a segment was announced */
	bool lost;	  /* camcastd does not have the fd of the newest one */
	bool dropped;	  /* units before those that wait are lost */
	uint32_t segment; /* id of the newest */
	struct camcast_msg_unit waiting[WAITING_MAX]; /* of the lost segment, in order */
	unsigned n_waiting;
	/* Versions, 0: none. The feed gets a preamble with the key unit that names it. */
	uint32_t preamble_announced, preamble_used, preamble_given;
	uint8_t preamble[CAMCAST_PREAMBLE_MAX]; /* the announced one */
	uint32_t preamble_len;
	unsigned segments_due; /* answers to GET_SEGMENT */
	struct allowance units, bytes, segments, preambles;
};

struct worker_messages {
	const struct camera *camera;
	bool hello;
	char sandbox[sizeof((struct camcast_msg_hello *)0)->sandbox];
	struct requests requests;
	struct camcast_msg_heartbeat heartbeat;
	struct allowance heartbeats;
	struct camcast_msg_stream *streams; /* by number */
	struct allowance *reports;	    /* the same */
	struct feed_way *ways;		    /* by the feed's number */
};

/* The message that is being checked. */
struct check {
	struct worker_messages *messages;
	const struct worker_packet *packet;
	int fd; /* the first that came with the message, or -1; a memfd where a
		 * rule's take() runs */
	int64_t now_us;
	struct worker_news *news;
	char *why;
};

static int __attribute__((format(printf, 2, 3)))
protocol_error(struct check *c, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(c->why, WORKER_WHY_MAX, format, ap);
	va_end(ap);
	return -EPROTO;
}

static void count(struct allowance *allowance, uint64_t add, int64_t now_us)
{
	if (now_us - allowance->start_us >= RATE_PERIOD_US) {
		allowance->start_us = now_us;
		allowance->count = 0;
	}
	allowance->count += add;
}

static bool rate_exceeded(struct allowance *allowance, uint64_t add, uint64_t per_second,
			  int64_t now_us)
{
	count(allowance, add, now_us);
	return allowance->count > per_second * (RATE_PERIOD_US / 1000000);
}

static void begin_requests_period(struct requests *requests, int64_t now_us)
{
	int64_t elapsed_us = now_us - requests->start_us;

	if (elapsed_us < RATE_PERIOD_US)
		return;
	requests->before = elapsed_us < 2 * RATE_PERIOD_US ? requests->count : 0;
	requests->count = 0;
	requests->start_us = now_us;
}

static bool terminated(const char *text, size_t size)
{
	return memchr(text, '\0', size) != NULL;
}

static bool stream_is_ours(const struct worker_messages *m, uint32_t stream)
{
	return stream < m->camera->n_streams;
}

static bool feed_is_ours(const struct worker_messages *m, uint32_t feed)
{
	return feed < m->camera->n_outputs;
}

/* Whether one more report about the camera or about one stream exceeds the number that the worker
 * may send by itself and as answers to camcastd. */
static bool reports_exceeded(struct check *c, struct allowance *reports)
{
	struct requests *requests = &c->messages->requests;

	begin_requests_period(requests, c->now_us);
	count(reports, 1, c->now_us);
	return reports->count >
	       CAMCAST_REPORT_RATE_MAX * (RATE_PERIOD_US / 1000000) +
		       CAMCAST_REPORTS_PER_REQUEST * (requests->count + requests->before);
}

static int take_hello(struct check *c)
{
	struct camcast_msg_hello hello;

	memcpy(&hello, c->packet->data, sizeof hello);
	if (c->messages->hello)
		return protocol_error(c, "a second HELLO");
	if (hello.version != CAMCAST_WORKER_VERSION)
		return protocol_error(
			c,
			"protocol version %u instead of %u: camcastd and camcast-capture are "
			"of different releases",
			hello.version, CAMCAST_WORKER_VERSION);
	if (!terminated(hello.sandbox, sizeof hello.sandbox))
		return protocol_error(c, "HELLO with unterminated text");
	text_clean(c->messages->sandbox, sizeof c->messages->sandbox, hello.sandbox);
	c->messages->hello = true;
	c->news->event = WORKER_EVENT_HELLO;
	return 0;
}

static int take_heartbeat(struct check *c)
{
	struct camcast_msg_heartbeat heartbeat;

	memcpy(&heartbeat, c->packet->data, sizeof heartbeat);
	if (heartbeat.state > CAMCAST_CAMERA_FAILED)
		return protocol_error(c, "HEARTBEAT with state %u", heartbeat.state);
	if (!terminated(heartbeat.source, sizeof heartbeat.source) ||
	    !terminated(heartbeat.allocator, sizeof heartbeat.allocator) ||
	    !terminated(heartbeat.path, sizeof heartbeat.path) ||
	    !terminated(heartbeat.reason, sizeof heartbeat.reason))
		return protocol_error(c, "HEARTBEAT with unterminated text");
	if (reports_exceeded(c, &c->messages->heartbeats))
		return protocol_error(c, "more than %d heartbeats a second",
				      CAMCAST_REPORT_RATE_MAX);
	/* The text goes to the log, JSON and metrics. A file's name need not be UTF-8, and a cut
	 * may have split a character: which is no reason to kill a worker. */
	text_clean(heartbeat.source, sizeof heartbeat.source, heartbeat.source);
	text_clean(heartbeat.allocator, sizeof heartbeat.allocator, heartbeat.allocator);
	text_clean(heartbeat.path, sizeof heartbeat.path, heartbeat.path);
	text_clean(heartbeat.reason, sizeof heartbeat.reason, heartbeat.reason);
	c->messages->heartbeat = heartbeat;
	c->news->event = WORKER_EVENT_HEARTBEAT;
	return 0;
}

static int take_stream(struct check *c)
{
	struct camcast_msg_stream stream;

	memcpy(&stream, c->packet->data, sizeof stream);
	if (!stream_is_ours(c->messages, stream.stream))
		return protocol_error(c, "STREAM for stream %u, which is not of this camera",
				      stream.stream);
	if (!terminated(stream.encoder, sizeof stream.encoder) ||
	    !terminated(stream.detail, sizeof stream.detail))
		return protocol_error(c, "STREAM with unterminated text");
	if (reports_exceeded(c, &c->messages->reports[stream.stream]))
		return protocol_error(c, "more than %d reports a second about stream %u",
				      CAMCAST_REPORT_RATE_MAX, stream.stream);
	text_clean(stream.encoder, sizeof stream.encoder, stream.encoder);
	text_clean(stream.detail, sizeof stream.detail, stream.detail);
	c->messages->streams[stream.stream] = stream;
	c->news->event = WORKER_EVENT_STREAM;
	c->news->number = stream.stream;
	return 0;
}

/* Gives the message's fd to the feed. Returns 0, 1 (camcastd cannot take it, because its own memory
 * or descriptors are short), or -EPROTO. */
static int add_segment(struct check *c, uint32_t feed, uint32_t id)
{
	struct feed *to = c->messages->camera->outputs[feed]->feed;
	struct stat st;
	int err;

	if (fstat(c->fd, &st) < 0)
		return protocol_error(c, "a segment whose size cannot be read");
	if (st.st_size < 1 || st.st_size > CAMCAST_SEGMENT_MAX)
		return protocol_error(c, "a segment of %lld bytes", (long long)st.st_size);
	if (feed_stats(to)->log.segments >= WORKER_SEGMENTS_MAX)
		return 1;
	err = feed_add_segment(to, id, c->fd, (uint32_t)st.st_size);
	if (err == -EEXIST)
		return protocol_error(c, "segment %u of feed %u twice", id, feed);
	if (err < 0)
		return 1;
	c->fd = c->packet->fds[0] = -1; /* it is the feed's now */
	return 0;
}

/* Units that wait for a segment will not be published: the next one must be a key unit. */
static void drop_waiting(struct check *c, uint32_t feed)
{
	struct feed_way *way = &c->messages->ways[feed];

	if (way->n_waiting == 0)
		return;
	way->n_waiting = 0;
	way->dropped = true;
	feed_gap(c->messages->camera->outputs[feed]->feed);
}

/* A segment's announcement, with or without its fd. */
static int begin_segment(struct check *c, uint32_t feed, uint32_t id)
{
	struct feed_way *way = &c->messages->ways[feed];
	int ret;

	if (c->fd < 0 && !c->packet->truncated)
		return protocol_error(c, "UNIT with the SEGMENT flag but without an fd");
	if (way->begun && id <= way->segment && !(way->lost && id == way->segment))
		return protocol_error(c, "segment %u of feed %u after segment %u", id, feed,
				      way->segment);
	if (rate_exceeded(&way->segments, 1, CAMCAST_SEGMENT_RATE_MAX, c->now_us))
		return protocol_error(c, "more than %d segments a second",
				      CAMCAST_SEGMENT_RATE_MAX);
	if (c->fd >= 0) {
		ret = add_segment(c, feed, id);
		if (ret < 0)
			return ret;
		c->news->event = ret ? WORKER_EVENT_NO_MEMORY : WORKER_EVENT_NONE;
	} else {
		ret = 1;
		c->news->event = WORKER_EVENT_LOST_SEGMENT;
	}
	c->news->number = feed;
	c->news->segment = id;
	drop_waiting(c, feed);
	way->begun = true;
	way->segment = id;
	way->lost = ret > 0;
	way->dropped = way->dropped && way->lost;
	return 0;
}

/* Checks the description of a unit; its place is checked later. */
static int check_unit(struct check *c, const struct camcast_msg_unit *unit)
{
	const struct feed_way *way = &c->messages->ways[unit->feed];

	if (unit->flags &
	    ~(uint32_t)(CAMCAST_UNIT_KEY | CAMCAST_UNIT_DROPPABLE | CAMCAST_UNIT_SEGMENT))
		return protocol_error(c, "UNIT with unknown flags %#x", unit->flags);
	if (unit->len < 1 || unit->len > CAMCAST_UNIT_MAX)
		return protocol_error(c, "UNIT of %u bytes", unit->len);
	if (unit->offset > CAMCAST_SEGMENT_MAX - unit->len)
		return protocol_error(c, "UNIT at offset %u", unit->offset);
	if (unit->track >= CAMCAST_TRACKS_MAX)
		return protocol_error(c, "UNIT of track %u", unit->track);
	if (unit->pts_us < -CAMCAST_PTS_MAX || unit->pts_us > CAMCAST_PTS_MAX)
		return protocol_error(c, "UNIT at %lld us", (long long)unit->pts_us);
	if (unit->preamble == way->preamble_used)
		return 0;
	if (unit->preamble != way->preamble_announced)
		return protocol_error(c,
				      "UNIT of feed %u with preamble %u, which is neither the "
				      "newest one nor that of the unit before",
				      unit->feed, unit->preamble);
	if (!(unit->flags & CAMCAST_UNIT_KEY))
		return protocol_error(c, "UNIT of feed %u with a new preamble, and not a key unit",
				      unit->feed);
	return 0;
}

/* Gives the feed the preamble of this unit. False: that is not possible now, and the unit cannot be
 * used. */
static bool give_preamble(struct check *c, const struct camcast_msg_unit *unit)
{
	struct feed *feed = c->messages->camera->outputs[unit->feed]->feed;
	struct feed_way *way = &c->messages->ways[unit->feed];

	/* Another preamble has arrived since: the unit at which this one began was lost. */
	if (!(unit->flags & CAMCAST_UNIT_KEY) || unit->preamble != way->preamble_announced)
		return false;
	if (feed_set_preamble(feed, way->preamble, way->preamble_len) < 0) {
		c->news->event = WORKER_EVENT_NO_MEMORY;
		c->news->number = unit->feed;
		return false;
	}
	way->preamble_given = unit->preamble;
	return true;
}

/* Keeps a unit whose segment is lost until the worker sends the segment again. */
static void let_wait(struct check *c, const struct camcast_msg_unit *unit)
{
	struct feed_way *way = &c->messages->ways[unit->feed];

	if (way->n_waiting == WAITING_MAX)
		drop_waiting(c, unit->feed);
	way->waiting[way->n_waiting++] = *unit;
	if (c->news->event == WORKER_EVENT_NONE) {
		c->news->event = WORKER_EVENT_LOST_SEGMENT;
		c->news->number = unit->feed;
		c->news->segment = unit->segment;
	}
}

/* Gives the feed a unit whose segment it has. Returns 0 or -EPROTO. */
static int publish(struct check *c, const struct camcast_msg_unit *unit)
{
	const struct feed_way *way = &c->messages->ways[unit->feed];
	struct feed *feed = c->messages->camera->outputs[unit->feed]->feed;
	int err;

	if (unit->preamble != way->preamble_given && !give_preamble(c, unit)) {
		feed_gap(feed);
		return 0;
	}
	err = feed_add_unit(feed, unit->segment,
			    &(struct feed_unit){.offset = unit->offset,
						.len = unit->len,
						.flags = unit->flags,
						.track = unit->track,
						.duration_us = unit->duration_us,
						.pts_us = unit->pts_us});
	if (err == -ENOENT || err == -EINVAL)
		return protocol_error(c,
				      "UNIT at %u of %u bytes in segment %u of feed %u: outside of "
				      "it, or before the end of the previous unit",
				      unit->offset, unit->len, unit->segment, unit->feed);
	if (err == 0 && (unit->flags & CAMCAST_UNIT_KEY)) {
		c->news->event = WORKER_EVENT_KEY;
		c->news->number = unit->feed;
	}
	return 0; /* -EAGAIN: not a key unit after a gap, counted by the feed */
}

static int take_unit(struct check *c)
{
	struct worker_messages *m = c->messages;
	struct camcast_msg_unit unit;
	struct feed_way *way;
	int err;

	memcpy(&unit, c->packet->data, sizeof unit);
	if (!feed_is_ours(m, unit.feed))
		return protocol_error(c, "UNIT for feed %u, which is not of this camera",
				      unit.feed);
	way = &m->ways[unit.feed];
	err = check_unit(c, &unit);
	if (err < 0)
		return err;
	if (rate_exceeded(&way->units, 1, CAMCAST_UNIT_RATE_MAX, c->now_us))
		return protocol_error(c, "more than %d units a second", CAMCAST_UNIT_RATE_MAX);
	if (rate_exceeded(&way->bytes, unit.len, CAMCAST_BYTE_RATE_MAX, c->now_us))
		return protocol_error(c, "more than %u bytes a second", CAMCAST_BYTE_RATE_MAX);
	if (unit.flags & CAMCAST_UNIT_SEGMENT) {
		err = begin_segment(c, unit.feed, unit.segment);
		if (err < 0)
			return err;
	} else if (c->fd >= 0 || c->packet->truncated) {
		return protocol_error(c, "UNIT with an fd but without the SEGMENT flag");
	} else if (!way->begun || unit.segment != way->segment) {
		return protocol_error(c, "UNIT in segment %u of feed %u, which is not the newest",
				      unit.segment, unit.feed);
	}
	way->preamble_used = unit.preamble;
	if (way->lost) {
		let_wait(c, &unit);
		return 0;
	}
	return publish(c, &unit);
}

/* Publishes what waited for the segment that is there now. */
static int publish_waiting(struct check *c, uint32_t feed)
{
	struct feed_way *way = &c->messages->ways[feed];
	int err = 0;

	if (!way->dropped)
		c->news->event = WORKER_EVENT_NONE;
	for (unsigned i = 0; i < way->n_waiting && err == 0; i++)
		err = publish(c, &way->waiting[i]);
	way->n_waiting = 0;
	way->dropped = false;
	return err;
}

static int take_segment(struct check *c)
{
	struct worker_messages *m = c->messages;
	struct camcast_msg_segment segment;
	struct feed_way *way;
	int ret;

	memcpy(&segment, c->packet->data, sizeof segment);
	if (!feed_is_ours(m, segment.feed))
		return protocol_error(c, "SEGMENT for feed %u, which is not of this camera",
				      segment.feed);
	way = &m->ways[segment.feed];
	if (c->fd < 0 && !c->packet->truncated)
		return protocol_error(c, "a SEGMENT without an fd");
	/* An answer may be late, after the next segment was announced, or be a second one, because
	 * camcastd asked twice. */
	if (!way->begun || segment.segment > way->segment || way->segments_due == 0)
		return protocol_error(c, "SEGMENT %u of feed %u, for which camcastd did not ask",
				      segment.segment, segment.feed);
	way->segments_due--;
	if (!way->lost || segment.segment != way->segment)
		return 0;
	c->news->number = segment.feed;
	c->news->segment = segment.segment;
	if (c->fd < 0) {
		c->news->event = WORKER_EVENT_LOST_SEGMENT;
		return 0;
	}
	ret = add_segment(c, segment.feed, segment.segment);
	if (ret < 0)
		return ret;
	way->lost = ret > 0;
	c->news->event = ret ? WORKER_EVENT_NO_MEMORY : WORKER_EVENT_GOT_SEGMENT;
	return ret ? 0 : publish_waiting(c, segment.feed);
}

static int take_preamble(struct check *c)
{
	struct worker_messages *m = c->messages;
	struct camcast_msg_preamble preamble;
	struct feed_way *way;

	memcpy(&preamble, c->packet->data, sizeof preamble);
	if (!feed_is_ours(m, preamble.feed))
		return protocol_error(c, "PREAMBLE for feed %u, which is not of this camera",
				      preamble.feed);
	way = &m->ways[preamble.feed];
	if (preamble.len < 1 || preamble.len > CAMCAST_PREAMBLE_MAX)
		return protocol_error(c, "PREAMBLE of %u bytes of data", preamble.len);
	if (preamble.version != way->preamble_announced + 1)
		return protocol_error(c, "preamble %u of feed %u after preamble %u",
				      preamble.version, preamble.feed, way->preamble_announced);
	if (rate_exceeded(&way->preambles, 1, CAMCAST_PREAMBLE_RATE_MAX, c->now_us))
		return protocol_error(c, "more than %d preambles a second",
				      CAMCAST_PREAMBLE_RATE_MAX);
	memcpy(way->preamble, preamble.data, preamble.len);
	way->preamble_len = preamble.len;
	way->preamble_announced = preamble.version;
	return 0;
}

struct rule {
	uint32_t type;
	const char *name;
	size_t size;
	bool may_carry_fd;
	int (*take)(struct check *c);
};

static const struct rule rules[] = {
	{CAMCAST_MSG_HELLO, "HELLO", sizeof(struct camcast_msg_hello), false, take_hello},
	{CAMCAST_MSG_HEARTBEAT, "HEARTBEAT", sizeof(struct camcast_msg_heartbeat), false,
	 take_heartbeat},
	{CAMCAST_MSG_STREAM, "STREAM", sizeof(struct camcast_msg_stream), false, take_stream},
	{CAMCAST_MSG_UNIT, "UNIT", sizeof(struct camcast_msg_unit), true, take_unit},
	{CAMCAST_MSG_SEGMENT, "SEGMENT", sizeof(struct camcast_msg_segment), true, take_segment},
	{CAMCAST_MSG_PREAMBLE, "PREAMBLE", sizeof(struct camcast_msg_preamble), false,
	 take_preamble},
};

/* Whether the message's fd is a memfd whose size stays. Everything else that camcastd does with a
 * foreign descriptor comes behind this check, because only of memory without a file system, a
 * device or a peer is it known that stat, mmap, sendfile, munmap and close never wait. The check
 * itself looks at the seals, which the kernel has at hand for memfds, and refuses for all other
 * files (fcntl(2), F_GET_SEALS). */
static int check_fd(struct check *c)
{
	int seals = fcntl(c->fd, F_GET_SEALS);

	/* Files on hugetlbfs and tmpfs have seals, but not these. */
	if (seals < 0)
		return protocol_error(c, "a segment that is not a memfd");
	if ((seals & (F_SEAL_SHRINK | F_SEAL_GROW)) != (F_SEAL_SHRINK | F_SEAL_GROW))
		return protocol_error(c, "a segment whose size is not sealed");
	return 0;
}

static int check_packet(struct check *c)
{
	const struct worker_packet *packet = c->packet;
	const struct rule *rule = NULL;
	uint32_t type;

	if (packet->oversize)
		return protocol_error(c, "a message longer than any type of message");
	if (packet->len < sizeof type)
		return protocol_error(c, "a message of %zu bytes", packet->len);
	memcpy(&type, packet->data, sizeof type);
	for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
		if (rules[i].type == type)
			rule = &rules[i];
	if (!rule)
		return protocol_error(c, "a message of unknown type %u", type);
	if (packet->len != rule->size)
		return protocol_error(c, "%s of %zu bytes instead of %zu", rule->name, packet->len,
				      rule->size);
	if (packet->n_fds > 1)
		return protocol_error(c, "%s with more than one fd", rule->name);
	if (!rule->may_carry_fd && (packet->n_fds > 0 || packet->truncated))
		return protocol_error(c, "%s with an fd", rule->name);
	if (packet->n_fds == 1 && packet->truncated)
		return protocol_error(c, "%s with more than one fd", rule->name);
	if (!c->messages->hello && type != CAMCAST_MSG_HELLO)
		return protocol_error(c, "%s before HELLO", rule->name);
	if (c->fd >= 0 && check_fd(c) < 0)
		return -EPROTO;
	return rule->take(c);
}

int worker_messages_take(struct worker_messages *messages, const struct worker_packet *packet,
			 int64_t now_us, struct worker_news *news, char why[WORKER_WHY_MAX])
{
	struct check c = {
		.messages = messages,
		.packet = packet,
		.fd = packet->n_fds > 0 ? packet->fds[0] : -1,
		.now_us = now_us,
		.news = news,
		.why = why,
	};
	int ret;

	memset(news, 0, sizeof *news);
	why[0] = '\0';
	ret = check_packet(&c);
	if (ret == 0 && c.fd >= 0) {
		close(c.fd); /* a memfd for which there was no use or no room */
		packet->fds[0] = -1;
	}
	return ret;
}

void worker_messages_sent(struct worker_messages *messages, const void *message, size_t len,
			  int64_t now_us)
{
	struct camcast_msg_get_segment get;
	uint32_t type;

	memcpy(&type, message, sizeof type);
	if (type == CAMCAST_MSG_GET_SEGMENT) {
		assert(len == sizeof get);
		memcpy(&get, message, sizeof get);
		messages->ways[get.feed].segments_due++;
		return;
	}
	begin_requests_period(&messages->requests, now_us);
	messages->requests.count++;
}

int worker_messages_create(struct worker_messages **out, const struct camera *camera)
{
	struct worker_messages *messages = calloc(1, sizeof *messages);

	if (!messages)
		return -ENOMEM;
	messages->camera = camera;
	messages->streams = calloc(camera->n_streams + 1, sizeof *messages->streams);
	messages->reports = calloc(camera->n_streams + 1, sizeof *messages->reports);
	messages->ways = calloc(camera->n_outputs + 1, sizeof *messages->ways);
	if (!messages->streams || !messages->reports || !messages->ways) {
		worker_messages_destroy(messages);
		return -ENOMEM;
	}
	worker_messages_reset(messages);
	*out = messages;
	return 0;
}

void worker_messages_destroy(struct worker_messages *messages)
{
	if (!messages)
		return;
	free(messages->ways);
	free(messages->reports);
	free(messages->streams);
	free(messages);
}

void worker_messages_reset(struct worker_messages *messages)
{
	const struct camera *camera = messages->camera;

	messages->hello = false;
	messages->sandbox[0] = '\0';
	messages->requests = (struct requests){0};
	messages->heartbeats = (struct allowance){0};
	memset(messages->reports, 0, camera->n_streams * sizeof *messages->reports);
	memset(&messages->heartbeat, 0, sizeof messages->heartbeat);
	memset(messages->ways, 0, camera->n_outputs * sizeof *messages->ways);
	memset(messages->streams, 0, camera->n_streams * sizeof *messages->streams);
	for (unsigned i = 0; i < camera->n_streams; i++)
		messages->streams[i].stream = i;
}

const struct camcast_msg_heartbeat *
worker_messages_heartbeat(const struct worker_messages *messages)
{
	return &messages->heartbeat;
}

const char *worker_messages_sandbox(const struct worker_messages *messages)
{
	return messages->sandbox;
}

const struct camcast_msg_stream *worker_messages_streams(const struct worker_messages *messages)
{
	return messages->streams;
}
