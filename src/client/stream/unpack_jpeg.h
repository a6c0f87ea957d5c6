/* SPDX-License-Identifier: BSD-2-Clause */
/* JPEGs in RTP (RFC 2435): the headers that a receiver makes again. Any thread. */
#ifndef CLIENT_STREAM_UNPACK_JPEG_H
#define CLIENT_STREAM_UNPACK_JPEG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "media/jpeg_baseline.h"

#define UNPACK_JPEG_HEAD_MAX 700 /* bytes of all headers of a JPEG */

/* Of one stream; zeroed at its beginning. */
struct unpack_jpeg {
	size_t scan_len; /* of the picture so far */
	/* Tables that were sent once, by Q. */
	bool known[128];
	uint8_t tables[128][2 * JPEG_QUANTIZATION_LEN];
};

/* Reads a packet's payload (hostile). In front of a picture's first bytes *head_len of head are its
 * headers, else that is 0; scan (borrowed from data) is coded data. False: it does not continue the
 * picture, or it is of a kind that RFC 2435 does not define. */
bool unpack_jpeg_read(struct unpack_jpeg *jpeg, const uint8_t *data, size_t len,
		      uint8_t head[UNPACK_JPEG_HEAD_MAX], size_t *head_len, const uint8_t **scan,
		      size_t *scan_len);

#endif
