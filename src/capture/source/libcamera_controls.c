/* SPDX-License-Identifier: BSD-2-Clause */
#include "capture/source/libcamera_controls.h"

#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct word {
	const char *word;
	const char *value; /* number of libcamera's enumeration; NULL: no control does that */
	bool is_default;   /* nothing is lost where the camera lacks the control */
};

struct companion {
	const char *name, *value;
};

struct mapping {
	const char *key;
	const char *control;
	const struct word *words; /* NULL: the value is passed on */
	struct companion with;	  /* set too, where the camera has it */
	struct companion off;	  /* instead of all this for the value 0, where the camera has it */
};

static const struct word exposure_words[] = {{"normal", "0", true},
					     {"short", "1", false},
					     {"long", "2", false},
					     {"custom", "3", false},
					     {0}};
static const struct word metering_words[] = {{"centre", "0", true},
					     {"spot", "1", false},
					     {"matrix", "2", false},
					     {"custom", "3", false},
					     {0}};
static const struct word awb_words[] = {
	{"auto", "0", true},	     {"incandescent", "1", false}, {"tungsten", "2", false},
	{"fluorescent", "3", false}, {"indoor", "4", false},	   {"daylight", "5", false},
	{"cloudy", "6", false},	     {"custom", "7", false},	   {0}};
/* As rpicam-apps: for video, auto is the fast colour denoise, and cdn_off keeps the spatial part.
 */
static const struct word denoise_words[] = {{"auto", "1", true},     {"off", "0", true},
					    {"cdn_off", "3", false}, {"cdn_fast", "1", false},
					    {"cdn_hq", "2", false},  {0}};
static const struct word hdr_words[] = {{"off", "0", true},
					{"auto", "3", true},
					{"single-exp", "3", false},
					{"sensor", NULL, false},
					{0}};
static const struct word af_mode_words[] = {
	{"manual", "0", false}, {"auto", "1", false}, {"continuous", "2", false}, {0}};
static const struct word af_range_words[] = {
	{"normal", "0", true}, {"macro", "1", false}, {"full", "2", false}, {0}};
static const struct word af_speed_words[] = {{"normal", "0", true}, {"fast", "1", false}, {0}};

static const struct mapping mappings[] = {
	{"brightness", "Brightness", NULL, {0}, {0}},
	{"contrast", "Contrast", NULL, {0}, {0}},
	{"saturation", "Saturation", NULL, {0}, {0}},
	{"sharpness", "Sharpness", NULL, {0}, {0}},
	{"ev", "ExposureValue", NULL, {0}, {0}},
	/* The mode controls came with libcamera 0.5; before, a value made it manual and 0
	   automatic. */
	{"shutter", "ExposureTime", NULL, {"ExposureTimeMode", "1"}, {"ExposureTimeMode", "0"}},
	{"gain", "AnalogueGain", NULL, {"AnalogueGainMode", "1"}, {"AnalogueGainMode", "0"}},
	{"exposure", "AeExposureMode", exposure_words, {0}, {0}},
	{"metering", "AeMeteringMode", metering_words, {0}, {0}},
	{"flicker_period", "AeFlickerPeriod", NULL, {"AeFlickerMode", "1"}, {"AeFlickerMode", "0"}},
	{"awb", "AwbMode", awb_words, {"AwbEnable", "true"}, {0}},
	{"awb_gains", "ColourGains", NULL, {"AwbEnable", "false"}, {0}},
	{"ccm", "ColourCorrectionMatrix", NULL, {"AwbEnable", "false"}, {0}},
	{"denoise", "NoiseReductionMode", denoise_words, {0}, {0}},
	{"hdr", "HdrMode", hdr_words, {0}, {0}},
	{"af_mode", "AfMode", af_mode_words, {0}, {0}},
	{"af_range", "AfRange", af_range_words, {0}, {0}},
	{"af_speed", "AfSpeed", af_speed_words, {0}, {0}},
	{"lens_position", "LensPosition", NULL, {"AfMode", "0"}, {0}},
};

static void set(struct libcamera_setting *setting, const char *name, const char *value)
{
	setting->name = name;
	snprintf(setting->value, sizeof(setting->value), "%s", value);
}

static bool is_zero(const char *value)
{
	char *end;

	return strtod(value, &end) == 0 && end != value && *end == '\0';
}

/* "x,y,w,h" in parts of the whole picture, 0..1. */
static int parse_part(const char *value, double part[4])
{
	int end = 0;

	if (sscanf(value, "%lf , %lf , %lf , %lf %n", &part[0], &part[1], &part[2], &part[3],
		   &end) != 4 ||
	    value[end])
		return -EINVAL;
	for (int i = 0; i < 4; i++)
		if (!(part[i] >= 0 && part[i] <= 1))
			return -EINVAL;
	if (part[2] == 0 || part[3] == 0 || part[0] + part[2] > 1 + 1e-6 ||
	    part[1] + part[3] > 1 + 1e-6)
		return -EINVAL;
	return 0;
}

static int translate_area(const char *control, const char *value, const struct libcamera_view *view,
			  struct libcamera_setting *setting)
{
	const int32_t *area = view->area;
	double part[4];

	if (parse_part(value, part))
		return -EINVAL;
	set(setting, control, value);
	if (!view->has(view->user, control))
		return 1;
	if (!area)
		return -ENOTSUP;
	snprintf(setting->value, sizeof(setting->value), "%ld,%ld,%ld,%ld",
		 area[0] + lround(part[0] * area[2]), area[1] + lround(part[1] * area[3]),
		 lround(part[2] * area[2]), lround(part[3] * area[3]));
	return 1;
}

static const struct word *find_word(const struct word *words, const char *value)
{
	for (; words->word; words++)
		if (strcasecmp(words->word, value) == 0)
			return words;
	return NULL;
}

static int translate(const struct mapping *mapping, const char *value,
		     const struct libcamera_view *view, struct libcamera_setting *settings)
{
	int n = 0;

	if (mapping->off.name && is_zero(value) && view->has(view->user, mapping->off.name)) {
		set(&settings[n++], mapping->off.name, mapping->off.value);
		return n;
	}
	if (mapping->words) {
		const struct word *word = find_word(mapping->words, value);

		if (!word)
			return -EINVAL;
		if (!word->value || (word->is_default && !view->has(view->user, mapping->control)))
			return 0;
		value = word->value;
	}
	set(&settings[n++], mapping->control, value);
	if (mapping->with.name && view->has(view->user, mapping->with.name))
		set(&settings[n++], mapping->with.name, mapping->with.value);
	return n;
}

int libcamera_translate(const char *key, const char *value, const struct libcamera_view *view,
			struct libcamera_setting settings[LIBCAMERA_SETTINGS_MAX])
{
	int n;

	if (strcmp(key, "roi") == 0)
		return translate_area("ScalerCrop", value, view, settings);
	if (strcmp(key, "af_window") == 0) {
		n = translate_area("AfWindows", value, view, settings);
		if (n > 0 && view->has(view->user, "AfMetering"))
			set(&settings[n++], "AfMetering", "1"); /* AfMeteringWindows */
		return n;
	}
	for (size_t i = 0; i < sizeof(mappings) / sizeof(*mappings); i++) {
		if (strcmp(mappings[i].key, key) != 0)
			continue;
		n = translate(&mappings[i], value, view, settings);
		/* One search at once: AfModeAuto alone waits for a trigger. */
		if (n == 1 && strcmp(key, "af_mode") == 0 && strcmp(settings[0].value, "1") == 0 &&
		    view->has(view->user, "AfTrigger"))
			set(&settings[n++], "AfTrigger", "0");
		return n;
	}
	return -ENOENT;
}
