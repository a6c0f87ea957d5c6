/* SPDX-License-Identifier: BSD-2-Clause */
#include "client/record/keep.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timex.h>
#include <time.h>

#include "base/clock.h"
#include "base/diag.h"

#define PERIOD_US 5000000   /* how often the limits are looked at */
#define PART 50		    /* but in no more than this part of the time */
#define STEP_US 5000000	    /* a change of UTC that names show */
#define SYNCED_US 30000000  /* a clock that the kernel knows to be right is trusted after */
#define STEADY_US 600000000 /* any other one */
#define BEFORE_S 10	    /* a recording may begin with the server's history */

struct keep {
	const char *dir;
	struct store_limits limits;

	int64_t offset_us; /* UTC minus CLOCK_BOOTTIME, which goes on while the machine sleeps */
	int64_t steady_us; /* CLOCK_BOOTTIME of the last step, or of the beginning */
	int64_t since_s;   /* UTC then */
	struct store_list *others; /* recordings in the future of then: not made here */
	bool right;		   /* the clock was known to be right at the last look */
	/* Recordings made here by a clock that was not, since it last was: those from before its
	 * last step. */
	struct store_list *ours;
	size_t waiting; /* of them for another name */

	int64_t due_us;		 /* when the limits are looked at next; CLOCK_MONOTONIC */
	int error, rename_error; /* reported last */
	bool wait_logged;	 /* that nothing is deleted by age yet */
};

static int64_t read_us(clockid_t id)
{
	struct timespec now;

	clock_gettime(id, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static bool is_synchronised(void)
{
	struct timex timex = {0};

	return adjtimex(&timex) >= 0 && !(timex.status & STA_UNSYNC);
}

/* From now on the clock is watched again. */
static void begin_watch(struct keep *keep, int64_t boot_us)
{
	keep->steady_us = boot_us;
	keep->since_s = (boot_us + keep->offset_us) / 1000000 - BEFORE_S;
	store_list_destroy(keep->others);
	keep->others = NULL;
	(void)store_list(&keep->others, keep->dir, keep->since_s);
}

int keep_create(struct keep **out, const char *dir, const struct store_limits *limits)
{
	struct keep *keep = calloc(1, sizeof *keep);
	int64_t boot_us = read_us(CLOCK_BOOTTIME);

	if (!keep)
		return -ENOMEM;
	keep->ours = store_list_create();
	if (!keep->ours) {
		free(keep);
		return -ENOMEM;
	}
	keep->dir = dir;
	keep->limits = *limits;
	keep->offset_us = read_us(CLOCK_REALTIME) - boot_us;
	begin_watch(keep, boot_us);
	*out = keep;
	return 0;
}

void keep_renew(struct keep *keep)
{
	struct store_list *ours = store_list_create();

	if (ours) { /* else the old names are not found in the new folder, which does no harm */
		store_list_destroy(keep->ours);
		keep->ours = ours;
	}
	keep->waiting = 0;
	keep->due_us = 0;
	store_list_destroy(keep->others);
	keep->others = NULL;
	(void)store_list(&keep->others, keep->dir, keep->since_s);
}

void keep_destroy(struct keep *keep)
{
	if (!keep)
		return;
	store_list_destroy(keep->ours);
	store_list_destroy(keep->others);
	free(keep);
}

static bool is_known_to_be_right(const struct keep *keep, int64_t boot_us)
{
	return boot_us - keep->steady_us >= SYNCED_US && is_synchronised();
}

/* The clock was set by shift_us, after it had not been known to be right: what was recorded by it
 * is to get other names, and what was renamed at an earlier step as well. */
static int add_ours(struct keep *keep, int64_t boot_us, int64_t shift_us)
{
	const int64_t to_s = (boot_us + keep->offset_us) / 1000000;
	struct store_list *found = NULL;
	int err = store_list(&found, keep->dir, keep->since_s);

	if (!err)
		err = store_list_add(keep->ours, found, to_s, keep->others);
	store_list_destroy(found);
	keep->waiting = store_list_shift(keep->ours, shift_us / 1000000);
	return err;
}

static void handle_step(struct keep *keep, int64_t boot_us, int64_t shift_us)
{
	int err;

	if (keep->right) { /* which says nothing of what it named before */
		diag_info("the clock was set by %+.0f s: recordings keep their names",
			  (double)shift_us / 1e6);
		return;
	}
	diag_info("the clock was set by %+.0f s: recordings made since the start get new names",
		  (double)shift_us / 1e6);
	err = add_ours(keep, boot_us, shift_us);
	if (err)
		diag_warn("cannot rename recordings in %s: %s", keep->dir, strerror(-err));
}

static void follow_clock(struct keep *keep, int64_t boot_us)
{
	int64_t offset_us = read_us(CLOCK_REALTIME) - boot_us;
	int64_t shift_us = offset_us - keep->offset_us;
	bool set = shift_us > STEP_US || shift_us < -STEP_US;

	if (set)
		handle_step(keep, boot_us, shift_us);
	keep->offset_us = offset_us;
	if (set)
		begin_watch(keep, boot_us);
	keep->right = is_known_to_be_right(keep, boot_us);
	if (keep->right)
		store_list_settle(keep->ours);
}

/* A recording under way waits for its end. */
static void rename_recordings(struct keep *keep)
{
	int n;

	if (keep->waiting == 0)
		return;
	n = store_rename(keep->dir, keep->ours, &keep->waiting);
	if (n > 0)
		diag_info("%d recording%s: new name%s", n, n == 1 ? "" : "s", n == 1 ? "" : "s");
	if (n < 0 && n != keep->rename_error)
		diag_warn("cannot rename recordings in %s: %s", keep->dir, strerror(-n));
	keep->rename_error = n < 0 ? n : 0;
}

static bool is_trusted(const struct keep *keep, int64_t boot_us, int64_t now_s)
{
	int64_t steady_us = boot_us - keep->steady_us;

	return now_s >= STORE_EARLIEST_S && keep->waiting == 0 &&
	       steady_us >= (is_synchronised() ? SYNCED_US : STEADY_US);
}

static void keep_limits(struct keep *keep, int64_t boot_us)
{
	struct store_clock clock = {.since_s = keep->since_s};
	struct store_usage usage;
	int err;

	clock.now_s = (boot_us + keep->offset_us) / 1000000;
	clock.trusted = is_trusted(keep, boot_us, clock.now_s);
	if (keep->limits.max_age_s && !clock.trusted && !keep->wait_logged)
		diag_info("nothing is deleted by its age before the clock is known to be right: "
			  "%d s after the start if it is synchronised, else %d min",
			  SYNCED_US / 1000000, STEADY_US / 60000000);
	keep->wait_logged = true;
	err = store_keep_limits(keep->dir, &keep->limits, &clock, &usage);
	if (err < 0 && err != keep->error)
		diag_error("cannot delete old recordings in %s: %s", keep->dir, strerror(-err));
	keep->error = err;
	if (usage.deleted)
		diag_info("deleted %u old recording%s; left: %u, %.1f MB", usage.deleted,
			  usage.deleted == 1 ? "" : "s", usage.files, (double)usage.bytes / 1e6);
}

void keep_turn(struct keep *keep, int64_t now_us)
{
	int64_t boot_us = read_us(CLOCK_BOOTTIME), took_us;

	follow_clock(keep, boot_us);
	if (now_us < keep->due_us)
		return;
	rename_recordings(keep);
	if (keep->limits.max_bytes || keep->limits.max_age_s)
		keep_limits(keep, boot_us);
	took_us = clock_now_us() - now_us;
	keep->due_us = now_us + (took_us * PART > PERIOD_US ? took_us * PART : PERIOD_US);
}
