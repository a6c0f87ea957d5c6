/* SPDX-License-Identifier: BSD-2-Clause */
/* The command line of `camcast record`. */
#ifndef CLIENT_RECORD_OPTIONS_H
#define CLIENT_RECORD_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "client/find/broker.h"
#include "client/record/file.h"
#include "client/record/store.h"

struct record_options {
	struct broker broker;
	char dir[RECORD_PATH_MAX];
	char **names; /* those of the command line; NULL ends them */
	size_t n_names;
	struct server *given; /* by name: a URL as a server with one stream; else it has none */
	bool all;
	size_t max_servers; /* with all */
	unsigned segment_s;
	bool on_command, json;
	struct store_limits limits;
};

/* Returns -1 to go on, or the exit status. argv is borrowed as long as the options are used. */
int record_options_parse(struct record_options *options, int argc, char **argv);
void record_options_finish(struct record_options *options);

#endif
