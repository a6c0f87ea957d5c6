/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/nearest.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define WORD_MAX 64	/* longer words are never a slip of the hand */
#define BEGINNING_MIN 3 /* bytes from which on the beginning of a word means the word */

void nearest_init(struct nearest *nearest, const char *wanted)
{
	*nearest = (struct nearest){.wanted = wanted};
}

static int fold(char c)
{
	return c == '-' ? '_' : tolower((unsigned char)c);
}

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
	unsigned ab = a < b ? a : b;

	return ab < c ? ab : c;
}

/* Edit distance where a swap of neighbours counts as one (optimal string alignment). Both words
 * have at most WORD_MAX bytes. */
static unsigned edit_distance(const char *a, const char *b)
{
	unsigned rows[3][WORD_MAX + 1];
	size_t a_len = strlen(a), b_len = strlen(b);

	for (size_t j = 0; j <= b_len; j++)
		rows[0][j] = (unsigned)j;
	for (size_t i = 1; i <= a_len; i++) {
		unsigned *row = rows[i % 3], *above = rows[(i + 2) % 3];
		const unsigned *above2 = rows[(i + 1) % 3];

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= b_len; j++) {
			int ca = fold(a[i - 1]), cb = fold(b[j - 1]);

			row[j] = min3(above[j] + 1, row[j - 1] + 1, above[j - 1] + (ca != cb));
			if (i > 1 && j > 1 && ca == fold(b[j - 2]) && cb == fold(a[i - 2]) &&
			    above2[j - 2] + 1 < row[j])
				row[j] = above2[j - 2] + 1;
		}
	}
	return rows[a_len % 3][b_len];
}

static int begins_with(const char *word, const char *beginning)
{
	while (*beginning && fold(*word) == fold(*beginning))
		word++, beginning++;
	return *beginning == '\0';
}

void nearest_try(struct nearest *nearest, const char *candidate)
{
	size_t len = strlen(nearest->wanted), at;
	unsigned distance;

	if (len == 0 || len > WORD_MAX || strlen(candidate) > WORD_MAX)
		return;
	distance = edit_distance(nearest->wanted, candidate);
	if (distance > 1 && len >= BEGINNING_MIN && begins_with(candidate, nearest->wanted))
		distance = 1;
	for (at = 0; at < nearest->n && nearest->words[at].distance <= distance;)
		at++;
	if (at == NEAREST_WORDS)
		return;
	if (nearest->n < NEAREST_WORDS)
		nearest->n++;
	memmove(&nearest->words[at + 1], &nearest->words[at],
		(nearest->n - at - 1) * sizeof nearest->words[0]);
	nearest->words[at] = (struct nearest_word){.word = candidate, .distance = distance};
}

/* One slip, and one more for every four letters. */
static unsigned slips_allowed(const struct nearest *nearest)
{
	return 1 + (unsigned)strlen(nearest->wanted) / 4;
}

const char *nearest_slip(const struct nearest *nearest)
{
	if (nearest->n == 0 || nearest->words[0].distance > slips_allowed(nearest))
		return NULL;
	return nearest->words[0].word;
}

const char *nearest_hint(const struct nearest *nearest, char hint[NEAREST_HINT_MAX])
{
	size_t n = 0, len;

	hint[0] = '\0';
	if (!nearest_slip(nearest))
		return hint;
	while (n < nearest->n && nearest->words[n].distance == nearest->words[0].distance)
		n++;
	len = (size_t)snprintf(hint, NEAREST_HINT_MAX, "; did you mean");
	/* Three words of WORD_MAX bytes fit. */
	for (size_t i = 0; i < n; i++)
		len += (size_t)snprintf(hint + len, NEAREST_HINT_MAX - len, "%s \"%s\"",
					i == 0	     ? ""
					: i + 1 == n ? " or"
						     : ",",
					nearest->words[i].word);
	strcpy(hint + len, "?");
	return hint;
}
