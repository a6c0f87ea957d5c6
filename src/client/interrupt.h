/* SPDX-License-Identifier: BSD-2-Clause */
/* SIGINT, SIGTERM and SIGHUP as a wish to end: they interrupt poll() and write(), and the loop
 * looks whether one came, at least every few hundred ms, for one may come just before a call. */
#ifndef CLIENT_INTERRUPT_H
#define CLIENT_INTERRUPT_H

#include <stdbool.h>

void interrupt_init(void);
bool interrupted(void); /* any thread */

#endif
