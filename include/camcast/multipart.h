/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The framings `multipart` and `multipart_early` (config_framing): JPEGs as the parts of
 * multipart/x-mixed-replace (RFC 2046, 5.1.1). Workers write the units, camcastd the heads of the
 * responses. The boundary is that of mjpg-streamer and uStreamer.
 */
#ifndef CAMCAST_MULTIPART_H
#define CAMCAST_MULTIPART_H

#define CAMCAST_MULTIPART_TYPE "multipart/x-mixed-replace; boundary=boundarydonotcross"
#define CAMCAST_MULTIPART_PART "Content-Type: image/jpeg\r\n"

/* What comes before the first unit of `multipart`; a unit ends with it. */
#define CAMCAST_MULTIPART_FIRST "--boundarydonotcross\r\n"
/* The same of `multipart_early`. */
#define CAMCAST_MULTIPART_FIRST_EARLY CAMCAST_MULTIPART_FIRST CAMCAST_MULTIPART_PART "\r\n"

#endif
