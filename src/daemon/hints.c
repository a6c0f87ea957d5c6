/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/hints.h"

#include "base/diag.h"
#include "net/interfaces.h"

/* Where an address is reached from elsewhere. */
static void reach(char where[NET_HOST_PORT_MAX], const struct net_address *listen, uint16_t port)
{
	struct net_host_list own;

	net_host_list_find(&own, -1);
	net_format_host_port(where, net_host_is_any(listen->host) ? own.text[0] : listen->host,
			     port);
}

/* The first output of a stream that has an address of its own; NULL: there is none. */
static const struct output *find_raw(const struct stream *stream)
{
	for (size_t i = 0; i < stream->n_outputs; i++)
		if (stream->outputs[i].config->n_listen > 0)
			return &stream->outputs[i];
	return NULL;
}

/* What stands before the host of a URL of HTTP or RTSP. */
static const char *login(const struct config *config)
{
	if (config_anonymous(config) & CONFIG_MAY_VIEW)
		return "";
	return config->n_users > 0 ? "USER:PASSWORD@" : "";
}

/* Whether there can be a viewer who needs no more than the address: raw TCP asks for no password.
 */
static bool is_open(const struct config *config, const struct config_stream *stream)
{
	return config_anonymous(config) & CONFIG_MAY_VIEW || stream->allow[0];
}

static void print_raw(const struct output *output)
{
	const char *name = output->stream->config->name;
	const char *scheme = output->tcp.tls == CONFIG_TLS_YES ? "tls" : "tcp";
	char where[NET_HOST_PORT_MAX];

	reach(where, &output->config->listen[0], output->tcp.port);
	if (output->config->framing == CONFIG_FRAMING_ANNEXB)
		diag_info("watch %s: ffplay -fflags nobuffer %s://%s", name, scheme, where);
	else
		diag_info("watch %s: camcast recv %s+length://%s | ffplay -", name, scheme, where);
}

static void print_http(const struct stream *stream, const char *scheme, const char *who,
		       const char *where)
{
	const char *name = stream->config->name;

	if (stream->config->codec == CONFIG_CODEC_H264)
		diag_info("watch %s: %s://%s%s/%s.mp4 (or .ts, .m3u8, .h264, .jpg, .mjpg)", name,
			  scheme, who, where, name);
	else
		diag_info("watch %s: %s://%s%s/%s.mjpg (or .jpg)", name, scheme, who, where, name);
}

static void print_rtsp(const struct cameras *cameras, uint16_t port)
{
	const char *scheme = cameras->config->daemon.tls == CONFIG_TLS_YES ? "rtsps" : "rtsp";
	char where[NET_HOST_PORT_MAX];

	reach(where, &cameras->config->daemon.rtsp[0], port);
	for (size_t i = 0; i < cameras->n_streams; i++)
		if (!cameras->streams[i]->config->implied)
			diag_info("watch %s: %s://%s%s/%s", cameras->streams[i]->config->name,
				  scheme, login(cameras->config), where,
				  cameras->streams[i]->config->name);
}

void hints_print(const struct cameras *cameras, uint16_t http_port, uint16_t rtsp_port)
{
	const struct config_daemon *daemon = &cameras->config->daemon;
	const char *scheme = daemon->tls == CONFIG_TLS_YES ? "https" : "http";
	char where[NET_HOST_PORT_MAX];

	for (size_t i = 0; i < cameras->n_streams; i++) {
		const struct output *raw = find_raw(cameras->streams[i]);

		if (raw && is_open(cameras->config, raw->stream->config))
			print_raw(raw);
	}
	if (rtsp_port != 0)
		print_rtsp(cameras, rtsp_port);
	if (http_port == 0)
		return;
	reach(where, &daemon->http[0], http_port);
	for (size_t i = 0; i < cameras->n_streams; i++)
		if (!cameras->streams[i]->config->implied)
			print_http(cameras->streams[i], scheme, login(cameras->config), where);
	diag_info("watch all cameras in a browser: %s://%s/", scheme, where);
}
