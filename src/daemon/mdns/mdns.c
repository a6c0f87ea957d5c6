/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/mdns/mdns.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/diag.h"

#define NICENESS 5 /* it makes room for the video */

struct mdns {
	pthread_t thread;
	int wake;				  /* eventfd: the loop writes */
	atomic_bool stop;			  /* set by the loop, before it writes */
	_Atomic(struct mdns_services *) services; /* put in by the loop; release, acquire */
	_Atomic(struct mdns_status *) status;	  /* put in by the thread; the same */
	struct mdns_status *newest;		  /* that the loop took out */
};

/* --- the thread --- */

static void post_status(struct mdns *mdns, struct avahi *avahi)
{
	struct mdns_status *copy;

	if (!avahi_changed(avahi))
		return;
	copy = malloc(sizeof *copy);
	if (!copy)
		return;
	*copy = *avahi_status(avahi);
	free(atomic_exchange_explicit(&mdns->status, copy, memory_order_acq_rel));
}

static void take_services(struct mdns *mdns, struct avahi *avahi)
{
	struct mdns_services *services =
		atomic_exchange_explicit(&mdns->services, NULL, memory_order_acq_rel);

	if (services)
		avahi_publish(avahi, services);
}

static void run(struct mdns *mdns, struct avahi *avahi)
{
	while (!atomic_load_explicit(&mdns->stop, memory_order_acquire)) {
		struct pollfd fds[2] = {{.fd = mdns->wake, .events = POLLIN}};
		int wait_ms = avahi_wait(avahi, &fds[1], clock_now_us());
		uint64_t count;

		(void)poll(fds, 2, wait_ms);
		if (fds[0].revents)
			(void)!read(mdns->wake, &count, sizeof count);
		take_services(mdns, avahi);
		avahi_turn(avahi, clock_now_us());
		post_status(mdns, avahi);
	}
}

static void *run_thread(void *user)
{
	struct mdns *mdns = user;
	struct avahi *avahi = avahi_create();

	pthread_setname_np(pthread_self(), "mdns");
	(void)setpriority(PRIO_PROCESS, (id_t)gettid(), NICENESS);
	if (avahi)
		run(mdns, avahi);
	else
		diag_error("mdns: no memory: this server is not announced");
	avahi_destroy(avahi);
	return NULL;
}

/* --- the loop thread --- */

static void wake(struct mdns *mdns)
{
	uint64_t one = 1;

	(void)!write(mdns->wake, &one, sizeof one);
}

void mdns_publish(struct mdns *mdns, struct mdns_services *services)
{
	free(atomic_exchange_explicit(&mdns->services, services, memory_order_acq_rel));
	wake(mdns);
}

const struct mdns_status *mdns_status(struct mdns *mdns)
{
	struct mdns_status *newest =
		atomic_exchange_explicit(&mdns->status, NULL, memory_order_acq_rel);

	if (newest) {
		free(mdns->newest);
		mdns->newest = newest;
	}
	return mdns->newest;
}

int mdns_create(struct mdns **out)
{
	struct mdns *mdns = calloc(1, sizeof *mdns);
	int err = -ENOMEM;

	if (!mdns)
		return -ENOMEM;
	mdns->newest = calloc(1, sizeof *mdns->newest);
	if (!mdns->newest)
		goto free_mdns;
	mdns->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (mdns->wake < 0) {
		err = -errno;
		goto free_newest;
	}
	/* Signals are blocked in all threads: they come through the loop's signalfd. */
	err = -pthread_create(&mdns->thread, NULL, run_thread, mdns);
	if (err < 0)
		goto close_wake;
	*out = mdns;
	return 0;

close_wake:
	close(mdns->wake);
free_newest:
	free(mdns->newest);
free_mdns:
	free(mdns);
	return err;
}

void mdns_destroy(struct mdns *mdns)
{
	if (!mdns)
		return;
	atomic_store_explicit(&mdns->stop, true, memory_order_release);
	wake(mdns);
	pthread_join(mdns->thread, NULL);
	close(mdns->wake);
	free(atomic_load(&mdns->services));
	free(atomic_load(&mdns->status));
	free(mdns->newest);
	free(mdns);
}
