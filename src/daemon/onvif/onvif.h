/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ONVIF for recorders: requests in SOAP 1.2 over HTTP (ONVIF Core Specification; Media and Imaging
 * Service Specifications, version 1 of the media service) and WS-Discovery. A new request is a row
 * of a table in device.c, media.c or imaging.c. Loop thread only.
 *
 * Each stream of the configuration is a profile, and each camera a source of video. What a request
 * may see and change is what its user may, over HTTP (RFC 7617, RFC 7616) or by a UsernameToken.
 */
#ifndef DAEMON_ONVIF_ONVIF_H
#define DAEMON_ONVIF_ONVIF_H

#include "daemon/auth/access.h"
#include "daemon/cameras.h"
#include "daemon/serve/http.h"

struct onvif;

/* All borrowed. The configuration has a section [onvif]. */
struct onvif_options {
	struct loop *loop;
	const struct cameras *cameras;
	struct access *access;
};

/* 0 or -errno. */
int onvif_create(struct onvif **out, const struct onvif_options *options);
/* Requests that still wait must have ended: their connections are closed. NULL is allowed. */
void onvif_destroy(struct onvif *onvif);

/* Begins to answer WS-Discovery, and says hello. http_port: where requests are answered. 0 or
 * -errno, after a line in the log; requests are answered in both cases. */
int onvif_discover(struct onvif *onvif, uint16_t http_port);
/* Says goodbye, and answers nobody any more. */
void onvif_leave(struct onvif *onvif);

/* Answers a request, whoever sends it. */
void onvif_handle(struct onvif *onvif, const struct http_request *request,
		  struct http_question *question);

#endif
