/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Parts of multipart/x-mixed-replace (camcast/multipart.h). A browser shows a picture when it knows
 * that its part is over, so each unit ends with the boundary of the next part.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "camcast/multipart.h"
#include "capture/publish/mux.h"

struct multipart {
	struct mux mux;
	char head[128];
	struct mux_list list;
};

static int create(struct mux **out, const struct mux_options *options)
{
	struct multipart *multipart = calloc(1, sizeof(*multipart));

	(void)options;
	if (!multipart)
		return -ENOMEM;
	*out = &multipart->mux;
	return 0;
}

static void destroy(struct mux *mux)
{
	struct multipart *multipart = (struct multipart *)mux;

	mux_list_free(&multipart->list);
	free(multipart);
}

static int begin(struct mux_list *list, const struct mux_unit *unit)
{
	list->n = 0;
	return mux_list_reserve(list, unit->iovcnt + 2);
}

static void end(struct mux_list *list, struct mux_framed *out)
{
	out->iov = list->iov;
	out->iovcnt = list->n;
}

/* The head of a part, the picture, the boundary. */
static int frame(struct mux *mux, const struct mux_unit *unit, struct mux_framed *out)
{
	static const char tail[] = "\r\n" CAMCAST_MULTIPART_FIRST;
	struct multipart *multipart = (struct multipart *)mux;
	struct mux_list *list = &multipart->list;
	const int64_t utc_us = clock_utc_us(unit->capture_us);
	int r = begin(list, unit), len;

	if (r < 0)
		return r;
	len = snprintf(multipart->head, sizeof(multipart->head),
		       CAMCAST_MULTIPART_PART "Content-Length: %zu\r\nX-Timestamp: %" PRId64
					      ".%06" PRId64 "\r\n\r\n",
		       unit->len, utc_us / 1000000, utc_us % 1000000);
	mux_list_add(list, multipart->head, (size_t)len);
	mux_list_add_all(list, unit->iov, unit->iovcnt);
	mux_list_add(list, tail, sizeof(tail) - 1);
	end(list, out);
	return 0;
}

/* The picture, then the boundary and the head of the next part, so that no browser shows a picture
 * late (Chromium waits for the end of the head). That head cannot state a length. */
static int frame_early(struct mux *mux, const struct mux_unit *unit, struct mux_framed *out)
{
	static const char tail[] = "\r\n" CAMCAST_MULTIPART_FIRST_EARLY;
	struct mux_list *list = &((struct multipart *)mux)->list;
	int r = begin(list, unit);

	if (r < 0)
		return r;
	mux_list_add_all(list, unit->iov, unit->iovcnt);
	mux_list_add(list, tail, sizeof(tail) - 1);
	end(list, out);
	return 0;
}

const struct mux_ops mux_multipart = {create, destroy, frame};
const struct mux_ops mux_multipart_early = {create, destroy, frame_early};
