/* SPDX-License-Identifier: BSD-2-Clause */
/* SIGINT, SIGTERM and SIGHUP as a request to end: they interrupt poll() and write(). The loop must
 * also check interrupted() at least every few hundred ms, because a signal may arrive just before
 * such a call. */
#ifndef CLIENT_INTERRUPT_H
#define CLIENT_INTERRUPT_H

#include <stdbool.h>

void interrupt_init(void);
bool interrupted(void); /* any thread */

#endif
