/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/prepare.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/diag.h"
#include "daemon/serve/tls_context.h"
#include "net/listen.h"

#define NICE 10 /* below the video */

struct preparation {
	struct loop *loop;
	const char *path;
	const struct access *access;
	void (*done)(void *user, struct prepared *prepared);
	void *user;
	pthread_t thread;
	atomic_bool cancelled;	 /* set by the loop; the thread looks at it between two users */
	struct loop_watch watch; /* of an eventfd: the thread has done */
	struct prepared prepared;
};

static void set_why(struct prepared *prepared, const char *why)
{
	snprintf(prepared->why, sizeof prepared->why, "%.*s", (int)strcspn(why, "\n"), why);
}

static void give_up(struct prepared *prepared)
{
	access_next_destroy(prepared->access);
	tls_context_destroy(prepared->tls);
	listen_hosts_destroy(prepared->hosts);
	config_destroy(prepared->config);
	free(prepared->text);
	prepared->access = NULL;
	prepared->tls = NULL;
	prepared->hosts = NULL;
	prepared->config = NULL;
	prepared->text = NULL;
}

/* Every mistake is a line of the log. */
static void log_mistakes(const char *text)
{
	while (*text) {
		size_t len = strcspn(text, "\n");

		if (len > 0)
			diag_error("%.*s", (int)len, text);
		text += len + (text[len] == '\n');
	}
}

static int read_config(struct preparation *preparation)
{
	struct prepared *prepared = &preparation->prepared;
	char *mistakes = NULL;
	size_t len;
	FILE *file = open_memstream(&mistakes, &len);
	int err;

	if (!file)
		return -ENOMEM;
	err = config_load(&prepared->config, preparation->path, file, &prepared->text,
			  &prepared->len);
	fclose(file);
	if (err < 0 && mistakes) {
		log_mistakes(mistakes);
		set_why(prepared, mistakes);
	}
	free(mistakes);
	return err;
}

static int read_users(struct preparation *preparation)
{
	struct prepared *prepared = &preparation->prepared;
	char why[USERS_WHY_MAX];
	int err = access_next_create(&prepared->access, preparation->access, prepared->config,
				     &preparation->cancelled, why);

	if (err < 0)
		set_why(prepared, why);
	return err;
}

static int look_up_hosts(struct preparation *preparation, const struct net_address *addresses,
			 size_t n)
{
	int err = 0;

	for (size_t i = 0; i < n && err == 0; i++)
		err = atomic_load_explicit(&preparation->cancelled, memory_order_relaxed)
			      ? -ECANCELED
			      : listen_hosts_add(preparation->prepared.hosts, &addresses[i]);
	return err;
}

static int look_up_all_hosts(struct preparation *preparation)
{
	const struct config *config = preparation->prepared.config;
	const struct config_daemon *common = &config->daemon;
	int err;

	preparation->prepared.hosts = listen_hosts_create();
	if (!preparation->prepared.hosts)
		return -ENOMEM;
	err = look_up_hosts(preparation, common->http, common->n_http);
	if (err == 0)
		err = look_up_hosts(preparation, common->rtsp, common->n_rtsp);
	for (size_t i = 0; i < config->n_feeds && err == 0; i++)
		err = look_up_hosts(preparation, config->feeds[i].listen,
				    config->feeds[i].n_listen);
	return err;
}

static int read_certificate(struct preparation *preparation)
{
	struct prepared *prepared = &preparation->prepared;
	const struct tls_options options = tls_options_from(&prepared->config->tls);
	char why[TLS_WHY_MAX], text[TLS_WHY_MAX + 8];
	int err;

	if (!config_uses_tls(prepared->config))
		return 0;
	err = tls_context_create(&prepared->tls, &options, why);
	if (err < 0) {
		snprintf(text, sizeof text, "tls: %s", err == -ENOMEM ? "out of memory" : why);
		diag_error("%s", text);
		set_why(prepared, text);
	}
	return err;
}

static void *run(void *user)
{
	struct preparation *preparation = user;
	const uint64_t one = 1;
	int err;

	(void)setpriority(PRIO_PROCESS, (id_t)gettid(), NICE);
	set_why(&preparation->prepared, "out of memory");
	err = read_config(preparation);
	if (err == 0)
		err = read_users(preparation);
	if (err == 0)
		err = read_certificate(preparation);
	if (err == 0)
		err = look_up_all_hosts(preparation);
	if (err < 0)
		give_up(&preparation->prepared);
	(void)!write(preparation->watch.fd, &one, sizeof one);
	return NULL;
}

static void handle_done(struct loop_watch *watch, uint32_t events)
{
	struct preparation *preparation = container_of(watch, struct preparation, watch);
	uint64_t count;

	(void)events;
	if (read(watch->fd, &count, sizeof count) == sizeof count &&
	    !atomic_load_explicit(&preparation->cancelled, memory_order_relaxed))
		preparation->done(preparation->user, &preparation->prepared);
}

int preparation_begin(struct preparation **out, struct loop *loop, const char *path,
		      const struct access *access,
		      void (*done)(void *user, struct prepared *prepared), void *user)
{
	struct preparation *preparation = calloc(1, sizeof *preparation);
	int err;

	if (!preparation)
		return -ENOMEM;
	preparation->loop = loop;
	preparation->path = path;
	preparation->access = access;
	preparation->done = done;
	preparation->user = user;
	preparation->watch.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	preparation->watch.events = EPOLLIN;
	preparation->watch.ready = handle_done;
	if (preparation->watch.fd < 0) {
		err = -errno;
		goto free_preparation;
	}
	err = loop_watch_add(loop, &preparation->watch);
	if (err < 0)
		goto close_fd;
	err = -pthread_create(&preparation->thread, NULL, run, preparation);
	if (err < 0)
		goto remove_watch;
	pthread_setname_np(preparation->thread, "configuration");
	*out = preparation;
	return 0;

remove_watch:
	loop_watch_remove(loop, &preparation->watch);
close_fd:
	close(preparation->watch.fd);
free_preparation:
	free(preparation);
	return err;
}

void preparation_cancel(struct preparation *preparation)
{
	atomic_store_explicit(&preparation->cancelled, true, memory_order_relaxed);
}

void preparation_end(struct preparation *preparation)
{
	if (!preparation)
		return;
	pthread_join(preparation->thread, NULL);
	loop_watch_remove(preparation->loop, &preparation->watch);
	close(preparation->watch.fd);
	give_up(&preparation->prepared);
	free(preparation);
}
