/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/auth/checker.h"

#include <crypt.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "daemon/auth/credentials.h"

#define NICE 10 /* below the video */

struct job {
	char password[CREDENTIALS_SECRET_MAX];
	char hash[CHECKER_HASH_MAX];
	bool right;
};

/* The loop thread fills jobs[put], the checker's thread answers jobs[answered], and the loop thread
 * takes jobs[taken] out; all count up for ever. */
struct checker {
	struct loop *loop;
	void (*done)(void *user, bool right);
	void *user;
	pthread_t thread;
	sem_t wake;
	atomic_bool stop;     /* relaxed: the semaphore orders it */
	atomic_uint put;      /* release: the job is filled; acquire: the checker's thread */
	atomic_uint answered; /* release: the answer is there; acquire: the loop thread */
	unsigned taken;	      /* the loop thread's own */
	struct loop_watch answers;
	struct job jobs[CHECKER_JOBS];
};

static bool is_right(const char *password, const char *hash, struct crypt_data *data)
{
	const char *made = crypt_r(password, hash, data);

	/* A failure begins with '*' (crypt(3)), and never is the hash. */
	return made && made[0] != '*' && strcmp(made, hash) == 0;
}

static void *run(void *user)
{
	struct checker *checker = user;
	struct crypt_data *data = calloc(1, sizeof *data);
	const uint64_t one = 1;
	unsigned next = 0;

	(void)setpriority(PRIO_PROCESS, (id_t)gettid(), NICE);
	for (;;) {
		while (sem_wait(&checker->wake) < 0)
			;
		if (atomic_load_explicit(&checker->stop, memory_order_relaxed))
			break;
		if (atomic_load_explicit(&checker->put, memory_order_acquire) == next)
			continue;
		struct job *job = &checker->jobs[next++ % CHECKER_JOBS];

		job->right = data && is_right(job->password, job->hash, data);
		explicit_bzero(job->password, sizeof job->password);
		if (data)
			explicit_bzero(data, sizeof *data);
		atomic_store_explicit(&checker->answered, next, memory_order_release);
		(void)!write(checker->answers.fd, &one, sizeof one);
	}
	free(data);
	return NULL;
}

static void handle_answers(struct loop_watch *watch, uint32_t events)
{
	struct checker *checker = container_of(watch, struct checker, answers);
	uint64_t count;

	(void)events;
	(void)!read(watch->fd, &count, sizeof count);
	while (checker->taken != atomic_load_explicit(&checker->answered, memory_order_acquire)) {
		bool right = checker->jobs[checker->taken++ % CHECKER_JOBS].right;

		checker->done(checker->user, right);
	}
}

bool checker_put(struct checker *checker, const char *password, const char *hash)
{
	unsigned put = atomic_load_explicit(&checker->put, memory_order_relaxed);
	struct job *job = &checker->jobs[put % CHECKER_JOBS];

	if (put - checker->taken == CHECKER_JOBS)
		return false;
	snprintf(job->password, sizeof job->password, "%s", password);
	snprintf(job->hash, sizeof job->hash, "%s", hash);
	atomic_store_explicit(&checker->put, put + 1, memory_order_release);
	sem_post(&checker->wake);
	return true;
}

int checker_create(struct checker **out, struct loop *loop, void (*done)(void *user, bool right),
		   void *user)
{
	struct checker *checker = calloc(1, sizeof *checker);
	int err;

	if (!checker)
		return -ENOMEM;
	checker->loop = loop;
	checker->done = done;
	checker->user = user;
	sem_init(&checker->wake, 0, 0);
	checker->answers.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	checker->answers.events = EPOLLIN;
	checker->answers.ready = handle_answers;
	if (checker->answers.fd < 0) {
		err = -errno;
		goto free_checker;
	}
	err = loop_watch_add(loop, &checker->answers);
	if (err < 0)
		goto close_answers;
	err = -pthread_create(&checker->thread, NULL, run, checker);
	if (err < 0)
		goto remove_watch;
	pthread_setname_np(checker->thread, "passwords");
	*out = checker;
	return 0;

remove_watch:
	loop_watch_remove(loop, &checker->answers);
close_answers:
	close(checker->answers.fd);
free_checker:
	sem_destroy(&checker->wake);
	free(checker);
	return err;
}

void checker_destroy(struct checker *checker)
{
	if (!checker)
		return;
	atomic_store_explicit(&checker->stop, true, memory_order_relaxed);
	sem_post(&checker->wake);
	pthread_join(checker->thread, NULL);
	loop_watch_remove(checker->loop, &checker->answers);
	close(checker->answers.fd);
	sem_destroy(&checker->wake);
	explicit_bzero(checker, sizeof *checker);
	free(checker);
}
