/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Headers of JPEGs (ITU-T T.81 annex B): size, orientation (Exif 2.3, clause 4.6.4), and the
 * Huffman tables that pictures of USB cameras and of AVI files often come without: the standard
 * ones are meant, and a strict decoder rejects them. Any thread.
 */
#ifndef MEDIA_JPEG_H
#define MEDIA_JPEG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "media/orientation.h"

#define JPEG_TABLES_LEN 420 /* bytes that jpeg_insert_tables() adds */

/* The DHT segment with the standard's Huffman tables (annex K.3). */
extern const uint8_t jpeg_standard_tables[JPEG_TABLES_LEN];

struct jpeg_header {
	unsigned width, height; /* 0: not stated before the scan */
	bool has_tables;	/* Huffman tables */
	size_t scan;		/* bytes before the first scan, where tables may be put in */
	/* How a player turns the picture, which Exif states; upright where it does not. */
	struct orientation orientation;
};

/* Whether it begins as a JPEG does, with SOI. */
static inline bool jpeg_begins(const uint8_t *data, size_t len)
{
	return len >= 2 && data[0] == 0xff && data[1] == 0xd8;
}

/* Whether it ends as a JPEG does, with EOI, perhaps with zeros behind it. */
bool jpeg_ends(const uint8_t *data, size_t len);

/* Reads up to the first scan. 0, or -EINVAL: this is no JPEG up to its scan. */
int jpeg_header_read(const uint8_t *data, size_t len, struct jpeg_header *out);
/* Whether another JPEG follows in the same bytes, as the second field of a picture does. scan: of
 * jpeg_header_read(). */
bool jpeg_is_followed(const uint8_t *data, size_t len, size_t scan);
/* Puts the standard tables in at scan; out has room for len + JPEG_TABLES_LEN. Returns that length.
 */
size_t jpeg_insert_tables(const uint8_t *data, size_t len, size_t scan, uint8_t *out);

#endif
