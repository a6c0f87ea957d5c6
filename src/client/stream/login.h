/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Users and passwords for cameras, and what a server asks for: Basic (RFC 7617) and Digest (RFC
 * 7616, with SHA-256 and MD5). The passwords stand in the environment, so that the processes that a
 * command starts have them, and in no argument of a process: CAMCAST_LOGIN_N is USER:PASSWORD, and
 * a URL names its N. CAMCAST_LOGIN_0 is for URLs that name none. One thread.
 */
#ifndef CLIENT_STREAM_LOGIN_H
#define CLIENT_STREAM_LOGIN_H

#include <stdbool.h>
#include <stddef.h>

#define LOGIN_MAX 256 /* numbers */
#define LOGIN_TEXT_MAX 512
#define LOGIN_HEADER_MAX 2560

/* Keeps USER or USER:PASSWORD, as it stands in a URL (%XX is decoded), under a number that no
 * other has. The number; -EINVAL, -ENOSPC or -ENOMEM. */
int login_keep(const char *userinfo, size_t len);
/* Keeps the first line of a file, USER:PASSWORD, which nobody but its owner may read, as 0. 0 or
 * -errno, with a phrase in why[SECRET_WHY_MAX]. */
int login_keep_file(const char *path, char *why);

struct login;

/* Reads the environment, and makes ready for a sandbox. 0 or -ENOMEM. */
int login_create(struct login **out, unsigned number);
void login_destroy(struct login *login); /* NULL is fine */

bool login_is_known(const struct login *login);

/*
 * Takes a WWW-Authenticate header of a 401; of several, the strongest counts. False: it is of a
 * kind that we do not have. login_forget() goes before the first.
 */
void login_forget(struct login *login);
bool login_take(struct login *login, const char *challenge);
/* Whether the challenge says that our answer was right but old. */
bool login_is_stale(const struct login *login);

/* The line "Authorization: ...\r\n" for a request; "" before a challenge. False: too long. */
bool login_write(struct login *login, const char *method, const char *url,
		 char out[LOGIN_HEADER_MAX]);

#endif
