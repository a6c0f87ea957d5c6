/* SPDX-License-Identifier: BSD-2-Clause */
/* The friendly controls of cameras (brightness, awb...), for programs that offer them to people.
 * Any thread. */
#ifndef CONFIG_CONTROLS_H
#define CONFIG_CONTROLS_H

#include <stdbool.h>
#include <stddef.h>

#define CONFIG_WHY_MAX 1024 /* bytes of a text that says what is wrong with a value */

enum config_control_kind {
	CONFIG_CONTROL_NUMBER,	  /* min to max */
	CONFIG_CONTROL_NUMBERS,	  /* `count` of them, each min to max, separated by commas */
	CONFIG_CONTROL_WORD,	  /* one of `words` */
	CONFIG_CONTROL_RECTANGLE, /* x,y,width,height in parts of the picture, 0 to 1 */
};

struct config_control_info {
	const char *name;
	enum config_control_kind kind;
	double min, max;
	unsigned count;
	const char *const *words; /* ends with NULL */
	const char *example;	  /* a usual value */
	const char *unit;	  /* or NULL */
	const char *help;	  /* sentences */
};

/* The control with this number, from 0, in the order of camcast.ini(5). False: there is none. */
bool config_control_info(size_t number, struct config_control_info *info);

/* Checks a value. 0: *given is the value as a camera takes it, borrowed from `value` or constant.
 * -ENOENT (no such control) or -EINVAL, with a sentence in why. */
int config_control_check(const char *name, const char *value, const char **given,
			 char why[CONFIG_WHY_MAX]);

#endif
