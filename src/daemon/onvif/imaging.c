/* SPDX-License-Identifier: BSD-2-Clause */
/* The imaging service (ONVIF Imaging Service Specification), on the controls of a camera. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/controls.h"
#include "daemon/onvif/call.h"

#define VALUE_MAX 64 /* bytes of a setting, terminator included */

/* Settings that are a number here and there; in the order of the schema, where Exposure and Focus
 * stand in between. */
static const struct setting {
	const char *name;    /* of ONVIF */
	const char *control; /* of camcast.ini(5) */
} before[] = {{"Brightness", "brightness"},
	      {"ColorSaturation", "saturation"},
	      {"Contrast", "contrast"}},
  behind[] = {{"Sharpness", "sharpness"}};

#define N_BEFORE (sizeof before / sizeof *before)
#define N_BEHIND (sizeof behind / sizeof *behind)

static bool find_control(const char *name, struct config_control_info *info)
{
	for (size_t i = 0; config_control_info(i, info); i++)
		if (strcmp(info->name, name) == 0)
			return true;
	return false;
}

/* What a control is set to, else its usual value. */
static const char *value_of(const struct camera *camera, const char *control)
{
	struct config_control_info info;
	const char *value = api_control_value(camera, control);

	if (value)
		return value;
	return find_control(control, &info) ? info.example : "0";
}

/* The camera whose controls a request means. */
static enum call_fault find_camera(const struct call *call, const struct camera **out)
{
	const struct camera *camera = call_camera(call, call_argument(call, "VideoSourceToken"));

	if (!camera)
		return CALL_NO_SOURCE;
	*out = camera;
	return api_has_controls(camera) ? CALL_OK : CALL_NO_IMAGING;
}

/* --- what is set --- */

static void add_settings(struct markup *out, const struct camera *camera,
			 const struct setting *settings, size_t n)
{
	for (size_t i = 0; i < n; i++)
		markup_add(out, "<tt:%s>%s</tt:%s>", settings[i].name,
			   value_of(camera, settings[i].control), settings[i].name);
}

/* "auto", or something else that was set by hand. */
static bool is_automatic(const struct camera *camera, const char *control)
{
	const char *value = api_control_value(camera, control);

	return !value || strtod(value, NULL) == 0;
}

static void add_exposure(struct markup *out, const struct camera *camera)
{
	if (is_automatic(camera, "shutter"))
		markup_add(out, "<tt:Exposure><tt:Mode>AUTO</tt:Mode></tt:Exposure>");
	else
		markup_add(out,
			   "<tt:Exposure><tt:Mode>MANUAL</tt:Mode>"
			   "<tt:ExposureTime>%s</tt:ExposureTime></tt:Exposure>",
			   value_of(camera, "shutter"));
}

static void add_focus(struct markup *out, const struct camera *camera)
{
	const char *mode = api_control_value(camera, "af_mode");

	markup_add(out, "<tt:Focus><tt:AutoFocusMode>%s</tt:AutoFocusMode></tt:Focus>",
		   mode && strcmp(mode, "manual") == 0 ? "MANUAL" : "AUTO");
}

static void add_white_balance(struct markup *out, const struct camera *camera)
{
	const char *gains = api_control_value(camera, "awb_gains");
	double red, blue;

	if (gains && sscanf(gains, "%lf , %lf", &red, &blue) == 2)
		markup_add(out,
			   "<tt:WhiteBalance><tt:Mode>MANUAL</tt:Mode><tt:CrGain>%g</tt:CrGain>"
			   "<tt:CbGain>%g</tt:CbGain></tt:WhiteBalance>",
			   red, blue);
	else
		markup_add(out, "<tt:WhiteBalance><tt:Mode>AUTO</tt:Mode></tt:WhiteBalance>");
}

static enum call_fault get_imaging_settings(struct call *call)
{
	const struct camera *camera;
	enum call_fault fault = find_camera(call, &camera);
	struct markup *out = &call->out;

	if (fault)
		return fault;
	markup_add(out, "<timg:ImagingSettings>");
	add_settings(out, camera, before, N_BEFORE);
	add_exposure(out, camera);
	add_focus(out, camera);
	add_settings(out, camera, behind, N_BEHIND);
	add_white_balance(out, camera);
	markup_add(out, "</timg:ImagingSettings>");
	return CALL_OK;
}

/* --- what can be set --- */

static void add_range(struct markup *out, const char *name, const char *control)
{
	struct config_control_info info;

	if (find_control(control, &info))
		markup_add(out, "<tt:%s><tt:Min>%g</tt:Min><tt:Max>%g</tt:Max></tt:%s>", name,
			   info.min, info.max, name);
}

static void add_ranges(struct markup *out, const struct setting *settings, size_t n)
{
	for (size_t i = 0; i < n; i++)
		add_range(out, settings[i].name, settings[i].control);
}

static enum call_fault get_options(struct call *call)
{
	const struct camera *camera;
	enum call_fault fault = find_camera(call, &camera);
	struct markup *out = &call->out;

	if (fault)
		return fault;
	markup_add(out, "<timg:ImagingOptions>");
	add_ranges(out, before, N_BEFORE);
	markup_add(out, "<tt:Exposure><tt:Mode>AUTO</tt:Mode><tt:Mode>MANUAL</tt:Mode>");
	add_range(out, "ExposureTime", "shutter");
	markup_add(out, "</tt:Exposure><tt:Focus><tt:AutoFocusModes>AUTO</tt:AutoFocusModes>"
			"<tt:AutoFocusModes>MANUAL</tt:AutoFocusModes></tt:Focus>");
	add_ranges(out, behind, N_BEHIND);
	markup_add(out, "<tt:WhiteBalance><tt:Mode>AUTO</tt:Mode><tt:Mode>MANUAL</tt:Mode>");
	add_range(out, "YrGain", "awb_gains");
	add_range(out, "YbGain", "awb_gains");
	markup_add(out, "</tt:WhiteBalance></timg:ImagingOptions>");
	return CALL_OK;
}

/* --- setting --- */

static void set_text(cJSON *body, const char *control, const char *text)
{
	cJSON_AddStringToObject(body, control, text);
}

static void set_numbers(const struct call *call, const struct xml_node *wanted, cJSON *body,
			const struct setting *settings, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const char *text = xml_child_text(call->xml, wanted, CALL_SCHEMA, settings[i].name);

		if (text)
			set_text(body, settings[i].control, text);
	}
}

/* A part with a mode. False: the mode is none. *manual: it is, and the part is there. */
static bool read_mode(const struct call *call, const struct xml_node *part, const char *name,
		      bool *manual, bool *automatic)
{
	const char *mode = xml_child_text(call->xml, part, CALL_SCHEMA, name);

	*manual = mode && strcmp(mode, "MANUAL") == 0;
	*automatic = mode && strcmp(mode, "AUTO") == 0;
	return !part || *manual || *automatic;
}

static bool set_exposure(const struct call *call, const struct xml_node *wanted, cJSON *body)
{
	const struct xml_node *part = xml_child(call->xml, wanted, CALL_SCHEMA, "Exposure");
	const char *time = xml_child_text(call->xml, part, CALL_SCHEMA, "ExposureTime");
	bool manual, automatic;

	if (!read_mode(call, part, "Mode", &manual, &automatic))
		return false;
	if (automatic)
		set_text(body, "shutter", "0");
	else if (manual && time)
		set_text(body, "shutter", time);
	return !manual || time;
}

static bool set_focus(const struct call *call, const struct xml_node *wanted, cJSON *body)
{
	const struct xml_node *part = xml_child(call->xml, wanted, CALL_SCHEMA, "Focus");
	bool manual, automatic;

	if (!read_mode(call, part, "AutoFocusMode", &manual, &automatic))
		return false;
	if (manual || automatic)
		set_text(body, "af_mode", manual ? "manual" : "continuous");
	return true;
}

static bool set_white_balance(const struct call *call, const struct xml_node *wanted, cJSON *body)
{
	const struct xml_node *part = xml_child(call->xml, wanted, CALL_SCHEMA, "WhiteBalance");
	const char *red = xml_child_text(call->xml, part, CALL_SCHEMA, "CrGain");
	const char *blue = xml_child_text(call->xml, part, CALL_SCHEMA, "CbGain");
	bool manual, automatic;
	char gains[2 * VALUE_MAX];

	if (!read_mode(call, part, "Mode", &manual, &automatic))
		return false;
	if (automatic)
		set_text(body, "awb", "auto");
	if (!manual)
		return true;
	if (!red || !blue || snprintf(gains, sizeof gains, "%s,%s", red, blue) >= (int)sizeof gains)
		return false;
	set_text(body, "awb_gains", gains);
	return true;
}

static bool may_set(const struct call *call, const struct camera *camera)
{
	for (size_t i = 0; i < camera->n_streams; i++)
		if (!call_may(call, CONFIG_MAY_CONTROL, camera->streams[i]))
			return false;
	return true;
}

static enum call_fault set_imaging_settings(struct call *call)
{
	const struct xml_node *wanted =
		xml_child(call->xml, call->action, CALL_IMAGING, "ImagingSettings");
	const struct camera *camera;
	enum call_fault fault = find_camera(call, &camera);
	cJSON *body;
	int status;

	if (fault)
		return fault;
	if (!may_set(call, camera))
		return CALL_FORBIDDEN;
	if (!wanted)
		return CALL_INVALID;
	body = cJSON_CreateObject();
	set_numbers(call, wanted, body, before, N_BEFORE);
	set_numbers(call, wanted, body, behind, N_BEHIND);
	status = 400;
	if (set_exposure(call, wanted, body) && set_focus(call, wanted, body) &&
	    set_white_balance(call, wanted, body))
		status = api_set_controls(camera, body, call->why);
	cJSON_Delete(body);
	return status == 0 ? CALL_OK : status == 503 ? CALL_BUSY : CALL_SETTINGS;
}

/* --- what does not move, and the service itself --- */

static enum call_fault get_nothing_that_moves(struct call *call, const char *element)
{
	const struct camera *camera;
	enum call_fault fault = find_camera(call, &camera);

	if (!fault)
		markup_add(&call->out, "<timg:%s/>", element);
	return fault;
}

static enum call_fault get_move_options(struct call *call)
{
	return get_nothing_that_moves(call, "MoveOptions");
}

static enum call_fault get_status(struct call *call)
{
	return get_nothing_that_moves(call, "Status");
}

static enum call_fault get_service_capabilities(struct call *call)
{
	markup_add(&call->out, "<timg:Capabilities ImageStabilization=\"false\"/>");
	return CALL_OK;
}

const struct call_row imaging_rows[] = {
	{"GetServiceCapabilities", CONFIG_MAY_VIEW, get_service_capabilities},
	{"GetImagingSettings", CONFIG_MAY_VIEW, get_imaging_settings},
	{"GetOptions", CONFIG_MAY_VIEW, get_options},
	{"GetMoveOptions", CONFIG_MAY_VIEW, get_move_options},
	{"GetStatus", CONFIG_MAY_VIEW, get_status},
	{"SetImagingSettings", CONFIG_MAY_CONTROL, set_imaging_settings},
};
const size_t n_imaging_rows = sizeof imaging_rows / sizeof *imaging_rows;
