/* SPDX-License-Identifier: BSD-2-Clause */
#include "client/interrupt.h"

#include <signal.h>
#include <stddef.h>

static volatile sig_atomic_t came;

static void handle_signal(int number)
{
	(void)number;
	came = 1;
}

void interrupt_init(void)
{
	struct sigaction action = {.sa_handler = handle_signal}; /* no SA_RESTART */

	sigemptyset(&action.sa_mask);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
}

bool interrupted(void)
{
	return came;
}
