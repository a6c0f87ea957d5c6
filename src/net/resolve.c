/* SPDX-License-Identifier: BSD-2-Clause */
#include "net/resolve.h"

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Belongs to both threads; the last one to let go of it frees it. */
struct resolve {
	atomic_uint holders;  /* acquire and release, between the two */
	int done;	      /* eventfd: written once the fields below are final */
	atomic_bool answered; /* release by the thread, acquire by the owner; the same */
	int error;	      /* of getaddrinfo() */
	struct resolve_list list;
	char host[];
};

static atomic_uint running; /* threads; a count by itself, so that relaxed is enough */

bool resolve_is_running(void)
{
	return atomic_load_explicit(&running, memory_order_relaxed) > 0;
}

static void release(struct resolve *resolve)
{
	if (atomic_fetch_sub_explicit(&resolve->holders, 1, memory_order_acq_rel) > 1)
		return;
	close(resolve->done);
	free(resolve);
}

/* Returns getaddrinfo()'s error. */
static int look_up(struct resolve_list *list, const char *host, int flags)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = flags};
	struct addrinfo *found;
	int error = getaddrinfo(host, NULL, &hints, &found);

	list->n = 0;
	if (error != 0)
		return error;
	for (const struct addrinfo *one = found; one && list->n < RESOLVE_MAX; one = one->ai_next)
		if (getnameinfo(one->ai_addr, one->ai_addrlen, list->text[list->n],
				RESOLVE_TEXT_MAX, NULL, 0, NI_NUMERICHOST) == 0)
			list->n++;
	freeaddrinfo(found);
	return list->n > 0 ? 0 : EAI_NONAME;
}

bool resolve_address(struct resolve_list *list, const char *host)
{
	return look_up(list, host, AI_NUMERICHOST) == 0;
}

static void *run(void *user)
{
	struct resolve *resolve = user;
	uint64_t one = 1;

	pthread_setname_np(pthread_self(), "resolver");
	resolve->error = look_up(&resolve->list, resolve->host, 0);
	atomic_store_explicit(&resolve->answered, true, memory_order_release);
	(void)!write(resolve->done, &one, sizeof one);
	release(resolve);
	atomic_fetch_sub_explicit(&running, 1, memory_order_relaxed);
	return NULL;
}

static int start_thread(struct resolve *resolve)
{
	pthread_attr_t attributes;
	sigset_t all, old;
	pthread_t thread;
	int err;

	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	sigfillset(&all); /* signals are for the threads that were there before */
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = -pthread_create(&thread, &attributes, run, resolve);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attributes);
	return err;
}

int resolve_start(struct resolve **out, const char *host)
{
	size_t size = strlen(host) + 1;
	struct resolve *resolve = calloc(1, sizeof *resolve + size);
	int err;

	if (!resolve)
		return -ENOMEM;
	memcpy(resolve->host, host, size);
	resolve->done = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (resolve->done < 0) {
		err = -errno;
		free(resolve);
		return err;
	}
	atomic_init(&resolve->holders, 2);
	atomic_fetch_add_explicit(&running, 1, memory_order_relaxed);
	err = start_thread(resolve);
	if (err < 0) {
		atomic_fetch_sub_explicit(&running, 1, memory_order_relaxed);
		close(resolve->done);
		free(resolve);
		return err;
	}
	*out = resolve;
	return 0;
}

int resolve_fd(const struct resolve *resolve)
{
	return resolve->done;
}

int resolve_take(struct resolve *resolve, struct resolve_list *list, const char **why)
{
	if (!atomic_load_explicit(&resolve->answered, memory_order_acquire))
		return -EAGAIN;
	if (resolve->error != 0) {
		*why = gai_strerror(resolve->error);
		return -EADDRNOTAVAIL;
	}
	*list = resolve->list;
	return 0;
}

void resolve_destroy(struct resolve *resolve)
{
	if (resolve)
		release(resolve);
}
