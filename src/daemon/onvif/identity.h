/* SPDX-License-Identifier: BSD-2-Clause */
/* What this server is called in ONVIF. Asks the kernel; any thread. */
#ifndef DAEMON_ONVIF_IDENTITY_H
#define DAEMON_ONVIF_IDENTITY_H

#include "config/config.h"
#include "net/address.h"

#define IDENTITY_UUID_MAX 37 /* bytes of "f81d4fae-7dec-11d0-a765-00a0c91e6bf6", with NUL */

/* The same at each start on this machine with this configuration. */
void identity_uuid(char uuid[IDENTITY_UUID_MAX], const struct config *config);

#define IDENTITY_INTERFACES_MAX 16
#define IDENTITY_MAC_MAX 18 /* bytes of "00:11:22:33:44:55", terminator included */

/* An interface of Ethernet's kind that is up. */
struct identity_interface {
	char name[17];
	char mac[IDENTITY_MAC_MAX];
	int mtu;
	char address[16]; /* IPv4, "" : none */
	int bits;	  /* of its network */
};

/* Finds the interfaces; the one with the address `first` (NULL: none) stands first. Returns how
 * many, at most IDENTITY_INTERFACES_MAX. */
size_t identity_interfaces(struct identity_interface *out, const char *first);

#define IDENTITY_SCOPES_MAX 2048 /* bytes of all scopes, terminator included */
/* Writes the scopes, separated by blanks; mac: "" : not known. */
void identity_scopes(char out[IDENTITY_SCOPES_MAX], const struct config *config, const char *mac);

#endif
