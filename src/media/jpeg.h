/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pictures of USB cameras and of AVI files often come without Huffman tables: the standard ones are
 * meant, and a strict JPEG decoder rejects them. Any thread.
 */
#ifndef MEDIA_JPEG_H
#define MEDIA_JPEG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JPEG_TABLES_LEN 420 /* bytes that jpeg_insert_tables() adds */

/* 1: the JPEG has Huffman tables; 0: it has none, they belong at *scan (bytes); -EINVAL: this is no
 * JPEG up to its scan. */
int jpeg_find_tables(const uint8_t *data, size_t len, size_t *scan);
/* out has room for len + JPEG_TABLES_LEN. Returns that length. */
size_t jpeg_insert_tables(const uint8_t *data, size_t len, size_t scan, uint8_t *out);

#endif
