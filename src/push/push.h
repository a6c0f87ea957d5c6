/* SPDX-License-Identifier: BSD-2-Clause */
/* The life of one connection: pictures come from camcastd, and go to the receiver. */
#ifndef PUSH_PUSH_H
#define PUSH_PUSH_H

#include "camcast/push.h"
#include "net/push_url.h"

/* Sends what comes from the pair to the URL until one of the two ends, and reports to the pair.
 * Returns the exit status of the process: EXIT_SUCCESS where camcastd closed the pair, or where the
 * pictures need a new connection. */
int push_run(int pair, const char *url);

#endif
