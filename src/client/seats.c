/* SPDX-License-Identifier: BSD-2-Clause */
#include "client/seats.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#define MAX_MAX 1024		/* servers in a list: SERVERS_MAX */
#define REPORT_DELAY_US 1000000 /* a broker sends its list one server after the other */
#define REPORT_PERIOD_US 60000000

enum rank { RANK_KNOWN, RANK_DELIVERED, RANK_NEW };

int seats_parse_max(const char *text, size_t *max)
{
	char *end;
	unsigned long n;

	errno = 0;
	n = strtoul(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end || errno || n < 1 || n > MAX_MAX)
		return -EINVAL;
	*max = n;
	return 0;
}

void seats_finish(struct seats *seats)
{
	free(seats->all);
	*seats = (struct seats){.max = seats->max};
}

/* Servers are looked up in nearly the same order each time: the search begins behind
 * the last one. */
static struct seat *find(struct seats *seats, const char *key)
{
	for (size_t i = 0; i < seats->n; i++) {
		size_t at = (seats->cursor + i) % seats->n;

		if (strcmp(seats->all[at].key, key) == 0) {
			seats->cursor = at + 1;
			return &seats->all[at];
		}
	}
	return NULL;
}

void seats_begin(struct seats *seats)
{
	for (size_t i = 0; i < seats->n; i++)
		seats->all[i].present = false;
	seats->cursor = 0;
}

int seats_offer(struct seats *seats, const char *key, bool known)
{
	struct seat *seat = find(seats, key), *grown;

	if (!seat && seats->n == seats->room) {
		size_t room = seats->room ? 2 * seats->room : 16;

		grown = realloc(seats->all, room * sizeof *grown);
		if (!grown)
			return -ENOMEM;
		seats->all = grown;
		seats->room = room;
	}
	if (!seat) {
		seat = &seats->all[seats->n++];
		*seat = (struct seat){0};
		text_set(seat->key, sizeof seat->key, key);
	}
	seat->known |= known;
	seat->present = true;
	return 0;
}

void seats_delivered(struct seats *seats, const char *key)
{
	struct seat *seat = find(seats, key);

	if (seat)
		seat->delivered = true;
}

bool seats_has(struct seats *seats, const char *key)
{
	const struct seat *seat = find(seats, key);

	return seat && seat->seated;
}

static enum rank rank_of(const struct seat *seat)
{
	return seat->known ? RANK_KNOWN : seat->delivered ? RANK_DELIVERED : RANK_NEW;
}

/* Forgets those that are not there. */
static void drop_absent(struct seats *seats)
{
	size_t n = 0;

	for (size_t i = 0; i < seats->n; i++)
		if (seats->all[i].present)
			seats->all[n++] = seats->all[i];
	seats->n = n;
	seats->cursor = 0;
}

/* The first to get a seat: of the earliest kind, the one that waits for longest.
 * NULL: none waits. */
static struct seat *next_waiting(struct seats *seats)
{
	struct seat *best = NULL;

	for (size_t i = 0; i < seats->n; i++) {
		struct seat *seat = &seats->all[i];

		if (!seat->seated &&
		    (!best || rank_of(seat) < rank_of(best) ||
		     (rank_of(seat) == rank_of(best) && seat->unseated_us < best->unseated_us)))
			best = seat;
	}
	return best;
}

/* Whose seat the waiting one gets: of the latest kind, the one that had it for longest. NULL: none.
 */
static struct seat *find_victim(struct seats *seats, const struct seat *waiting, int64_t now_us)
{
	struct seat *best = NULL;

	for (size_t i = 0; i < seats->n; i++) {
		struct seat *seat = &seats->all[i];
		bool tried = rank_of(seat) == RANK_NEW && now_us - seat->since_us > SEATS_TRIAL_US;

		if (!seat->seated || (rank_of(seat) <= rank_of(waiting) && !tried))
			continue;
		if (!best || rank_of(seat) > rank_of(best) ||
		    (rank_of(seat) == rank_of(best) && seat->since_us < best->since_us))
			best = seat;
	}
	return best;
}

void seats_settle(struct seats *seats, int64_t now_us)
{
	struct seat *waiting;
	size_t seated = 0;

	drop_absent(seats);
	for (size_t i = 0; i < seats->n; i++)
		seated += seats->all[i].seated;
	while ((waiting = next_waiting(seats))) {
		if (seated == seats->max) {
			struct seat *victim = find_victim(seats, waiting, now_us);

			if (!victim)
				break;
			victim->seated = false;
			victim->unseated_us = now_us;
			seated--;
		}
		waiting->seated = true;
		waiting->since_us = now_us;
		seated++;
	}
	seats->left_out = seats->n - seated;
	if (seats->left_out == 0)
		seats->left_out_us = 0;
	else if (seats->left_out_us == 0)
		seats->left_out_us = now_us;
}

static bool report_is_due(struct seats *seats, int64_t now_us)
{
	uint64_t suppressed;

	if (seats->left_out == seats->reported || seats->left_out == 0)
		return seats->left_out != seats->reported;
	return now_us - seats->left_out_us >= REPORT_DELAY_US &&
	       diag_allowed(&seats->reports, now_us, REPORT_PERIOD_US, &suppressed);
}

void seats_report(struct seats *seats, const char *done, int64_t now_us)
{
	if (!report_is_due(seats, now_us))
		return;
	seats->reported = seats->left_out;
	if (seats->left_out > 0)
		diag_warn("%zu server%s left out: at most %zu are %s (--max-servers), and those "
			  "that delivered before come first",
			  seats->left_out, seats->left_out == 1 ? " is" : "s are", seats->max,
			  done);
	else
		diag_info("no server is left out any more");
}
