/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The options that every subcommand which looks for servers has in common:
 *
 *	struct broker broker;
 *	static const struct option options[] = {
 *		{"output", required_argument, NULL, 'o'},
 *		BROKER_OPTIONS,
 *		{0},
 *	};
 *	static const struct cli cli = {"camcast recv", "o:h", options};
 *
 *	broker_init(&broker);
 *	while ((c = cli_next(&cli, argc, argv)) >= 0) {
 *		switch (c) {
 *		case 'o':
 *			...
 *		default:
 *			if (broker_option(&broker, c, optarg) < 0)
 *				return EXIT_USAGE;
 *		}
 *	}
 *	if (broker_check(&broker) < 0)
 *		return EXIT_USAGE;
 *	servers_create(&servers, &broker.options);
 */
#ifndef CLIENT_FIND_BROKER_H
#define CLIENT_FIND_BROKER_H

#include <stdio.h>

#include "base/cli.h"
#include "client/find/servers.h"

/* What cli_next() returns for them. */
enum broker_option_code {
	BROKER_HOST = 1000,
	BROKER_USERNAME,
	BROKER_PASSWORD_FILE,
	BROKER_CAFILE,
	BROKER_PIN,
	BROKER_CERT,
	BROKER_KEY,
	BROKER_TLS,
	BROKER_INSECURE,
	BROKER_REQUEST_TOPIC,
	BROKER_REC_TOPIC,
	BROKER_TRUST,
	BROKER_NO_NEW,
	BROKER_LOGIN_FILE,
};

#define BROKER_OPTIONS                                                                             \
	{"broker", required_argument, NULL, BROKER_HOST},                                          \
		{"username", required_argument, NULL, BROKER_USERNAME},                            \
		{"password-file", required_argument, NULL, BROKER_PASSWORD_FILE},                  \
		{"cafile", required_argument, NULL, BROKER_CAFILE},                                \
		{"pin", required_argument, NULL, BROKER_PIN},                                      \
		{"cert", required_argument, NULL, BROKER_CERT},                                    \
		{"key", required_argument, NULL, BROKER_KEY},                                      \
		{"tls", no_argument, NULL, BROKER_TLS},                                            \
		{"insecure", no_argument, NULL, BROKER_INSECURE},                                  \
		{"request-topic", required_argument, NULL, BROKER_REQUEST_TOPIC},                  \
		{"trust", required_argument, NULL, BROKER_TRUST},                                  \
		{"no-new", no_argument, NULL, BROKER_NO_NEW},                                      \
		{"login-file", required_argument, NULL, BROKER_LOGIN_FILE},                        \
	{                                                                                          \
		"rec-topic", required_argument, NULL, BROKER_REC_TOPIC                             \
	}

struct broker {
	struct servers_options options; /* points into this structure and into argv */
	struct net_address address;
	bool port_said;
	bool insecure; /* the password may leave this machine unencrypted */
};

/* Defaults: localhost:1883, or what CAMCAST_BROKER in the environment says. */
void broker_init(struct broker *broker);

/* Takes an option that cli_next() returned. 0, or -EINVAL after a message on stderr, also for a
 * code that is not one of the above ('?', which cli_next() has reported). */
int broker_option(struct broker *broker, int code, const char *value);

/* Checks the options together, after the last one. 0, or -EINVAL after a message on stderr: they
 * would send a password to another machine unencrypted. */
int broker_check(const struct broker *broker);

/* For --help. */
void broker_print_usage(FILE *out);

#endif
