/* SPDX-License-Identifier: BSD-2-Clause */
/* The media service (ONVIF Media Service Specification). The tokens are names: of a stream for a
 * profile and for its encoder, of a camera for a source and for its configuration. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/onvif/call.h"
#include "daemon/site/ways.h"
#include "daemon/worker/worker.h"

/* --- what there is --- */

/* The profile with this name; NULL: there is none for the caller. */
static const struct stream *find_stream(const struct call *call, const char *name)
{
	const struct stream *stream =
		name ? cameras_find_stream(call->options->cameras, name, strlen(name)) : NULL;

	return stream && call_sees(call, stream) ? stream : NULL;
}

static unsigned count_profiles(const struct call *call, const struct camera *camera)
{
	unsigned n = 0;

	for (size_t i = 0; i < camera->n_streams; i++)
		n += call_sees(call, camera->streams[i]);
	return n;
}

/* What the source delivers; before it has said so, what is configured. */
static struct config_size size_of(const struct camera *camera)
{
	const struct camcast_msg_heartbeat *said = &camera->status->heartbeat;

	if (said->width && said->height)
		return (struct config_size){said->width, said->height};
	return camera->config->size;
}

static double rate_of(const struct camera *camera)
{
	uint32_t said = camera->status->heartbeat.rate_milli;
	const struct rate *rate = &camera->config->framerate;

	return said ? said / 1e3 : (double)rate->num / rate->den;
}

/* kbit/s; 0: not known. */
static unsigned bitrate_of(const struct stream *stream)
{
	uint32_t said = stream->camera->status->streams[stream->number].target_bps;

	return (said ? said : stream->config->bitrate) / 1000;
}

static bool is_h264(const struct stream *stream)
{
	return stream->config->codec == CONFIG_CODEC_H264;
}

/* As ONVIF spells them. */
static const char *profile_name(const struct stream *stream)
{
	static const char *const names[] = {
		[CONFIG_PROFILE_BASELINE] = "Baseline",
		[CONFIG_PROFILE_MAIN] = "Main",
		[CONFIG_PROFILE_HIGH] = "High",
	};

	return names[stream->config->profile];
}

/* --- configurations --- */

static void add_source(struct call *call, const struct camera *camera, const char *element)
{
	struct config_size size = size_of(camera);
	const char *name = camera->config->name;

	markup_add(&call->out,
		   "<%s token=\"%s\"><tt:Name>%s</tt:Name><tt:UseCount>%u</tt:UseCount>"
		   "<tt:SourceToken>%s</tt:SourceToken>"
		   "<tt:Bounds x=\"0\" y=\"0\" width=\"%u\" height=\"%u\"/></%s>",
		   element, name, name, count_profiles(call, camera), name, size.width, size.height,
		   element);
}

static void add_encoder(struct call *call, const struct stream *stream, const char *element)
{
	const struct config_stream *config = stream->config;
	struct config_size size = size_of(stream->camera);
	struct markup *out = &call->out;

	markup_add(out,
		   "<%s token=\"%s\"><tt:Name>%s</tt:Name><tt:UseCount>1</tt:UseCount>"
		   "<tt:Encoding>%s</tt:Encoding><tt:Resolution><tt:Width>%u</tt:Width>"
		   "<tt:Height>%u</tt:Height></tt:Resolution><tt:Quality>%u</tt:Quality>"
		   "<tt:RateControl><tt:FrameRateLimit>%u</tt:FrameRateLimit>"
		   "<tt:EncodingInterval>1</tt:EncodingInterval>"
		   "<tt:BitrateLimit>%u</tt:BitrateLimit></tt:RateControl>",
		   element, config->name, config->name, is_h264(stream) ? "H264" : "JPEG",
		   size.width, size.height, config->quality,
		   (unsigned)(rate_of(stream->camera) + 0.5), bitrate_of(stream));
	if (is_h264(stream))
		markup_add(out,
			   "<tt:H264><tt:GovLength>%u</tt:GovLength>"
			   "<tt:H264Profile>%s</tt:H264Profile></tt:H264>",
			   config->keyframe_interval, profile_name(stream));
	markup_add(out,
		   "<tt:Multicast><tt:Address><tt:Type>IPv4</tt:Type>"
		   "<tt:IPv4Address>0.0.0.0</tt:IPv4Address></tt:Address><tt:Port>0</tt:Port>"
		   "<tt:TTL>1</tt:TTL><tt:AutoStart>false</tt:AutoStart></tt:Multicast>"
		   "<tt:SessionTimeout>PT60S</tt:SessionTimeout></%s>",
		   element);
}

static void add_profile(struct call *call, const struct stream *stream, const char *element)
{
	const char *name = stream->config->name;

	markup_add(&call->out, "<%s token=\"%s\" fixed=\"true\"><tt:Name>%s</tt:Name>", element,
		   name, name);
	add_source(call, stream->camera, "tt:VideoSourceConfiguration");
	add_encoder(call, stream, "tt:VideoEncoderConfiguration");
	markup_add(&call->out, "</%s>", element);
}

/* --- requests about profiles --- */

/* Calls each for every profile; H.264 first, because some recorders take the first one. */
static void for_profiles(struct call *call, const char *element,
			 void (*each)(struct call *call, const struct stream *stream,
				      const char *element))
{
	const struct cameras *cameras = call->options->cameras;

	for (int h264 = 1; h264 >= 0; h264--)
		for (size_t i = 0; i < cameras->n_streams; i++)
			if (is_h264(cameras->streams[i]) == h264 &&
			    call_sees(call, cameras->streams[i]))
				each(call, cameras->streams[i], element);
}

static enum call_fault get_profiles(struct call *call)
{
	for_profiles(call, "trt:Profiles", add_profile);
	return CALL_OK;
}

static enum call_fault get_profile(struct call *call)
{
	const struct stream *stream = find_stream(call, call_argument(call, "ProfileToken"));

	if (!stream)
		return CALL_NO_PROFILE;
	add_profile(call, stream, "trt:Profile");
	return CALL_OK;
}

static void add_uri(struct call *call, const char *scheme_and_host, const char *path)
{
	markup_add(&call->out,
		   "<trt:MediaUri><tt:Uri>%s%s</tt:Uri>"
		   "<tt:InvalidAfterConnect>false</tt:InvalidAfterConnect>"
		   "<tt:InvalidAfterReboot>false</tt:InvalidAfterReboot>"
		   "<tt:Timeout>PT0S</tt:Timeout></trt:MediaUri>",
		   scheme_and_host, path);
}

/* The transport is chosen by RTSP: its requests name it. */
static enum call_fault get_stream_uri(struct call *call)
{
	const struct cameras *cameras = call->options->cameras;
	const struct stream *stream = find_stream(call, call_argument(call, "ProfileToken"));
	bool tls = cameras->config->daemon.tls == CONFIG_TLS_YES;
	char at[CALL_BASE_MAX], path[WAY_PATH_MAX];

	if (!stream)
		return CALL_NO_PROFILE;
	snprintf(at, sizeof at, "%s://%s:%u", tls ? "rtsps" : "rtsp", call->host,
		 cameras->rtsp_port);
	snprintf(path, sizeof path, "/%s", stream->config->name);
	add_uri(call, at, path);
	return CALL_OK;
}

static enum call_fault get_snapshot_uri(struct call *call)
{
	const struct stream *stream = find_stream(call, call_argument(call, "ProfileToken"));
	char path[WAY_PATH_MAX];

	if (!stream)
		return CALL_NO_PROFILE;
	way_path(path, stream->config, way_find("jpg"));
	add_uri(call, call->base, path);
	return CALL_OK;
}

static enum call_fault set_synchronization_point(struct call *call)
{
	const struct stream *stream = find_stream(call, call_argument(call, "ProfileToken"));

	if (!stream)
		return CALL_NO_PROFILE;
	if (is_h264(stream))
		feed_ask_key(stream->outputs[0].feed);
	return CALL_OK;
}

/* --- requests about sources --- */

static void for_cameras(struct call *call,
			void (*each)(struct call *call, const struct camera *camera))
{
	const struct cameras *cameras = call->options->cameras;

	for (size_t i = 0; i < cameras->n_cameras; i++)
		if (count_profiles(call, cameras->cameras[i]) > 0)
			each(call, cameras->cameras[i]);
}

static void add_video_source(struct call *call, const struct camera *camera)
{
	struct config_size size = size_of(camera);

	markup_add(&call->out,
		   "<trt:VideoSources token=\"%s\"><tt:Framerate>%g</tt:Framerate><tt:Resolution>"
		   "<tt:Width>%u</tt:Width><tt:Height>%u</tt:Height></tt:Resolution>"
		   "</trt:VideoSources>",
		   camera->config->name, rate_of(camera), size.width, size.height);
}

static enum call_fault get_video_sources(struct call *call)
{
	for_cameras(call, add_video_source);
	return CALL_OK;
}

static void add_one_source(struct call *call, const struct camera *camera)
{
	add_source(call, camera, "trt:Configurations");
}

static enum call_fault get_video_source_configurations(struct call *call)
{
	for_cameras(call, add_one_source);
	return CALL_OK;
}

static enum call_fault get_video_source_configuration(struct call *call)
{
	const struct camera *camera = call_camera(call, call_argument(call, "ConfigurationToken"));

	if (!camera)
		return CALL_NO_CONFIG;
	add_source(call, camera, "trt:Configuration");
	return CALL_OK;
}

/* Of a profile. */
static enum call_fault get_compatible_sources(struct call *call)
{
	const struct stream *stream = find_stream(call, call_argument(call, "ProfileToken"));

	if (!stream)
		return CALL_NO_PROFILE;
	add_one_source(call, stream->camera);
	return CALL_OK;
}

/* The camera that a request means, which may name its configuration, a profile, or nothing. */
static const struct camera *meant_camera(const struct call *call)
{
	const char *configuration = call_argument(call, "ConfigurationToken");
	const char *profile = call_argument(call, "ProfileToken");
	const struct cameras *cameras = call->options->cameras;
	const struct stream *stream = find_stream(call, profile);

	if (configuration)
		return call_camera(call, configuration);
	if (profile)
		return stream ? stream->camera : NULL;
	for (size_t i = 0; i < cameras->n_cameras; i++)
		if (count_profiles(call, cameras->cameras[i]) > 0)
			return cameras->cameras[i];
	return NULL;
}

static void add_range(struct markup *out, const char *name, unsigned min, unsigned max)
{
	markup_add(out, "<tt:%s><tt:Min>%u</tt:Min><tt:Max>%u</tt:Max></tt:%s>", name, min, max,
		   name);
}

static enum call_fault get_video_source_configuration_options(struct call *call)
{
	const struct camera *camera = meant_camera(call);
	struct config_size size;

	if (!camera)
		return CALL_NO_CONFIG;
	size = size_of(camera);
	markup_add(&call->out, "<trt:Options><tt:BoundsRange>");
	add_range(&call->out, "XRange", 0, 0);
	add_range(&call->out, "YRange", 0, 0);
	add_range(&call->out, "WidthRange", size.width, size.width);
	add_range(&call->out, "HeightRange", size.height, size.height);
	markup_add(&call->out,
		   "</tt:BoundsRange><tt:VideoSourceTokensAvailable>%s"
		   "</tt:VideoSourceTokensAvailable></trt:Options>",
		   camera->config->name);
	return CALL_OK;
}

/* --- requests about encoders --- */

static enum call_fault get_video_encoder_configurations(struct call *call)
{
	for_profiles(call, "trt:Configurations", add_encoder);
	return CALL_OK;
}

static enum call_fault get_video_encoder_configuration(struct call *call)
{
	const struct stream *stream = find_stream(call, call_argument(call, "ConfigurationToken"));

	if (!stream)
		return CALL_NO_CONFIG;
	add_encoder(call, stream, "trt:Configuration");
	return CALL_OK;
}

static enum call_fault get_compatible_encoders(struct call *call)
{
	const struct stream *stream = find_stream(call, call_argument(call, "ProfileToken"));

	if (!stream)
		return CALL_NO_PROFILE;
	add_encoder(call, stream, "trt:Configurations");
	return CALL_OK;
}

/* The stream that a request means, in the same way as meant_camera(). */
static const struct stream *meant_stream(const struct call *call)
{
	const char *configuration = call_argument(call, "ConfigurationToken");
	const char *profile = call_argument(call, "ProfileToken");
	const struct cameras *cameras = call->options->cameras;

	if (configuration || profile)
		return find_stream(call, configuration ? configuration : profile);
	for (size_t i = 0; i < cameras->n_streams; i++)
		if (call_sees(call, cameras->streams[i]))
			return cameras->streams[i];
	return NULL;
}

/* Only the bitrate can be changed, so that the other ranges are what is. */
static enum call_fault get_video_encoder_configuration_options(struct call *call)
{
	const struct stream *stream = meant_stream(call);
	struct markup *out = &call->out;
	const char *codec;
	struct config_size size;
	unsigned rate, gop;

	if (!stream)
		return CALL_NO_CONFIG;
	size = size_of(stream->camera);
	rate = (unsigned)(rate_of(stream->camera) + 0.5);
	gop = stream->config->keyframe_interval;
	codec = is_h264(stream) ? "H264" : "JPEG";
	markup_add(out, "<trt:Options>");
	add_range(out, "QualityRange", stream->config->quality, stream->config->quality);
	markup_add(out,
		   "<tt:%s><tt:ResolutionsAvailable><tt:Width>%u</tt:Width>"
		   "<tt:Height>%u</tt:Height></tt:ResolutionsAvailable>",
		   codec, size.width, size.height);
	if (is_h264(stream))
		add_range(out, "GovLengthRange", gop, gop);
	add_range(out, "FrameRateRange", rate, rate);
	add_range(out, "EncodingIntervalRange", 1, 1);
	if (is_h264(stream))
		markup_add(out, "<tt:H264ProfilesSupported>%s</tt:H264ProfilesSupported>",
			   profile_name(stream));
	markup_add(out, "</tt:%s></trt:Options>", codec);
	return CALL_OK;
}

static enum call_fault get_guaranteed_number(struct call *call)
{
	const struct camera *camera = meant_camera(call);
	unsigned n = camera ? count_profiles(call, camera) : 0;

	if (!camera)
		return CALL_NO_CONFIG;
	markup_add(&call->out, "<trt:TotalNumber>%u</trt:TotalNumber>", n);
	return CALL_OK;
}

/* A number of the configuration that is to be set; false: it is there, and none. */
static bool read_number(const char *text, long *out)
{
	char *end;

	if (!text)
		return true;
	*out = strtol(text, &end, 10);
	return *text && *end == '\0';
}

/* Whether a configuration asks for what the encoder does, apart from the bitrate. */
static bool asks_for_the_same(const struct call *call, const struct stream *stream,
			      const struct xml_node *wanted)
{
	const struct xml_node *resolution = xml_child(call->xml, wanted, CALL_SCHEMA, "Resolution");
	const char *encoding = xml_child_text(call->xml, wanted, CALL_SCHEMA, "Encoding");
	struct config_size size = size_of(stream->camera);
	long width = size.width, height = size.height;

	return (!encoding || strcmp(encoding, is_h264(stream) ? "H264" : "JPEG") == 0) &&
	       read_number(xml_child_text(call->xml, resolution, CALL_SCHEMA, "Width"), &width) &&
	       read_number(xml_child_text(call->xml, resolution, CALL_SCHEMA, "Height"), &height) &&
	       width == (long)size.width && height == (long)size.height;
}

static enum call_fault set_bitrate(struct call *call, const struct stream *stream, long kbps)
{
	cJSON *body = cJSON_CreateObject();
	int status;

	cJSON_AddNumberToObject(body, "bitrate", (double)kbps * 1000);
	status = api_set_bitrate(stream, body, call->why);
	cJSON_Delete(body);
	return status == 0 ? CALL_OK : CALL_MODIFY;
}

static enum call_fault set_video_encoder_configuration(struct call *call)
{
	const struct xml_node *wanted =
		xml_child(call->xml, call->action, CALL_MEDIA, "Configuration");
	const struct xml_node *control = xml_child(call->xml, wanted, CALL_SCHEMA, "RateControl");
	const struct stream *stream = find_stream(call, xml_attribute(call->xml, wanted, "token"));
	long kbps;

	if (!stream)
		return CALL_NO_CONFIG;
	if (!call_may(call, CONFIG_MAY_CONTROL, stream))
		return CALL_FORBIDDEN;
	kbps = (long)bitrate_of(stream);
	if (!read_number(xml_child_text(call->xml, control, CALL_SCHEMA, "BitrateLimit"), &kbps))
		return CALL_INVALID;
	if (!asks_for_the_same(call, stream, wanted))
		return CALL_MODIFY;
	return kbps == (long)bitrate_of(stream) ? CALL_OK : set_bitrate(call, stream, kbps);
}

static enum call_fault get_service_capabilities(struct call *call)
{
	markup_add(&call->out,
		   "<trt:Capabilities SnapshotUri=\"true\" Rotation=\"false\" "
		   "VideoSourceMode=\"false\" OSD=\"false\">"
		   "<trt:ProfileCapabilities MaximumNumberOfProfiles=\"%u\"/>"
		   "<trt:StreamingCapabilities RTPMulticast=\"false\" RTP_TCP=\"true\" "
		   "RTP_RTSP_TCP=\"true\"/></trt:Capabilities>",
		   (unsigned)call->options->cameras->n_streams);
	return CALL_OK;
}

/* Synology Surveillance Station tries to make a profile of its own. */
static enum call_fault create_profile(struct call *call)
{
	(void)call;
	return CALL_PROFILES;
}

static enum call_fault delete_profile(struct call *call)
{
	return find_stream(call, call_argument(call, "ProfileToken")) ? CALL_FIXED
								      : CALL_NO_PROFILE;
}

#define VIEW CONFIG_MAY_VIEW

const struct call_row media_rows[] = {
	{"GetServiceCapabilities", VIEW, get_service_capabilities},
	{"GetProfiles", VIEW, get_profiles},
	{"GetProfile", VIEW, get_profile},
	{"CreateProfile", VIEW, create_profile}, /* which changes nothing */
	{"DeleteProfile", VIEW, delete_profile},
	{"GetStreamUri", VIEW, get_stream_uri},
	{"GetSnapshotUri", VIEW, get_snapshot_uri},
	{"SetSynchronizationPoint", VIEW, set_synchronization_point},
	{"GetVideoSources", VIEW, get_video_sources},
	{"GetVideoSourceConfigurations", VIEW, get_video_source_configurations},
	{"GetVideoSourceConfiguration", VIEW, get_video_source_configuration},
	{"GetVideoSourceConfigurationOptions", VIEW, get_video_source_configuration_options},
	{"GetCompatibleVideoSourceConfigurations", VIEW, get_compatible_sources},
	{"GetVideoEncoderConfigurations", VIEW, get_video_encoder_configurations},
	{"GetVideoEncoderConfiguration", VIEW, get_video_encoder_configuration},
	{"GetVideoEncoderConfigurationOptions", VIEW, get_video_encoder_configuration_options},
	{"GetCompatibleVideoEncoderConfigurations", VIEW, get_compatible_encoders},
	{"GetGuaranteedNumberOfVideoEncoderInstances", VIEW, get_guaranteed_number},
	{"SetVideoEncoderConfiguration", CONFIG_MAY_CONTROL, set_video_encoder_configuration},
	/* There is none of these. */
	{"GetAudioSources", VIEW, call_answer_nothing},
	{"GetAudioSourceConfigurations", VIEW, call_answer_nothing},
	{"GetAudioEncoderConfigurations", VIEW, call_answer_nothing},
	{"GetAudioOutputs", VIEW, call_answer_nothing},
	{"GetAudioOutputConfigurations", VIEW, call_answer_nothing},
	{"GetAudioDecoderConfigurations", VIEW, call_answer_nothing},
	{"GetCompatibleAudioSourceConfigurations", VIEW, call_answer_nothing},
	{"GetCompatibleAudioEncoderConfigurations", VIEW, call_answer_nothing},
	{"GetVideoAnalyticsConfigurations", VIEW, call_answer_nothing},
	{"GetMetadataConfigurations", VIEW, call_answer_nothing},
	{"GetOSDs", VIEW, call_answer_nothing},
};
const size_t n_media_rows = sizeof media_rows / sizeof *media_rows;
