/* SPDX-License-Identifier: BSD-2-Clause */
/* Files with passwords and tokens. Any thread. */
#ifndef BASE_SECRET_H
#define BASE_SECRET_H

#include <stddef.h>

/* Opens a file, or a credential that the service manager hands over (systemd.exec(5),
 * LoadCredential=): a name without a slash. A descriptor, or -1 with errno. */
int secret_open(const char *path);

#define SECRET_WHY_MAX 512 /* bytes of a text that says what is wrong */

/*
 * Reads the first line of a file that nobody but its owner may read into out (size bytes,
 * terminator included), which the caller wipes. That owner must be root or the process's user; a
 * credential of the service manager is private by itself. 0, or -errno (-EPERM: others may read it;
 * -ENODATA: the line is empty; -EMSGSIZE: it is too long) with a phrase for a message in why.
 */
int secret_read(const char *path, char *out, size_t size, char why[SECRET_WHY_MAX]);

#endif
