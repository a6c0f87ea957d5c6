/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/worker/closer.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_NS 100000000

struct batch {
	int pair;
	unsigned n;
	int fds[CLOSER_FDS_MAX];
};

/* The loop thread fills batches[given], the closer's thread empties batches[closed]; both count up
 * for ever. */
struct closer {
	atomic_uint users; /* 2: the loop thread and the closer's; acq_rel: the last one frees */
	pthread_t thread;
	sem_t wake, ended;
	atomic_uint given;  /* release: the batch is filled */
	atomic_uint closed; /* release: the batch may be filled again */
	struct batch batches[CLOSER_BATCHES_MAX];
};

/* Takes every message out of a pair that was shut down. Their descriptors are closed here, and not
 * by the last reference to the pair, which an operation of io_uring may hold. */
static void drain(int pair)
{
	struct msghdr msg = {0};
	ssize_t n;
	int on = 1;

	/* Each message has credentials then, and MSG_CTRUNC reports that there was no room for
	 * them: this tells an empty message from the end. */
	(void)setsockopt(pair, SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
	do {
		msg.msg_flags = 0;
		n = recvmsg(pair, &msg, MSG_DONTWAIT);
	} while (n > 0 || (n == 0 && (msg.msg_flags & (MSG_CTRUNC | MSG_TRUNC))) ||
		 (n < 0 && (errno == EINTR || errno == ECONNRESET)));
}

static void close_batch(const struct batch *batch)
{
	for (unsigned i = 0; i < batch->n; i++)
		close(batch->fds[i]);
	drain(batch->pair);
	close(batch->pair);
}

static void leave(struct closer *closer)
{
	if (atomic_fetch_sub_explicit(&closer->users, 1, memory_order_acq_rel) > 1)
		return;
	sem_destroy(&closer->wake);
	sem_destroy(&closer->ended);
	free(closer);
}

static void *run(void *user)
{
	struct closer *closer = user;
	unsigned next = 0;

	for (;;) {
		while (sem_wait(&closer->wake) < 0)
			;
		if (next == atomic_load_explicit(&closer->given, memory_order_acquire))
			break; /* woken without a batch: closer_destroy() */
		close_batch(&closer->batches[next % CLOSER_BATCHES_MAX]);
		atomic_store_explicit(&closer->closed, ++next, memory_order_release);
	}
	sem_post(&closer->ended);
	leave(closer);
	return NULL;
}

int closer_create(struct closer **out)
{
	struct closer *closer = calloc(1, sizeof *closer);
	int err;

	if (!closer)
		return -ENOMEM;
	atomic_init(&closer->users, 2);
	sem_init(&closer->wake, 0, 0);
	sem_init(&closer->ended, 0, 0);
	err = pthread_create(&closer->thread, NULL, run, closer);
	if (err) {
		sem_destroy(&closer->wake);
		sem_destroy(&closer->ended);
		free(closer);
		return -err;
	}
	*out = closer;
	return 0;
}

unsigned closer_pending(const struct closer *closer)
{
	return atomic_load_explicit(&closer->given, memory_order_relaxed) -
	       atomic_load_explicit(&closer->closed, memory_order_acquire);
}

void closer_give(struct closer *closer, int pair, const int *fds, unsigned n)
{
	unsigned given = atomic_load_explicit(&closer->given, memory_order_relaxed);
	struct batch *batch = &closer->batches[given % CLOSER_BATCHES_MAX];

	assert(closer_pending(closer) < CLOSER_BATCHES_MAX && n <= CLOSER_FDS_MAX);
	batch->pair = pair;
	batch->n = n;
	if (n > 0)
		memcpy(batch->fds, fds, n * sizeof *fds);
	atomic_store_explicit(&closer->given, given + 1, memory_order_release);
	sem_post(&closer->wake);
}

void closer_destroy(struct closer *closer)
{
	struct timespec until;
	int r;

	if (!closer)
		return;
	sem_post(&closer->wake);
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += PATIENCE_NS;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	do /* not pthread_clockjoin_np(), which ThreadSanitizer does not know */
		r = sem_clockwait(&closer->ended, CLOCK_MONOTONIC, &until);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		pthread_detach(closer->thread);
	else
		pthread_join(closer->thread, NULL);
	leave(closer);
}
