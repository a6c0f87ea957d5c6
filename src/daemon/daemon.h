/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * camcastd as a whole: the loop, a feed for each framing of each stream, a worker for each camera,
 * the listeners, the status server, signals, and the service manager. Main thread.
 */
#ifndef DAEMON_DAEMON_H
#define DAEMON_DAEMON_H

#include "config/config.h"

struct daemon;

struct daemon_options {
	struct config *config; /* taken on success; limits may be lowered to what the machine
				  allows */
	const char *text;      /* its len bytes of text, for the workers; borrowed during create */
	size_t len;
	const char *config_path; /* where text was read, and is at SIGHUP; borrowed */
	const char *capture;	 /* path of camcast-capture; borrowed */
	const char *push;	 /* path of camcast-push; borrowed */
	bool verbose_workers;	 /* they get -v */
};

/*
 * Opens the listeners and starts the workers. SIGTERM, SIGINT and SIGHUP must be blocked. 0, or
 * -errno after a log line that says what to do; then nothing keeps running.
 */
int daemon_create(struct daemon **out, const struct daemon_options *options);
/* Runs until SIGTERM or SIGINT, and reads the configuration again at SIGHUP. At the end it accepts
 * no new clients, finishes the units under way (2 s at most), and returns 0. A second signal ends
 * the process at once. */
int daemon_run(struct daemon *daemon);
void daemon_destroy(struct daemon *daemon);

#endif
