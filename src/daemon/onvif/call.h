/* SPDX-License-Identifier: BSD-2-Clause */
/* One request of ONVIF, between onvif.c, which reads it and finds out who sends it, and the
 * services, which answer. Loop thread only. */
#ifndef DAEMON_ONVIF_CALL_H
#define DAEMON_ONVIF_CALL_H

#include "daemon/api/answers.h"
#include "daemon/onvif/markup.h"
#include "daemon/onvif/onvif.h"
#include "daemon/onvif/xml.h"

#define CALL_SCHEMA "http://www.onvif.org/ver10/schema"
#define CALL_DEVICE "http://www.onvif.org/ver10/device/wsdl"
#define CALL_MEDIA "http://www.onvif.org/ver10/media/wsdl"
#define CALL_IMAGING "http://www.onvif.org/ver20/imaging/wsdl"

/* Where requests are sent to; each path takes those of every service. */
#define CALL_DEVICE_PATH "/onvif/device_service"
#define CALL_MEDIA_PATH "/onvif/media_service"
#define CALL_IMAGING_PATH "/onvif/imaging_service"

#define CALL_VERSION_MAJOR 2 /* of the services, as GetServices tells it */
#define CALL_VERSION_MINOR 60

#define CALL_BASE_MAX (NET_HOST_PORT_MAX + 9) /* bytes of "https://HOST:PORT" */

struct call {
	const struct onvif_options *options;
	struct access_who who;
	const struct net_peer *peer;
	const struct xml *xml;
	const struct xml_node *action; /* the first element of the body */
	/* As the client wrote them: the host with brackets around an IPv6 address. */
	char host[NET_HOST_MAX + 2];
	char base[CALL_BASE_MAX];
	struct markup out;     /* what stands within the element of the answer */
	char why[API_WHY_MAX]; /* of a fault; "" : what its row says */
};

/* Why a request is refused; faults of onvif.c says how. */
enum call_fault {
	CALL_OK,
	CALL_MALFORMED,	   /* not XML, or beyond its bounds */
	CALL_VERSION,	   /* not SOAP 1.2 */
	CALL_UNKNOWN,	   /* there is no such request here */
	CALL_UNAUTHORIZED, /* nobody who may */
	CALL_FORBIDDEN,	   /* this user may not */
	CALL_SLOWED,	   /* the address has to wait */
	CALL_INVALID,	   /* an argument is missing or out of range */
	CALL_NO_PROFILE,
	CALL_NO_CONFIG,
	CALL_NO_SOURCE,
	CALL_NO_IMAGING, /* the camera has no controls */
	CALL_SETTINGS,	 /* a setting is out of range */
	CALL_MODIFY,	 /* this cannot be changed */
	CALL_PROFILES,	 /* there cannot be another profile */
	CALL_FIXED,	 /* a profile cannot be deleted */
	CALL_BUSY,	 /* the worker cannot take it now */
	CALL_FAULTS,
};

/* A request that is answered here. */
struct call_row {
	const char *name;
	unsigned right; /* enum config_may; 0: nobody is asked who it is */
	enum call_fault (*answer)(struct call *call);
};

extern const struct call_row device_rows[], media_rows[], imaging_rows[];
extern const size_t n_device_rows, n_media_rows, n_imaging_rows;

/* The text of an argument of the request, a child of the action in its namespace; NULL: none. */
const char *call_argument(const struct call *call, const char *name);

/* An answer without content. */
enum call_fault call_answer_nothing(struct call *call);

/* Whether the caller may watch, or change, a stream. */
bool call_may(const struct call *call, enum config_may right, const struct stream *stream);
/* Whether a stream is a profile for the caller: it is in the configuration, and may be watched. */
bool call_sees(const struct call *call, const struct stream *stream);
/* The camera with this name, if the caller sees a stream of it; NULL: there is none. */
const struct camera *call_camera(const struct call *call, const char *name);
/* Whether any camera has controls that can be set. */
bool call_has_imaging(const struct call *call);

#endif
