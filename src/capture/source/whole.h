/* SPDX-License-Identifier: BSD-2-Clause */
/* Whether a coded picture is whole: for the few whose end may be missing. Any thread. */
#ifndef CAPTURE_SOURCE_WHOLE_H
#define CAPTURE_SOURCE_WHOLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Decodes a picture of H.264 alone, which costs a decoder and the time of one picture. data: an
 * access unit in a byte stream with its parameter sets. Pictures that it refers to are not needed:
 * their absence does not change how its bits are read. A missing end is always found, missing
 * bytes in the middle nearly always. True also where there is no memory to look.
 */
bool whole_picture(const uint8_t *data, size_t len);

#endif
