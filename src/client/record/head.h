/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The header (moov) of a fragmented MP4: times and durations that libavformat leaves out of it or
 * cannot hold, ISO/IEC 14496-12. Headers are read with bounds; any thread.
 */
#ifndef CLIENT_RECORD_HEAD_H
#define CLIENT_RECORD_HEAD_H

#include <stddef.h>
#include <stdint.h>

#define HEAD_MAX (64u << 10) /* bytes at the beginning of a file that hold its header */

/* The bytes by which head_write() makes a header longer, for a file that begins at utc_us. */
size_t head_growth(int64_t utc_us);

/*
 * Copies a header (ftyp, moov with an mvex) of len bytes to out, which has room for head_growth()
 * bytes more. The copy says that the file was made at utc_us (microseconds since 1970), in 64 bits
 * where 32 do not reach (from 2040 on), and has a place for the duration of all fragments (mehd,
 * 8.8.2). 0, or -EINVAL: it is no such header.
 */
int head_write(uint8_t *out, const uint8_t *header, size_t len, int64_t utc_us);

/* Sets the duration of the movie and its track in the file fd (open for reading and writing), which
 * begins with a header of head_write(). 0, -EINVAL (it does not), or -errno. */
int head_set_duration(int fd, int64_t duration_us);

/* The same for the time at which the file was made. */
int head_set_created(int fd, int64_t utc_us);

#endif
