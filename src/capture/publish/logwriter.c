/* SPDX-License-Identifier: BSD-2-Clause */
#include "capture/publish/logwriter.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memfd.h"
#include "camcast/worker.h"
#include "capture/publish/link.h"

/* Half as often as is allowed, for camcastd counts over two seconds. */
#define PREAMBLE_STEP_US (2 * 1000000 / CAMCAST_PREAMBLE_RATE_MAX)

struct logwriter {
	int pair;
	unsigned feed;
	uint32_t segment_size; /* bytes, whole pages */

	pthread_mutex_t lock; /* guards fd and id against logwriter_resend_segment() */
	int fd;		      /* the newest segment, -1 before the first */
	uint32_t id;

	uint32_t size;	    /* of the newest segment */
	uint32_t used;	    /* bytes of it published */
	bool fd_sent;	    /* camcastd has it */
	uint32_t gop_bytes; /* published since the last key unit, itself included */
	bool needs_key;
	uint32_t preamble; /* the version that was announced last, and its bytes */
	size_t preamble_len;
	uint8_t *preamble_data;	  /* NULL before the first one */
	int64_t next_preamble_us; /* not before */
	struct logwriter_stats stats;
};

int logwriter_create(struct logwriter **out, int pair, unsigned feed, uint32_t segment_size)
{
	struct logwriter *writer;

	if (segment_size == 0 || segment_size > CAMCAST_SEGMENT_MAX)
		return -EINVAL;
	writer = calloc(1, sizeof(*writer));
	if (!writer)
		return -ENOMEM;
	writer->pair = pair;
	writer->feed = feed;
	writer->segment_size = memfd_round_size(segment_size);
	writer->fd = -1;
	writer->needs_key = true;
	pthread_mutex_init(&writer->lock, NULL);
	*out = writer;
	return 0;
}

/* F_SEAL_WRITE would wait for pages that sockets still hold. F_SEAL_FUTURE_WRITE takes effect at
 * once, and is enough because there is no writable mapping. Linux before 5.1 does not have it; then
 * the segment is not sealed against writes. */
static void close_segment(struct logwriter *writer)
{
	if (writer->fd < 0)
		return;
	(void)fcntl(writer->fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE);
	close(writer->fd);
	writer->fd = -1;
}

void logwriter_destroy(struct logwriter *writer)
{
	if (!writer)
		return;
	close_segment(writer);
	free(writer->preamble_data);
	pthread_mutex_destroy(&writer->lock);
	free(writer);
}

static int next_segment(struct logwriter *writer, uint32_t unit_len)
{
	uint32_t size = writer->segment_size;
	int fd;

	if (size < unit_len)
		size = memfd_round_size(unit_len);
	fd = memfd_create_fixed("camcast-log", size);
	if (fd < 0)
		return fd;
	pthread_mutex_lock(&writer->lock);
	close_segment(writer);
	writer->fd = fd;
	writer->id++;
	pthread_mutex_unlock(&writer->lock);
	writer->size = size;
	writer->used = 0;
	writer->fd_sent = false;
	writer->stats.segments++;
	return 0;
}

/* The GOP that a key unit begins is expected to be at most a quarter larger than the last one. */
static bool segment_is_full(const struct logwriter *writer, uint32_t len, bool key)
{
	uint32_t left = writer->size - writer->used;

	if (writer->fd < 0 || len > left)
		return true;
	return key && writer->used > 0 &&
	       (uint64_t)writer->gop_bytes + writer->gop_bytes / 4 > left;
}

/* Writes all of iov after the published bytes. The next write overwrites the bytes of an unfinished
 * one, which were never published. */
static int write_unit(struct logwriter *writer, const struct iovec *iov, int iovcnt)
{
	off_t at = writer->used;
	struct iovec rest;

	while (iovcnt > 0) {
		ssize_t n = pwritev(writer->fd, iov, iovcnt < IOV_MAX ? iovcnt : IOV_MAX, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -ENOSPC;
		at += n;
		for (; iovcnt > 0 && (size_t)n >= iov->iov_len; iov++, iovcnt--)
			n -= (ssize_t)iov->iov_len;
		/* The write ended inside an element (a lack of memory, or a signal): write the rest
		 * of this element, then continue. */
		while (n > 0 && iovcnt > 0) {
			ssize_t m;

			rest.iov_base = (char *)iov->iov_base + n;
			rest.iov_len = iov->iov_len - (size_t)n;
			m = pwritev(writer->fd, &rest, 1, at);
			if (m < 0 && errno == EINTR)
				continue;
			if (m <= 0)
				return m < 0 ? -errno : -ENOSPC;
			at += m;
			n += m;
			if ((size_t)n == iov->iov_len) {
				iov++;
				iovcnt--;
				n = 0;
			}
		}
	}
	return 0;
}

static int publish(struct logwriter *writer, uint32_t len, const struct logwriter_unit *unit)
{
	struct camcast_msg_unit message = {
		.type = CAMCAST_MSG_UNIT,
		.feed = writer->feed,
		.segment = writer->id,
		.offset = writer->used,
		.len = len,
		.flags = unit->flags | (writer->fd_sent ? 0 : CAMCAST_UNIT_SEGMENT),
		.preamble = writer->preamble,
		.duration_us = unit->duration_us,
		.pts_us = unit->pts_us,
	};

	return link_send(writer->pair, &message, sizeof(message),
			 writer->fd_sent ? -1 : writer->fd);
}

/* Announces the preamble of a key unit, if it is another one than before. */
static int announce(struct logwriter *writer, const struct logwriter_unit *unit)
{
	struct camcast_msg_preamble message;
	int64_t now_us;
	int r;

	if (unit->preamble_len == writer->preamble_len &&
	    (unit->preamble_len == 0 ||
	     memcmp(unit->preamble, writer->preamble_data, unit->preamble_len) == 0))
		return 0;
	if (unit->preamble_len < 1 || unit->preamble_len > CAMCAST_PREAMBLE_MAX)
		return -EMSGSIZE;
	now_us = clock_now_us();
	if (now_us < writer->next_preamble_us)
		return -EAGAIN;
	if (!writer->preamble_data)
		writer->preamble_data = malloc(CAMCAST_PREAMBLE_MAX);
	if (!writer->preamble_data)
		return -ENOMEM;
	message = (struct camcast_msg_preamble){
		.type = CAMCAST_MSG_PREAMBLE,
		.feed = writer->feed,
		.version = writer->preamble + 1,
		.len = (uint32_t)unit->preamble_len,
	};
	memcpy(message.data, unit->preamble, unit->preamble_len);
	r = link_send(writer->pair, &message, sizeof(message), -1);
	if (r < 0)
		return r;
	memcpy(writer->preamble_data, unit->preamble, unit->preamble_len);
	writer->preamble_len = unit->preamble_len;
	writer->preamble = message.version;
	writer->next_preamble_us = now_us + PREAMBLE_STEP_US;
	return 0;
}

static int append(struct logwriter *writer, const struct iovec *iov, int iovcnt, uint32_t len,
		  const struct logwriter_unit *unit)
{
	bool key = unit->flags & CAMCAST_UNIT_KEY;
	int r;

	if (writer->needs_key && !key)
		return -EAGAIN;
	r = key ? announce(writer, unit) : 0;
	if (r < 0)
		return r;
	if (segment_is_full(writer, len, key)) {
		r = next_segment(writer, len);
		if (r < 0)
			return r;
	}
	r = write_unit(writer, iov, iovcnt);
	if (r < 0)
		return r;
	r = publish(writer, len, unit);
	if (r < 0)
		return r;
	if (key)
		writer->gop_bytes = 0;
	writer->gop_bytes += len;
	writer->used += len;
	writer->fd_sent = true;
	writer->needs_key = false;
	writer->stats.units++;
	writer->stats.bytes += len;
	return 0;
}

int logwriter_append(struct logwriter *writer, const struct iovec *iov, int iovcnt,
		     const struct logwriter_unit *unit)
{
	uint64_t len = 0;
	int r;

	for (int i = 0; i < iovcnt; i++)
		len += iov[i].iov_len;
	if (len == 0 || len > CAMCAST_UNIT_MAX)
		r = -EMSGSIZE;
	else
		r = append(writer, iov, iovcnt, (uint32_t)len, unit);
	if (r == 0)
		return 0;
	writer->needs_key = true;
	writer->stats.dropped++;
	if (r != -EAGAIN && r != -EPIPE && r != -EMSGSIZE)
		writer->stats.no_space++;
	return r;
}

void logwriter_gap(struct logwriter *writer)
{
	writer->needs_key = true;
}

bool logwriter_needs_key(const struct logwriter *writer)
{
	return writer->needs_key;
}

void logwriter_resend_segment(struct logwriter *writer, uint32_t id)
{
	struct camcast_msg_segment message = {
		.type = CAMCAST_MSG_SEGMENT,
		.feed = writer->feed,
		.segment = id,
	};

	pthread_mutex_lock(&writer->lock);
	/* If the pair is full, camcastd asks again or waits for the next segment. */
	if (writer->fd >= 0 && writer->id == id)
		(void)link_send(writer->pair, &message, sizeof(message), writer->fd);
	pthread_mutex_unlock(&writer->lock);
}

const struct logwriter_stats *logwriter_stats(const struct logwriter *writer)
{
	return &writer->stats;
}
