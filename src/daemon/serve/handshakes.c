/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/serve/handshakes.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/diag.h"
#include "daemon/serve/tls_context.h"
#include "net/address.h"

#define NICENESS 5 /* more than the loop has */
#define EVENTS 64
#define BEGUN_PER_TURN 4
#define READY_PER_TURN 16 /* of the pipe to the loop */
#define IN_FLIGHT_MAX (2u * HANDSHAKES_MAX)
#define LOG_PERIOD_US 60000000

/* What crosses: a peer to the thread (tls NULL), and back. */
struct parcel {
	int fd; /* -1: stop */
	struct endpoint *endpoint;
	struct tls *tls;
	enum config_tls_mode mode; /* of the endpoint when the peer came */
};

enum stage {
	FREE,	 /* the place */
	SILENT,	 /* has said nothing yet */
	WAITING, /* may not begin yet: there are too many in this second */
	SHAKING,
};

struct peer {
	enum stage stage;
	int fd;
	struct endpoint *endpoint;
	struct tls *tls;
	enum config_tls_mode mode;
	uint64_t host[2]; /* net_peer_host_key() */
	uint64_t order;	  /* of its coming */
	int64_t since_us;
};

struct handshakes {
	struct loop *loop;
	handshakes_ready *ready;
	void *user;
	pthread_t thread;
	int to_thread[2], to_loop[2]; /* pipes of parcels */
	struct loop_watch watch;
	atomic_uint in_flight; /* relaxed: parcels and peers; the pipes hold more */
	struct handshakes_stats stats;
	/* The context that takes over; NULL: none. Put in by the loop, release; taken out by the
	 * thread, acquire. */
	_Atomic(struct tls_context *) next;
	atomic_llong expires; /* relaxed: a figure for the status */

	/* --- the thread's --- */
	struct tls_context *context; /* created elsewhere */
	int epoll;
	struct peer peers[HANDSHAKES_MAX];
	uint64_t n_came;
	double may_begin; /* handshakes */
	int64_t filled_us;
	bool stopping;
	struct diag_limit plain_log, fault_log;
};

static void count(atomic_ullong *counter)
{
	atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

static void leave_flight(struct handshakes *handshakes, struct endpoint *endpoint)
{
	atomic_fetch_sub_explicit(&endpoint->shaking, 1, memory_order_release);
	atomic_fetch_sub_explicit(&handshakes->in_flight, 1, memory_order_relaxed);
}

/* --- a peer; on the thread --- */

static void forget(struct handshakes *handshakes, struct peer *peer)
{
	(void)epoll_ctl(handshakes->epoll, EPOLL_CTL_DEL, peer->fd, NULL);
	peer->stage = FREE;
	peer->tls = NULL;
}

static void drop(struct handshakes *handshakes, struct peer *peer, atomic_ullong *counter)
{
	if (counter)
		count(counter);
	if (peer->tls)
		tls_close(peer->tls);
	free(peer->tls);
	forget(handshakes, peer);
	close(peer->fd);
	leave_flight(handshakes, peer->endpoint);
}

static void close_parcel(const struct parcel *parcel)
{
	if (parcel->tls)
		tls_close(parcel->tls);
	free(parcel->tls);
	if (parcel->fd >= 0)
		close(parcel->fd);
}

/* The pipe has room for all that are in flight. Once the parcel is in it, the descriptor is the
 * loop's. */
static void give_back(struct handshakes *handshakes, struct peer *peer)
{
	struct parcel parcel = {.fd = peer->fd, .endpoint = peer->endpoint, .tls = peer->tls};

	if (parcel.tls)
		count(&handshakes->stats.done);
	if (parcel.tls && tls_in_kernel(parcel.tls))
		count(&handshakes->stats.kernel);
	forget(handshakes, peer);
	if (write(handshakes->to_loop[1], &parcel, sizeof parcel) == sizeof parcel)
		return;
	close_parcel(&parcel);
	leave_flight(handshakes, parcel.endpoint);
}

static void watch_for(struct handshakes *handshakes, struct peer *peer, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = peer};

	if (epoll_ctl(handshakes->epoll, EPOLL_CTL_MOD, peer->fd, &event) < 0)
		drop(handshakes, peer, &handshakes->stats.failed);
}

static void refuse_plain(struct handshakes *handshakes, struct peer *peer)
{
	const struct endpoint *endpoint = peer->endpoint;
	const char *text = endpoint->protocol->needs_tls;
	char address[NET_PEER_TEXT_MAX];
	struct net_peer from;
	uint64_t suppressed;

	if (text)
		(void)!send(peer->fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL);
	/* What it said is read, so that its end is no reset, which would discard the text. */
	(void)!recv(peer->fd, (char[4096]){0}, 4096, MSG_DONTWAIT);
	if (diag_allowed(&handshakes->plain_log, clock_now_us(), LOG_PERIOD_US, &suppressed)) {
		(void)net_peer_from_fd(&from, peer->fd);
		net_peer_format(&from, address);
		diag_info("%s: client %s speaks without TLS, which this port needs (%llu others "
			  "since the last such line)",
			  endpoint->quota->name, address, (unsigned long long)suppressed);
	}
	drop(handshakes, peer, &handshakes->stats.plain);
}

/* A person who set up a viewer wants to know why its certificate is refused. */
static void log_fault(struct handshakes *handshakes, const struct peer *peer)
{
	const char *fault = tls_client_fault(peer->tls);
	char address[NET_PEER_TEXT_MAX];
	struct net_peer from;
	uint64_t suppressed;

	if (!fault ||
	    !diag_allowed(&handshakes->fault_log, clock_now_us(), LOG_PERIOD_US, &suppressed))
		return;
	(void)net_peer_from_fd(&from, peer->fd);
	net_peer_format(&from, address);
	diag_info("%s: the certificate of client %s is refused: %s (%llu others since the last "
		  "such line)",
		  peer->endpoint->quota->name, address, fault, (unsigned long long)suppressed);
}

static void shake(struct handshakes *handshakes, struct peer *peer)
{
	bool wants_room;

	switch (tls_shake(peer->tls, &wants_room)) {
	case 0:
		give_back(handshakes, peer);
		break;
	case -EAGAIN:
		watch_for(handshakes, peer, wants_room ? EPOLLOUT : EPOLLIN);
		break;
	default:
		log_fault(handshakes, peer);
		drop(handshakes, peer, &handshakes->stats.failed);
		break;
	}
}

static void renew_context(struct handshakes *handshakes)
{
	struct tls_context *next =
		atomic_exchange_explicit(&handshakes->next, NULL, memory_order_acq_rel);

	if (next) {
		tls_context_destroy(handshakes->context);
		handshakes->context = next;
	}
	if (tls_context_refresh(handshakes->context, clock_now_us()))
		atomic_store_explicit(&handshakes->expires,
				      tls_context_expires(handshakes->context),
				      memory_order_relaxed);
}

static void begin(struct handshakes *handshakes, struct peer *peer)
{
	handshakes->may_begin--;
	renew_context(handshakes);
	peer->stage = SHAKING;
	peer->tls = malloc(sizeof *peer->tls);
	if (!peer->tls || tls_open(peer->tls, handshakes->context, peer->fd) < 0)
		drop(handshakes, peer, &handshakes->stats.failed);
	else
		shake(handshakes, peer);
}

/* The first byte is there, or the end; or nothing, where the event was of the peer that had the
 * place before. */
static void hear(struct handshakes *handshakes, struct peer *peer)
{
	uint8_t byte;
	ssize_t n = recv(peer->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n == 1 && byte == TLS_FIRST_BYTE) {
		peer->stage = WAITING; /* run_waiting() follows */
		watch_for(handshakes, peer, 0);
	} else if (n >= 0 && peer->mode == CONFIG_TLS_AUTO) {
		give_back(handshakes, peer);
	} else if (n > 0) {
		refuse_plain(handshakes, peer);
	} else {
		drop(handshakes, peer, &handshakes->stats.failed);
	}
}

/* --- places; on the thread --- */

static bool is_same_host(const struct peer *a, const uint64_t host[2])
{
	return a->stage != FREE && a->host[0] == host[0] && a->host[1] == host[1];
}

static unsigned count_host(const struct handshakes *handshakes, const uint64_t host[2])
{
	unsigned n = 0;

	for (unsigned i = 0; i < HANDSHAKES_MAX; i++)
		n += is_same_host(&handshakes->peers[i], host);
	return n;
}

/* A free place, which may have to be made. */
static struct peer *find_place(struct handshakes *handshakes)
{
	struct peer *victim = NULL;
	unsigned most = 0;

	for (unsigned i = 0; i < HANDSHAKES_MAX; i++)
		if (handshakes->peers[i].stage == FREE)
			return &handshakes->peers[i];
	for (unsigned i = 0; i < HANDSHAKES_MAX; i++) {
		struct peer *peer = &handshakes->peers[i];
		unsigned n = count_host(handshakes, peer->host);

		if (n > most || (n == most && peer->order < victim->order)) {
			victim = peer;
			most = n;
		}
	}
	drop(handshakes, victim, &handshakes->stats.displaced);
	return victim;
}

static void take(struct handshakes *handshakes, const struct parcel *parcel)
{
	struct epoll_event event = {.events = EPOLLIN};
	struct net_peer address;
	struct peer *peer;

	if (net_peer_from_fd(&address, parcel->fd) < 0) {
		close(parcel->fd); /* already gone */
		leave_flight(handshakes, parcel->endpoint);
		return;
	}
	peer = find_place(handshakes);
	*peer = (struct peer){
		.stage = SILENT,
		.fd = parcel->fd,
		.endpoint = parcel->endpoint,
		.mode = parcel->mode,
		.order = handshakes->n_came++,
		.since_us = clock_now_us(),
	};
	net_peer_host_key(&address, peer->host);
	event.data.ptr = peer;
	if (epoll_ctl(handshakes->epoll, EPOLL_CTL_ADD, peer->fd, &event) < 0)
		drop(handshakes, peer, &handshakes->stats.failed);
}

/* Behind each step of a handshake, which may be slow: who waits in the pipe has no place yet, and
 * make_room() knows nothing of addresses. */
static void take_parcels(struct handshakes *handshakes)
{
	struct parcel parcel;

	for (unsigned n = 0; n < IN_FLIGHT_MAX; n++) {
		if (read(handshakes->to_thread[0], &parcel, sizeof parcel) != sizeof parcel)
			return;
		if (parcel.fd < 0) {
			handshakes->stopping = true;
			return;
		}
		take(handshakes, &parcel);
	}
}

/* --- events; on the thread --- */

static void handle_event(struct handshakes *handshakes, struct peer *peer, uint32_t events)
{
	switch (peer->stage) {
	case FREE: /* dropped by an earlier event */
		break;
	case SILENT:
		hear(handshakes, peer);
		break;
	case WAITING:
		if (events & (EPOLLHUP | EPOLLERR))
			drop(handshakes, peer, &handshakes->stats.failed);
		break;
	case SHAKING:
		shake(handshakes, peer);
		take_parcels(handshakes);
		break;
	}
}

/* --- time; on the thread --- */

/* Until when a peer may stay as it is. */
static int64_t limit_us(const struct peer *peer)
{
	bool plain = peer->stage == SILENT && peer->mode == CONFIG_TLS_AUTO &&
		     peer->endpoint->protocol->silent_peers;

	return peer->since_us + (plain ? HANDSHAKE_SILENCE_US : HANDSHAKE_US);
}

static void handle_limit(struct handshakes *handshakes, struct peer *peer)
{
	if (peer->since_us + HANDSHAKE_US > limit_us(peer))
		give_back(handshakes, peer);
	else
		drop(handshakes, peer, &handshakes->stats.slow);
}

static void run_limits(struct handshakes *handshakes, int64_t now_us)
{
	for (unsigned i = 0; i < HANDSHAKES_MAX; i++) {
		struct peer *peer = &handshakes->peers[i];

		if (peer->stage != FREE && now_us >= limit_us(peer))
			handle_limit(handshakes, peer);
	}
}

static struct peer *first_waiting(struct handshakes *handshakes)
{
	struct peer *first = NULL;

	for (unsigned i = 0; i < HANDSHAKES_MAX; i++) {
		struct peer *peer = &handshakes->peers[i];

		if (peer->stage == WAITING && (!first || peer->order < first->order))
			first = peer;
	}
	return first;
}

static void run_waiting(struct handshakes *handshakes, int64_t now_us)
{
	struct peer *peer;

	handshakes->may_begin +=
		(double)(now_us - handshakes->filled_us) * HANDSHAKES_PER_S / 1000000;
	handshakes->filled_us = now_us;
	if (handshakes->may_begin > HANDSHAKES_BURST)
		handshakes->may_begin = HANDSHAKES_BURST;
	for (unsigned n = 0; n < BEGUN_PER_TURN && handshakes->may_begin >= 1; n++) {
		peer = first_waiting(handshakes);
		if (!peer)
			break;
		begin(handshakes, peer);
		take_parcels(handshakes);
	}
}

/* For epoll_wait(). */
static int time_left_ms(struct handshakes *handshakes)
{
	int64_t now_us = clock_now_us(), left_us = INT64_MAX;

	for (unsigned i = 0; i < HANDSHAKES_MAX; i++) {
		const struct peer *peer = &handshakes->peers[i];

		if (peer->stage != FREE && limit_us(peer) - now_us < left_us)
			left_us = limit_us(peer) - now_us;
		if (peer->stage == WAITING)
			return handshakes->may_begin >= 1 ? 0 : 1000 / HANDSHAKES_PER_S;
	}
	if (left_us == INT64_MAX)
		return -1;
	return left_us < 0 ? 0 : (int)(left_us / 1000) + 1;
}

static void *run(void *user)
{
	struct handshakes *handshakes = user;
	struct epoll_event events[EVENTS];

	/* Of this thread alone (setpriority(2), NOTES). */
	(void)setpriority(PRIO_PROCESS, (id_t)gettid(), getpriority(PRIO_PROCESS, 0) + NICENESS);
	while (!handshakes->stopping) {
		int n = epoll_wait(handshakes->epoll, events, EVENTS, time_left_ms(handshakes));

		for (int i = 0; i < n; i++) {
			if (events[i].data.ptr)
				handle_event(handshakes, events[i].data.ptr, events[i].events);
		}
		take_parcels(handshakes);
		run_limits(handshakes, clock_now_us());
		run_waiting(handshakes, clock_now_us());
	}
	for (unsigned i = 0; i < HANDSHAKES_MAX; i++)
		if (handshakes->peers[i].stage != FREE)
			drop(handshakes, &handshakes->peers[i], NULL);
	return NULL;
}

/* --- on the loop's side --- */

static void handle_parcels(struct loop_watch *watch, uint32_t events)
{
	struct handshakes *handshakes = container_of(watch, struct handshakes, watch);
	struct parcel parcel;

	(void)events;
	for (unsigned n = 0; n < READY_PER_TURN; n++) {
		if (read(watch->fd, &parcel, sizeof parcel) != sizeof parcel)
			return;
		leave_flight(handshakes, parcel.endpoint);
		handshakes->ready(handshakes->user, parcel.endpoint, parcel.fd, parcel.tls);
		parcel.fd = -1;
		close_parcel(&parcel);
	}
}

/* The thread does not keep up: the peer that has waited longest for it makes room. False: there is
 * none. */
static bool make_room(struct handshakes *handshakes)
{
	struct parcel oldest;

	if (read(handshakes->to_thread[0], &oldest, sizeof oldest) != sizeof oldest)
		return false;
	count(&handshakes->stats.displaced);
	close_parcel(&oldest);
	leave_flight(handshakes, oldest.endpoint);
	return true;
}

void handshakes_take(struct handshakes *handshakes, struct endpoint *endpoint, int fd)
{
	struct parcel parcel = {.fd = fd, .endpoint = endpoint, .mode = endpoint->tls};

	if (atomic_load_explicit(&handshakes->in_flight, memory_order_relaxed) >= IN_FLIGHT_MAX &&
	    !make_room(handshakes)) {
		count(&handshakes->stats.displaced);
		close(fd);
		return;
	}
	atomic_fetch_add_explicit(&handshakes->in_flight, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&endpoint->shaking, 1, memory_order_relaxed);
	if (write(handshakes->to_thread[1], &parcel, sizeof parcel) != sizeof parcel) {
		leave_flight(handshakes, endpoint);
		close(fd);
	}
}

const struct handshakes_stats *handshakes_stats(const struct handshakes *handshakes)
{
	return &handshakes->stats;
}

int64_t handshakes_certificate_expires(const struct handshakes *handshakes)
{
	return atomic_load_explicit(&handshakes->expires, memory_order_relaxed);
}

void handshakes_exchange(struct handshakes *handshakes, struct tls_context *context)
{
	atomic_store_explicit(&handshakes->expires, tls_context_expires(context),
			      memory_order_relaxed);
	tls_context_destroy(
		atomic_exchange_explicit(&handshakes->next, context, memory_order_acq_rel));
}

/* --- life --- */

static void close_pipe(int pipe[2])
{
	struct parcel parcel;

	if (pipe[0] < 0)
		return;
	while (read(pipe[0], &parcel, sizeof parcel) == sizeof parcel)
		close_parcel(&parcel);
	close(pipe[0]);
	close(pipe[1]);
}

static int open_descriptors(struct handshakes *handshakes)
{
	struct epoll_event event = {.events = EPOLLIN}; /* data.ptr NULL: the pipe */

	handshakes->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (handshakes->epoll < 0 || pipe2(handshakes->to_thread, O_CLOEXEC | O_NONBLOCK) < 0 ||
	    pipe2(handshakes->to_loop, O_CLOEXEC | O_NONBLOCK) < 0 ||
	    epoll_ctl(handshakes->epoll, EPOLL_CTL_ADD, handshakes->to_thread[0], &event) < 0)
		return -errno;
	return 0;
}

static void close_descriptors(struct handshakes *handshakes)
{
	close_pipe(handshakes->to_thread);
	close_pipe(handshakes->to_loop);
	if (handshakes->epoll >= 0)
		close(handshakes->epoll);
}

int handshakes_create(struct handshakes **out, struct loop *loop, struct tls_context *context,
		      handshakes_ready *ready, void *user)
{
	struct handshakes *handshakes = calloc(1, sizeof *handshakes);
	int err;

	if (!handshakes)
		return -ENOMEM;
	handshakes->loop = loop;
	handshakes->context = context;
	atomic_init(&handshakes->expires, tls_context_expires(context));
	handshakes->ready = ready;
	handshakes->user = user;
	handshakes->may_begin = HANDSHAKES_BURST;
	handshakes->filled_us = clock_now_us();
	handshakes->epoll = -1;
	handshakes->to_thread[0] = handshakes->to_loop[0] = -1;
	err = open_descriptors(handshakes);
	if (err < 0)
		goto fail_close;
	handshakes->watch.fd = handshakes->to_loop[0];
	handshakes->watch.events = EPOLLIN;
	handshakes->watch.ready = handle_parcels;
	err = loop_watch_add(loop, &handshakes->watch);
	if (err < 0)
		goto fail_close;
	err = -pthread_create(&handshakes->thread, NULL, run, handshakes);
	if (err < 0)
		goto fail_watch;
	*out = handshakes;
	return 0;

fail_watch:
	loop_watch_remove(loop, &handshakes->watch);
fail_close:
	close_descriptors(handshakes);
	free(handshakes);
	return err;
}

void handshakes_destroy(struct handshakes *handshakes)
{
	const struct parcel stop = {.fd = -1};

	if (!handshakes)
		return;
	/* The thread reads on, so that there is room. */
	while (write(handshakes->to_thread[1], &stop, sizeof stop) < 0)
		sched_yield();
	pthread_join(handshakes->thread, NULL);
	loop_watch_remove(handshakes->loop, &handshakes->watch);
	close_descriptors(handshakes);
	tls_context_destroy(atomic_load(&handshakes->next));
	tls_context_destroy(handshakes->context);
	free(handshakes);
}
