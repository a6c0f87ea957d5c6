/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * "Did you mean": the words that are nearest to one that nobody knows. Any thread.
 *
 *	nearest_init(&nearest, "bakend");
 *	for each word that is allowed:
 *		nearest_try(&nearest, word);
 *	printf("unknown key \"bakend\"%s\n", nearest_hint(&nearest, hint));
 */
#ifndef BASE_NEAREST_H
#define BASE_NEAREST_H

#include <stddef.h>

#define NEAREST_WORDS 3
#define NEAREST_HINT_MAX 256 /* bytes of a hint, terminator included */

struct nearest {
	const char *wanted;
	struct nearest_word {
		const char *word; /* borrowed from nearest_try() */
		unsigned distance;
	} words[NEAREST_WORDS]; /* the nearest one first; of equal ones in the order of the tries */
	size_t n;
};

/* wanted is borrowed, and so is each candidate. */
void nearest_init(struct nearest *nearest, const char *wanted);

/* The distance is the number of letters that are missing, added, wrong or swapped. Upper and lower
 * case are equal, so are '-' and '_'. Words of more than 64 bytes are ignored. */
void nearest_try(struct nearest *nearest, const char *candidate);

/* The nearest word if it is near enough to be a slip of the hand; else NULL. */
const char *nearest_slip(const struct nearest *nearest);

/* Writes "; did you mean "X"?", or "...mean "X" or "Y"?" where several are as near, or "" where no
 * word is a slip of the hand. Returns hint. */
const char *nearest_hint(const struct nearest *nearest, char hint[NEAREST_HINT_MAX]);

#endif
