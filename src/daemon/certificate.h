/* SPDX-License-Identifier: BSD-2-Clause */
/* A certificate for this machine, signed with its own key: camcastd --make-certificate. */
#ifndef DAEMON_CERTIFICATE_H
#define DAEMON_CERTIFICATE_H

#define CERTIFICATE_FILE "certificate.pem"
#define CERTIFICATE_KEY_FILE "key.pem"

/*
 * Makes a key (P-256) and a certificate for the names and addresses that this machine has now, and
 * writes both into folder, which is made if it does not exist, as files for this user only (0600).
 * Files that exist are left alone, which is an error. Says on stdout what was made, its
 * fingerprint, and which lines the configuration needs. 0, or -errno after a message. One thread.
 */
int certificate_make(const char *folder);

#endif
