/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The sandbox of a worker: what its source, its encoders and their libraries need, and no more.
 */
#ifndef CAPTURE_CONFINE_H
#define CAPTURE_CONFINE_H

#include "config/config.h"
#include "process/sandbox.h"

/* Enters the sandbox for a worker with this camera; with off (`sandbox = no`) only says so. Logs
 * one line if anything is missing; the same text is in state. Call it before the first thread
 * starts, and before the source is opened. */
void confine_worker(const struct config_camera *camera, bool off, char state[SANDBOX_STATE_MAX]);

/* Enters the sandbox for the program of a source `exec:`, which execv() follows: cameras and
 * encoders, the files below /usr, and those that its arguments name by an absolute path may be
 * read; no file may be written, there is no network, and it may execute only itself. A script may
 * execute the programs below /usr. path: of the program; argv: its words. */
void confine_program(const char *path, char *const *argv);

#endif
