/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The sandbox of a push: the network, the certificates of authorities and what is needed to look up
 * names; no other file, no program, no other process.
 */
#ifndef PUSH_CONFINE_H
#define PUSH_CONFINE_H

#include "net/push_url.h"

/* Enters it for good, and limits memory; with off (`sandbox = no`) only the memory. TCP connections
 * go to the URL's port, and to that of name servers. A line in the log says what is missing. Call
 * it before the first thread starts. */
void confine_push(const struct push_url *url, bool off);

#endif
