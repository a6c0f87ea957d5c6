/* SPDX-License-Identifier: BSD-2-Clause */
/* Servers as a table for people, and as JSON for scripts. */
#ifndef CLIENT_FIND_SHOW_H
#define CLIENT_FIND_SHOW_H

#include <stdio.h>

#include <cjson/cJSON.h>

#include "client/find/server.h"

/* One line for each stream, at most `lines` in all (0: as many as there are). */
void show_table(FILE *out, const struct server *list, size_t n, size_t lines);

/* "h264 1280x720 30 fps 2 Mbit/s"; returns buf[SHOW_FORMAT_MAX]. */
#define SHOW_FORMAT_MAX 96
const char *show_format(const struct server_stream *stream, char *buf);

/* The caller's to delete; NULL: no memory. */
cJSON *show_json(const struct server *server);

#endif
