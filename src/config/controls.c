/* SPDX-License-Identifier: BSD-2-Clause */
#include "config/controls.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "config/options.h"

_Static_assert(CONFIG_WHY_MAX >= OPTION_WHY_MAX, "the text of a mistake fits");

static enum config_control_kind kind_of(enum option_type type)
{
	switch (type) {
	case OPTION_CONTROL_WORD:
		return CONFIG_CONTROL_WORD;
	case OPTION_CONTROL_DECIMALS:
		return CONFIG_CONTROL_NUMBERS;
	case OPTION_CONTROL_RECTANGLE:
		return CONFIG_CONTROL_RECTANGLE;
	default:
		return CONFIG_CONTROL_NUMBER;
	}
}

bool config_control_info(size_t number, struct config_control_info *info)
{
	for (size_t i = 0; i < n_options; i++) {
		const struct option *option = &options[i];

		if (!option_is_control(option) || number-- > 0)
			continue;
		*info = (struct config_control_info){
			.name = option->key,
			.kind = kind_of(option->type),
			.min = option->min,
			.max = option->max,
			.count = option->count,
			.words = option->words,
			.example = option->example,
			.unit = option->unit,
			.help = option->help,
		};
		return true;
	}
	return false;
}

int config_control_check(const char *name, const char *value, const char **given,
			 char why[CONFIG_WHY_MAX])
{
	const struct option *option = option_find(OPTION_CAMERA, name);
	double unused; /* controls are only checked */
	int err;

	if (!option || !option_is_control(option)) {
		snprintf(why, CONFIG_WHY_MAX, "there is no control with this name");
		return -ENOENT;
	}
	err = option_set(option, &unused, value, why);
	if (err == 0)
		*given = option_control_value(option, value);
	return err;
}
