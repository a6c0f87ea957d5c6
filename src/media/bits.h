/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bits of an RBSP (H.264 clause 7.2, 9.1), without emulation prevention: reader and writer over the
 * caller's memory. Neither ever leaves its bounds; an overrun sets `bad` and reads as 0, so that a
 * parser checks once at its end.
 */
#ifndef MEDIA_BITS_H
#define MEDIA_BITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bit_reader {
	const uint8_t *data;
	size_t pos, end; /* bits */
	bool bad;
};

static inline void bit_reader_init(struct bit_reader *r, const uint8_t *data, size_t bits)
{
	*r = (struct bit_reader){.data = data, .end = bits};
}

static inline unsigned read_bit(struct bit_reader *r)
{
	unsigned bit;

	if (r->pos >= r->end) {
		r->bad = true;
		return 0;
	}
	bit = r->data[r->pos >> 3] >> (7 - (r->pos & 7)) & 1;
	r->pos++;
	return bit;
}

/* n is 0..32 */
static inline uint32_t read_bits(struct bit_reader *r, unsigned n)
{
	uint32_t value = 0;

	while (n-- > 0)
		value = value << 1 | read_bit(r);
	return value;
}

/* ue(v), clause 9.1: 0..2^32-2 */
static inline uint32_t read_ue(struct bit_reader *r)
{
	unsigned zeros = 0;

	while (read_bit(r) == 0) {
		if (r->bad || ++zeros > 31) {
			r->bad = true;
			return 0;
		}
	}
	return ((uint32_t)1 << zeros) - 1 + read_bits(r, zeros);
}

/* se(v), clause 9.1.1 */
static inline int64_t read_se(struct bit_reader *r)
{
	int64_t k = read_ue(r);

	return k & 1 ? (k + 1) / 2 : -(k / 2);
}

struct bit_writer {
	uint8_t *data;
	size_t pos, end; /* bits */
	bool bad;	 /* it did not fit */
};

static inline void bit_writer_init(struct bit_writer *w, uint8_t *data, size_t size)
{
	*w = (struct bit_writer){.data = data, .end = size * 8};
}

/* n is 0..32 */
static inline void write_bits(struct bit_writer *w, unsigned n, uint32_t value)
{
	if (n > w->end - w->pos) {
		w->bad = true;
		return;
	}
	while (n-- > 0) {
		uint8_t bit = (uint8_t)((value >> n & 1) << (7 - (w->pos & 7)));

		if ((w->pos & 7) == 0)
			w->data[w->pos >> 3] = bit;
		else
			w->data[w->pos >> 3] |= bit;
		w->pos++;
	}
}

static inline void write_ue(struct bit_writer *w, uint32_t value)
{
	uint64_t code = (uint64_t)value + 1;
	unsigned bits = 0;

	while (code >> bits > 1)
		bits++;
	write_bits(w, bits, 0);
	write_bits(w, 1, 1);
	write_bits(w, bits, (uint32_t)(code & (((uint64_t)1 << bits) - 1)));
}

/* Copies the bits from r's position up to bit `to`. */
static inline void copy_bits(struct bit_writer *w, struct bit_reader *r, size_t to)
{
	while (r->pos < to && !r->bad && !w->bad)
		write_bits(w, 1, read_bit(r));
}

/* rbsp_trailing_bits, clause 7.3.2.11. Returns the bytes written in all. */
static inline size_t write_trailing(struct bit_writer *w)
{
	write_bits(w, 1, 1);
	while (w->pos & 7 && !w->bad)
		write_bits(w, 1, 0);
	return w->pos / 8;
}

/* The bits of an RBSP of len bytes before its trailing bits; 0 if there is no stop bit. */
static inline size_t rbsp_bits(const uint8_t *rbsp, size_t len)
{
	unsigned zeros = 0;

	while (len > 0 && rbsp[len - 1] == 0)
		len--;
	if (len == 0)
		return 0;
	while (!(rbsp[len - 1] >> zeros & 1))
		zeros++;
	return len * 8 - zeros - 1;
}

#endif
