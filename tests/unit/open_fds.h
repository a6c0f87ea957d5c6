/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_UNIT_OPEN_FDS_H
#define TESTS_UNIT_OPEN_FDS_H

/* How many fds this process has open, with one for the question itself. */
unsigned open_fds(void);

#endif
