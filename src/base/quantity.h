/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Amounts as people write them: "20GB", "2 Mbit/s", "1.5 h", "1280 x 720", "720p". A number is
 * decimal, with at most six places behind the point; blanks may stand before the unit; the case of
 * units does not matter. Any thread.
 *
 * All return 0; -EINVAL for text that is no such amount; or -ERANGE for one beyond 2^62. *out is
 * unchanged after a failure.
 */
#ifndef BASE_QUANTITY_H
#define BASE_QUANTITY_H

#include <stdint.h>

/* Bytes: a bare number, or with B, K, KB, KiB, M, MB, MiB, G, GB, GiB, T, TB or TiB. All are powers
 * of 1024. */
int quantity_parse_bytes(const char *text, int64_t *out);

/* Bits a second: a bare number, or with k, M or G, which are powers of 1000; bit/s, bps, b/s, kbit,
 * Mbit/s and so on. MB/s is refused: it means bytes. */
int quantity_parse_bitrate(const char *text, int64_t *out);

/* Microseconds, from a number with us, ms, s, sec, m, min, h or d, or a whole word ("7 days"). A
 * bare number is in units of bare_us microseconds. */
int quantity_parse_time(const char *text, int64_t bare_us, int64_t *out);

/* Width and height of a picture: "1280x720" (also with X, * or U+00D7 and with blanks), or 360p,
 * 540p, 720p, 1080p, 1440p, 2160p. Each is 0 to 99999. Never returns -ERANGE. */
int quantity_parse_size(const char *text, uint32_t *width, uint32_t *height);

#endif
