/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef BASE_MEMFD_H
#define BASE_MEMFD_H

#include <stddef.h>
#include <stdint.h>

/*
 * A memfd of `size` bytes (whole pages) that can neither shrink nor grow, so that a mapping of it
 * never raises SIGBUS; CLOEXEC, and not executable where the kernel knows that (Linux 6.3). The
 * caller owns the fd. -errno. Any thread. memfd_create(2), fcntl(2).
 */
int memfd_create_fixed(const char *name, uint32_t size);
/* size, or more: whole pages. */
uint32_t memfd_round_size(uint32_t size);

/* The same with len bytes of text in it, which nobody can change. */
int memfd_create_text(const char *name, const char *text, size_t len);

#endif
