/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The subcommands of camcast. argv[0] is the subcommand's name, options and arguments follow, as
 * getopt_long(3) wants them. Each returns the exit status: EXIT_USAGE for a wrong command line.
 * main() has done diag_init(), set the locale to C.UTF-8, and ignores SIGPIPE.
 */
#ifndef CLIENT_CLIENT_H
#define CLIENT_CLIENT_H

#include "base/cli.h"

int cmd_discover(int argc, char **argv);
int cmd_passwd(int argc, char **argv);
int cmd_recv(int argc, char **argv);
int cmd_record(int argc, char **argv);
int cmd_view(int argc, char **argv);

/* Internal subcommands, which a parent starts: one process for each server (children.h). */
int cmd_record_child(int argc, char **argv);
int cmd_view_child(int argc, char **argv);

#endif
