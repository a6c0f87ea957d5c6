/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The packets of a feed to one address, of a viewer (udp.h) or of a group (multicast.h): a cursor
 * whose sink is a connected socket. Loop thread only.
 *
 * A unit is one system call, in messages that the kernel or the device cuts into datagrams
 * (datagrams.h); where it cannot, each packet is a message. Receivers lose what comes at once and
 * is more than their buffer holds: the cursor begins with the next key unit, and pictures of more
 * than DATAGRAMS_MAX packets are sent in pieces, 2 ms apart.
 */
#ifndef DAEMON_RTSP_SENDER_H
#define DAEMON_RTSP_SENDER_H

#include "daemon/log/feed.h"
#include "daemon/rtsp/datagrams.h"

struct rtcp_report;
struct sender;

struct sender_ops {
	const char *scheme; /* as of struct sink */
	/* A unit is about to begin with these packets, of which there is at least one; it may be
	 * called again for the same unit. It may close the sender. NULL: nobody needs to know. */
	void (*begins)(struct sender *sender, const struct datagrams *datagrams);
	/* Packets of it were sent. NULL: nobody needs to know. */
	void (*sent)(struct sender *sender);
	/* What was sent was refused, or there is no way (-errno). That is no reason to end at
	 * once. */
	void (*refused)(struct sender *sender, int err);
	/* The policy wants it to be closed, by sender_close(). at_once: as of struct sink. */
	void (*ended)(struct sender *sender, bool at_once);
	/* As of struct sink; `group` may be NULL. */
	void (*describe)(const struct sender *sender, char text[SINK_TEXT_MAX]);
	bool (*report)(const struct sender *sender, struct sink_report *out);
	bool (*group)(const struct sender *sender, struct sink_group *out);
	/* Follows sender_close(), from the loop: its memory may be freed. */
	void (*closed)(struct sender *sender);
};

/* The order is such that a unit needs three cache lines, if it is aligned to one. The caller sets
 * what is marked as borrowed. */
struct sender {
	const struct sender_ops *ops; /* borrowed */
	struct loop *loop;	      /* borrowed */
	struct datagrams *datagrams;  /* borrowed: scratch, which may be shared */
	int64_t next_us;	      /* when the next packets may go */
	uint64_t packets;	      /* sent */
	/* Valid while `pace` is set: the send that waits. */
	const struct pages *pages;
	uint32_t offset, len;
	bool whole; /* packets are not to be cut by the kernel */
	struct loop_conn conn;
	struct cursor cursor; /* audience NULL: it watches nothing yet */
	struct loop_timer pace;
	int rtcp; /* borrowed: the socket of sender reports, and where they go */
	const struct sockaddr *rtcp_to;
	socklen_t rtcp_len;
};

/* What comes to a socket is not read: the kernel is to keep little of it. */
void sender_ignore_input(int fd);
/* What a receiver reports, in the units of the status. */
struct sink_report sender_report(const struct rtcp_report *report);

/* Takes fd (connected, non-blocking) on success. 0 or -errno. */
int sender_open(struct sender *sender, int fd);
/* Watches a feed from the next key unit on; once. had: as of cursor_join(). 0 or -ESHUTDOWN. */
int sender_watch(struct sender *sender, struct feed *feed, uint64_t had);
/* After sender_open(). Nothing but closed() is called any more. */
void sender_close(struct sender *sender);

#endif
