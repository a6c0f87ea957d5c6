/* SPDX-License-Identifier: BSD-2-Clause */
/* The folder in which camcastd keeps what outlives it. Any thread. */
#ifndef DAEMON_STATE_FOLDER_H
#define DAEMON_STATE_FOLDER_H

#include <limits.h>

/* $STATE_DIRECTORY (systemd.exec(5)); else /var/lib/camcast for root, and ~/.local/state/camcast
 * for others, or what XDG_STATE_HOME says. Returns out, an absolute path. */
char *state_folder(char out[PATH_MAX]);
/* Makes a folder and those above it, for nobody but its owner. 0, also if it is there; or -errno.
 */
int state_folder_make(const char *path);

#endif
