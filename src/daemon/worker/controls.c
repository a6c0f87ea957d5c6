/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/worker/controls.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Its place, or n. */
static size_t find(const struct worker_controls *controls, const char *name)
{
	size_t i = 0;

	while (i < controls->n && strcmp(controls->list[i]->name, name) != 0)
		i++;
	return i;
}

int worker_controls_set(struct worker_controls *controls, const char *name, const char *value)
{
	struct camcast_msg_control *control;
	size_t at = find(controls, name);

	if (strlen(name) >= sizeof control->name || strlen(value) >= sizeof control->value)
		return -EMSGSIZE;
	if (at == WORKER_CONTROLS_MAX)
		return -ENOSPC;
	control = calloc(1, sizeof *control);
	if (!control)
		return -ENOMEM;
	control->type = CAMCAST_MSG_CONTROL;
	strcpy(control->name, name);
	strcpy(control->value, value);
	if (at < controls->n) {
		free(controls->list[at]);
		memmove(&controls->list[at], &controls->list[at + 1],
			(controls->n - at - 1) * sizeof *controls->list);
		controls->n--;
		if (at < controls->said)
			controls->said--;
	}
	controls->list[controls->n++] = control;
	return 0;
}

const char *worker_controls_value(const struct worker_controls *controls, const char *name)
{
	size_t at = find(controls, name);

	return at < controls->n ? controls->list[at]->value : NULL;
}

void worker_controls_reset(struct worker_controls *controls)
{
	controls->said = 0;
}

void worker_controls_say(struct worker_controls *controls,
			 bool (*say)(void *user, const void *message, size_t size), void *user)
{
	while (controls->said < controls->n &&
	       say(user, controls->list[controls->said], sizeof *controls->list[0]))
		controls->said++;
}

void worker_controls_finish(struct worker_controls *controls)
{
	while (controls->n > 0)
		free(controls->list[--controls->n]);
}
