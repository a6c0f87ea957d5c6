/* SPDX-License-Identifier: BSD-2-Clause */
/* What a live source delivers, as its first bytes show it. Any thread. */
#ifndef CAPTURE_SOURCE_FORMAT_H
#define CAPTURE_SOURCE_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct format {
	const char *name; /* of libavformat */
	bool clock;	  /* packets have times */
	bool parsed;	  /* coded_options' */
};

/* The format that begins with these bytes; NULL: none, or there are too few of them. within: a
 * program writes as it likes, and a viewer of a pipe joins in the middle, so that what follows a
 * few stray bytes counts, too. */
const struct format *format_find(const uint8_t *data, size_t len, bool within);

#endif
