/* SPDX-License-Identifier: BSD-2-Clause */
/* Control values as text. Used by camera.cpp only. */
#ifndef WRAPPER_CONTROLS_H
#define WRAPPER_CONTROLS_H

#include <cstdio>
#include <string>

#include <libcamera/controls.h>

/* Parses text as a value of the control. 0, or -EINVAL or -ERANGE with the allowed values in
 * why. */
int control_parse(const libcamera::ControlId &id, const libcamera::ControlInfo &info,
		  const char *text, libcamera::ControlValue &out, std::string &why);

/* One line a control: name, type, range, default, names of the values. */
void controls_print(const libcamera::ControlInfoMap &infos, FILE *out);

#endif
