/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The key with which this machine signs its announcements, and the numbers that tell a later
 * announcement from an earlier one. Both are files in the folder of the state, which all camcastd
 * of a user share: IDENTITY_KEY_FILE is made at the first start, and IDENTITY_START_FILE is counted
 * up at each.
 */
#ifndef DAEMON_DISCOVERY_IDENTITY_H
#define DAEMON_DISCOVERY_IDENTITY_H

#include "base/secret.h"
#include "mqtt/signed.h"

#define IDENTITY_KEY_FILE "announcements.key" /* the seed as 64 hexadecimal digits; 0600 */
#define IDENTITY_START_FILE "announcements.start"
#define IDENTITY_WHY_MAX SECRET_WHY_MAX

struct identity {
	struct signer *signer; /* NULL: announcements are not signed */
	uint64_t start;	       /* of this start */
};

/* Reads or makes the key, and takes a start; makes the folder if necessary. Waits for the disk, and
 * up to two seconds for another process that takes one: nothing for the loop thread. 0, or -errno
 * with a phrase in why: the folder cannot be written, a file in it is none of ours, or another
 * process does not release one (-EWOULDBLOCK). Then *out is zeroed. */
int identity_open(struct identity *out, const char *folder, char why[IDENTITY_WHY_MAX]);
/* A zeroed one is fine. */
void identity_close(struct identity *identity);

#endif
