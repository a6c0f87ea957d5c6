/* SPDX-License-Identifier: BSD-2-Clause */
/* Giving up root, where camcastd was started by root without a service manager. Main thread. */
#ifndef DAEMON_USER_H
#define DAEMON_USER_H

/*
 * Makes the whole process (all threads) one of the user `name`, for good: with the user's groups
 * and, where they exist, the groups video and render, to which the devices of cameras and encoders
 * belong. Nothing changes if the process has that user already. "": stays as it is; root gets a
 * warning. 0, or -errno after a log line: -ENOENT (no such user), -EPERM (not started by root).
 * setgroups(2), setresgid(2), setresuid(2).
 */
int user_become(const char *name);

#endif
