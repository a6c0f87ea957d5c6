/* SPDX-License-Identifier: BSD-2-Clause */
/* XML as it is written: templates whose texts are escaped. Any thread. */
#ifndef DAEMON_ONVIF_MARKUP_H
#define DAEMON_ONVIF_MARKUP_H

#include <stdbool.h>
#include <stddef.h>

#define MARKUP_MAX (1u << 20) /* bytes */

struct markup {
	char *text; /* len bytes, terminated; NULL: nothing yet */
	size_t len, size;
	bool failed; /* no memory, or MARKUP_MAX was reached: the text is of no use */
};

/* Adds a template. As printf(), with these conversions alone: %s (escaped, and what XML cannot hold
 * becomes a question mark), %d (int), %u (unsigned), %g (double, with at most six digits) and %%.
 */
void markup_add(struct markup *markup, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void markup_finish(struct markup *markup);

#endif
