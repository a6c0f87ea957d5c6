/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The configuration's friendly camera controls (brightness, shutter, awb...) in libcamera's words.
 * No libcamera in it: names and numbers only, which libcamera keeps stable (control_ids_core.yaml,
 * control_ids_draft.yaml).
 */
#ifndef CAPTURE_SOURCE_LIBCAMERA_CONTROLS_H
#define CAPTURE_SOURCE_LIBCAMERA_CONTROLS_H

#include <stdbool.h>
#include <stdint.h>

#define LIBCAMERA_SETTINGS_MAX 3 /* controls that one friendly key may set */

struct libcamera_setting {
	const char *name; /* libcamera's, static */
	char value[96];	  /* as camera_set_control() takes it */
};

/* What the camera is asked while a key is translated. */
struct libcamera_view {
	bool (*has)(void *user, const char *control);
	const int32_t
		*area; /* x, y, width, height of the whole picture on the sensor; NULL: unknown */
	void *user;
};

/*
 * Translates key = value into the controls to set. Companions that the camera lacks (a mode control
 * of newer libcameras) are left out; the main one never is, so that setting it tells of its lack.
 * Returns the number of settings (0: nothing to do), -ENOENT (no friendly key: may be libcamera's
 * own name), -EINVAL (not a value of this key), -ENOTSUP (needs an area and there is none).
 */
int libcamera_translate(const char *key, const char *value, const struct libcamera_view *view,
			struct libcamera_setting settings[LIBCAMERA_SETTINGS_MAX]);

#endif
