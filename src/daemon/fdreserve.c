/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/fdreserve.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/diag.h"

/* While the table is full, this many descriptors stay free, so that there is room for the next
 * segment at once. A feed loses the rest of a GOP with an fd that cannot be received. */
#define SLACK 4
#define REFILL_PERIOD_US 1000000

struct fdreserve {
	struct loop *loop;
	struct loop_timer refill;
	unsigned n, held;
	bool full; /* the table had no room when last tried */
	int fds[];
};

/* Opens descriptors until all are held or the table is full. Each open takes the lowest free
 * number, so that a number given back later is valid even if the limit was lowered meanwhile. */
static int hold(struct fdreserve *reserve)
{
	while (reserve->held < reserve->n) {
		int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

		if (fd < 0)
			return -errno;
		reserve->fds[reserve->held++] = fd;
	}
	return 0;
}

static unsigned drop(struct fdreserve *reserve, unsigned n)
{
	unsigned dropped = 0;

	while (dropped < n && reserve->held > 0) {
		close(reserve->fds[--reserve->held]);
		dropped++;
	}
	return dropped;
}

/* Whether one more can be opened: with a table that is full to the last one nobody could ask for
 * the status. */
static bool has_room(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return false;
	close(fd);
	return true;
}

static void handle_refill(struct loop_timer *timer)
{
	struct fdreserve *reserve = container_of(timer, struct fdreserve, refill);

	if (hold(reserve) < 0 || !has_room()) {
		drop(reserve, SLACK);
		loop_timer_set(reserve->loop, &reserve->refill,
			       loop_now_us(reserve->loop) + REFILL_PERIOD_US);
		return;
	}
	if (reserve->full)
		diag_info("the fd table has room again");
	reserve->full = false;
}

int fdreserve_create(struct fdreserve **out, struct loop *loop, unsigned n)
{
	struct fdreserve *reserve = calloc(1, sizeof *reserve + n * sizeof reserve->fds[0]);
	int err;

	if (!reserve)
		return -ENOMEM;
	reserve->loop = loop;
	reserve->n = n;
	loop_timer_init(&reserve->refill, handle_refill);
	err = hold(reserve);
	if (err < 0) {
		drop(reserve, n);
		free(reserve);
		return err;
	}
	*out = reserve;
	return 0;
}

void fdreserve_destroy(struct fdreserve *reserve)
{
	if (!reserve)
		return;
	loop_timer_cancel(reserve->loop, &reserve->refill);
	drop(reserve, reserve->n);
	free(reserve);
}

unsigned fdreserve_give(struct fdreserve *reserve, unsigned n)
{
	if (!reserve->full)
		diag_warn("the fd table is full: no more clients until it has room; raise "
			  "LimitNOFILE= of the service (or ulimit -n), or lower max_clients");
	reserve->full = true;
	loop_timer_set(reserve->loop, &reserve->refill,
		       loop_now_us(reserve->loop) + REFILL_PERIOD_US);
	return drop(reserve, n);
}

bool fdreserve_short(const struct fdreserve *reserve)
{
	return reserve->full;
}
