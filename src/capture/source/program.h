/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A program whose standard output is a camera (source = exec:). The worker, which reads what the
 * program writes, may start no programs. A second process does, the launcher: it is forked before
 * the worker enters its sandbox, starts the program again whenever it has ended, passes on the
 * lines of its standard error to the log, and gives the worker the reading end of each new pipe.
 * All that the worker can ask of it is to kill the program. It ends with the worker. The
 * program begins a process group: whatever it has started ends with it.
 *
 * The program has a sandbox of its own (confine_program()), which it enters before it is executed.
 */
#ifndef CAPTURE_SOURCE_PROGRAM_H
#define CAPTURE_SOURCE_PROGRAM_H

#include <stdbool.h>

#include "config/config.h"

#define PROGRAM_WHY_SIZE 128

struct program;

/* Starts the launcher of a camera with exec:. confined: the program has a sandbox. close_fd: one
 * that the launcher has to close, or -1. Main thread, before there are others. 0 or -errno. */
int program_launch(struct program **out, const struct config_camera *camera, bool confined,
		   int close_fd);
/* Ends the program, first by SIGTERM, and the launcher. NULL is allowed. Main thread. */
void program_finish(struct program *program);

/* What the launcher has to say, within wait_ms: 1, with the output of a program that was started in
 * *fd (non-blocking, the caller's); 0, with how the last one ended in why[PROGRAM_WHY_SIZE];
 * -EAGAIN (nothing), or -EPIPE (the launcher has ended). One thread at a time. */
int program_receive(struct program *program, int wait_ms, int *fd, char *why);
/* Kills the program, if it runs: it hangs, or what it writes is of no use. Another is started after
 * a while. One thread at a time. */
void program_kill(struct program *program);

/* For main(): the program that the launcher executes again to become the camera's: argv has
 * "sandbox" or "open", and the words of the command. Its output goes to file descriptor 3. Returns
 * an exit status if that fails. */
int program_main(int argc, char **argv);

#endif
