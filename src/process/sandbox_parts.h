/* SPDX-License-Identifier: BSD-2-Clause */
/* The two halves of sandbox.c. Both need PR_SET_NO_NEW_PRIVS. */
#ifndef PROCESS_SANDBOX_PARTS_H
#define PROCESS_SANDBOX_PARTS_H

#include "process/sandbox.h"

#define LANDLOCK_ABI_SCOPE 6 /* the first that keeps signals within the sandbox: Linux 6.12 */

/* Restricts files, TCP connections and, from LANDLOCK_ABI_SCOPE on, signals. The ABI that is in
 * force, or -errno. */
int sandbox_restrict_files(const struct sandbox *sandbox);

/* Restricts system calls. scoped: Landlock keeps signals within the sandbox. 0 or -errno. */
int sandbox_restrict_calls(const struct sandbox *sandbox, bool scoped);

#endif
