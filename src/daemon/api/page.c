/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/api/page.h"

#include <stdio.h>
#include <string.h>

#define FOLDER "/page/"
/* What the page may load, and who may show it in a frame. Nothing comes from elsewhere, and nothing
 * in the text of the page runs: a camera's name that looks like HTML is harmless in two ways. */
#define HEADERS(ancestors)                                                                         \
	"Content-Encoding: gzip\r\n"                                                               \
	"Content-Security-Policy: default-src 'self'; media-src 'self' blob:; "                    \
	"img-src 'self' blob: data:; connect-src 'self' ws: wss:; base-uri 'none'; "               \
	"form-action 'none'; frame-ancestors " ancestors "\r\n"

static const struct page_file *find(const char *name)
{
	for (size_t i = 0; i < n_page_files; i++)
		if (strcmp(page_files[i].name, name) == 0)
			return &page_files[i];
	return NULL;
}

static const char *type_of(const char *name)
{
	static const struct {
		const char *suffix, *type;
	} types[] = {
		{".html", "text/html; charset=utf-8"},
		{".js", "text/javascript; charset=utf-8"},
		{".css", "text/css; charset=utf-8"},
		{".svg", "image/svg+xml"},
	};
	const char *suffix = strrchr(name, '.');

	for (size_t i = 0; suffix && i < sizeof types / sizeof *types; i++)
		if (strcmp(types[i].suffix, suffix) == 0)
			return types[i].type;
	return "application/octet-stream";
}

static bool has_parameter(const struct http_request *request, const char *name)
{
	size_t len;

	return message_parameter(request->head, name, &len);
}

/* Redirects (RFC 9110 clause 15.4.4) to path and what the query has, except its token. */
static void redirect(struct http_question *question, const char *path, const char *query)
{
	char location[HTTP_HEADERS_MAX];
	struct http_answer answer = {.status = 303, .headers = location};
	size_t len = (size_t)snprintf(location, sizeof location, "Location: %s", path);
	char sign = '?';

	for (const char *at = query; at; at = strchr(at, '&')) {
		size_t n = strcspn(at += *at == '&', "&");

		if (n == 0 || strncmp(at, "token=", 6) == 0 || len + n + 4 > sizeof location)
			continue;
		len += (size_t)snprintf(location + len, sizeof location - len, "%c%.*s", sign,
					(int)n, at);
		sign = '&';
	}
	snprintf(location + len, sizeof location - len, "\r\n");
	http_answer(question, &answer);
}

bool page_send_to_login(const struct http_request *request, struct http_question *question)
{
	const char *accept = message_header(request->head, "Accept", NULL);

	if (strcmp(request->path, "/") != 0 || !accept || !strstr(accept, "text/html") ||
	    has_parameter(request, "embed") || has_parameter(request, "action"))
		return false;
	redirect(question, "/login", request->head->query);
	return true;
}

bool page_handle(const struct http_request *request, struct http_question *question)
{
	/* The embedded view has no buttons that change anything, so that a page which hides it
	 * under its own (clickjacking) gains nothing. */
	bool embedded = has_parameter(request, "embed");
	bool root = strcmp(request->path, "/") == 0;
	bool login = strcmp(request->path, "/login") == 0;
	const struct page_file *file;

	if (root && request->credentials->in_query) {
		/* The token is a cookie now, and does not stay in the address bar. */
		redirect(question, "/", request->head->query);
		return true;
	}
	if (!root && !login && strncmp(request->path, FOLDER, strlen(FOLDER)) != 0)
		return false;
	file = find(root ? "index.html" : login ? "login.html" : request->path + strlen(FOLDER));
	if (!file) {
		http_reply(question, 404, NULL, NULL, 0);
		return true;
	}
	http_answer(question,
		    &(struct http_answer){
			    .status = 200,
			    .type = type_of(file->name),
			    .cache = "no-cache",
			    .headers = embedded && !login ? HEADERS("*") : HEADERS("'none'"),
			    .body = file->data,
			    .len = file->len,
		    });
	return true;
}
