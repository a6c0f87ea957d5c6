/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is served over HTTP: which path is answered by what. A new way to watch a stream is a
 * row in ways.c, another path is a row in site.c. Loop thread only.
 */
#ifndef DAEMON_SITE_SITE_H
#define DAEMON_SITE_SITE_H

#include "daemon/auth/access.h"
#include "daemon/cameras.h"
#include "daemon/onvif/onvif.h"
#include "daemon/status/status.h"

struct site;

struct site_options {
	struct loop *loop;
	struct cameras *cameras; /* with their feeds */
	struct access *access;
	struct status *status;
	struct onvif *onvif;	     /* NULL: none */
	const struct pushes *pushes; /* NULL: there are none */
	struct http *http;	     /* to which the site belongs */
};

/* options and what it names are borrowed. 0 or -ENOMEM. */
int site_create(struct site **out, const struct site_options *options);
/* Requests that still wait must have ended: their connections are closed. */
void site_destroy(struct site *site);

/* Serves one more feed, as site_create() does with those that there are. 0 or -ENOMEM. */
int site_serve(struct site *site, struct output *output);
/* The feed is served no more; requests that wait for it are answered with 503. */
void site_forget(struct output *output);

/* An http_handler; user is a struct site. */
void site_handle(void *user, const struct http_request *request, struct http_question *question);

#endif
