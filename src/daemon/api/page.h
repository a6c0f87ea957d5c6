/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The web page: the files of src/web, which are part of the program. `/` is index.html, and
 * /page/NAME any other one. Loop thread only.
 *
 * The files are stored and sent compressed. Each browser accepts that; for other clients there is
 * `curl --compressed`.
 */
#ifndef DAEMON_API_PAGE_H
#define DAEMON_API_PAGE_H

#include "daemon/serve/http.h"

/* The files, made from src/web when camcastd is built (embed.sh). */
struct page_file {
	const char *name;
	const unsigned char *data; /* gzip (RFC 1952) */
	size_t len;
};
extern const struct page_file page_files[];
extern const size_t n_page_files;

/* Answers a request for the page, GET or HEAD. False: it is for something else. */
bool page_handle(const struct http_request *request, struct http_question *question);

/* Sends a browser that wants the page, and whose user is not known, to the login. False: it is no
 * such request, and nothing was answered. */
bool page_send_to_login(const struct http_request *request, struct http_question *question);

#endif
