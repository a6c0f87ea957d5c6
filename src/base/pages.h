/* SPDX-License-Identifier: BSD-2-Clause */
/* A stretch of memory that may be a file as well, so that it can be sent by copy and, where it is
 * one, by reference. */
#ifndef BASE_PAGES_H
#define BASE_PAGES_H

#include <stdint.h>

struct pages {
	const uint8_t *map; /* readable */
	int fd;		    /* a memfd with the same bytes, or -1: memory alone */
};

#endif
