/* SPDX-License-Identifier: BSD-2-Clause */
/* Prints the options part of camcast.ini(5); run while the manual is built. */
#include "config/config.h"

int main(void)
{
	config_man(stdout);
	return 0;
}
