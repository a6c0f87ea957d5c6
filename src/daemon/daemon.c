/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/daemon.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include "base/diag.h"
#include "daemon/devices.h"
#include "daemon/hints.h"
#include "daemon/limits.h"
#include "daemon/parts.h"
#include "daemon/serve/tls_context.h"
#include "daemon/state_folder.h"
#include "daemon/user.h"

#define DRAIN_US 2000000
#define NOTIFY_PERIOD_US 5000000

/* --- the service manager --- */

/* A notification needs a socket. Without a spare fd the watchdog would kill camcastd whenever the
 * fd table is full. */
void daemon_notify(struct daemon *daemon, const char *state)
{
	int err = sd_notify(0, state);

	if (err == -EMFILE || err == -ENFILE) {
		fdreserve_give(daemon->reserve, 1);
		sd_notify(0, state);
	}
}

static void notify_status(struct daemon *daemon)
{
	char why[HEALTH_WHY_MAX], state[HEALTH_WHY_MAX + 96];
	bool healthy = health_check(daemon->cameras, loop_now_us(daemon->loop), why);

	snprintf(state, sizeof state, "WATCHDOG=1\nSTATUS=%u clients; %s",
		 admission_viewers(daemon->admission), healthy ? "pictures flow" : why);
	daemon_notify(daemon, state);
}

static void handle_notify(struct loop_timer *timer)
{
	struct daemon *daemon = container_of(timer, struct daemon, notify);

	notify_status(daemon);
	loop_timer_set(daemon->loop, timer, loop_now_us(daemon->loop) + daemon->notify_period_us);
}

static void start_notify(struct daemon *daemon)
{
	uint64_t watchdog_us;

	if (!getenv("NOTIFY_SOCKET"))
		return;
	daemon->notify_period_us = NOTIFY_PERIOD_US;
	if (sd_watchdog_enabled(0, &watchdog_us) > 0 &&
	    (int64_t)(watchdog_us / 2) < daemon->notify_period_us)
		daemon->notify_period_us = (int64_t)(watchdog_us / 2);
	daemon_notify(daemon, "READY=1");
	handle_notify(&daemon->notify);
}

/* --- the end --- */

static void handle_drained(void *user)
{
	struct daemon *daemon = user;

	if (--daemon->draining == 0)
		loop_stop(daemon->loop);
}

static void handle_drain_timeout(struct loop_timer *timer)
{
	struct daemon *daemon = container_of(timer, struct daemon, drain);

	diag_info("clients that have not taken their last unit within %d s are disconnected",
		  DRAIN_US / 1000000);
	loop_stop(daemon->loop);
}

static void stop(struct daemon *daemon, const char *signal_name)
{
	struct cameras *cameras = daemon->cameras;

	diag_info("SIG%s: stopping", signal_name);
	daemon->stopping = true;
	daemon_notify(daemon, "STOPPING=1");
	loop_timer_cancel(daemon->loop, &daemon->notify);
	server_stop(daemon->server);
	reload_cancel(daemon);
	presentations_retract(&daemon->presentations);
	if (daemon->onvif)
		onvif_leave(daemon->onvif);
	if (daemon->discovery)
		discovery_stop(daemon->discovery);
	for (size_t i = 0; i < cameras->n_cameras; i++)
		worker_stop(cameras->cameras[i]->worker);
	pushes_stop(daemon->pushes);
	loop_timer_set(daemon->loop, &daemon->drain, loop_now_us(daemon->loop) + DRAIN_US);
	daemon->draining = cameras->n_outputs;
	for (size_t i = 0; i < cameras->n_outputs; i++)
		feed_drain(cameras->outputs[i]->feed, handle_drained, daemon);
}

static void handle_signal(struct loop_watch *watch, uint32_t events)
{
	struct daemon *daemon = container_of(watch, struct daemon, signals);
	struct signalfd_siginfo info;

	(void)events;
	if (read(watch->fd, &info, sizeof info) != sizeof info)
		return;
	if (info.ssi_signo == SIGHUP) {
		if (!daemon->stopping)
			reload_begin(daemon);
		return;
	}
	/* Closing our end of a pair tells the worker to stop. */
	if (daemon->stopping)
		_exit(128 + (int)info.ssi_signo);
	stop(daemon, sigabbrev_np((int)info.ssi_signo));
}

/* --- the beginning --- */

/* Whether the test pattern replaces a camera: `auto` found none, and would show the pattern for
 * ever. */
static bool stands_in(const struct camera *camera)
{
	return strcmp(camera->config->source, "auto") == 0 &&
	       strcmp(camera->status->heartbeat.source, "pattern") == 0;
}

static void handle_device(void *user)
{
	struct daemon *daemon = user;

	if (daemon->stopping)
		return;
	for (size_t i = 0; i < daemon->cameras->n_cameras; i++) {
		const struct camera *camera = daemon->cameras->cameras[i];

		if (stands_in(camera))
			worker_restart(camera->worker, "a device appeared, which may be the camera "
						       "that the test pattern stands in for");
		worker_hurry(camera->worker);
	}
}

/* Without this watch, a worker finds a camera that appears at its next try only. */
static void watch_devices(struct daemon *daemon)
{
	int err = devices_watch(&daemon->devices, daemon->loop, "/dev", handle_device, daemon);

	if (err < 0)
		diag_warn("cannot watch /dev for cameras that are plugged in: %s", strerror(-err));
}

static int watch_signals(struct daemon *daemon)
{
	sigset_t set;
	int err;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	daemon->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (daemon->signal_fd < 0)
		return -errno;
	daemon->signals.fd = daemon->signal_fd;
	daemon->signals.events = EPOLLIN;
	daemon->signals.ready = handle_signal;
	err = loop_watch_add(daemon->loop, &daemon->signals);
	if (err < 0) {
		close(daemon->signal_fd);
		daemon->signal_fd = -1;
	}
	return err;
}

int daemon_create_workers(struct daemon *daemon, const char *text, size_t len)
{
	struct worker_options options = {
		.program = daemon->options.capture,
		.verbose = daemon->options.verbose_workers,
		.no_sandbox = daemon->config->daemon.sandbox == CONFIG_SANDBOX_NO,
		/* The same bytes that camcastd has read, even if the file changes. */
		.config_text = text,
		.config_len = len,
		.reserve = daemon->reserve,
	};

	for (size_t i = 0; i < daemon->cameras->n_cameras; i++) {
		struct camera *camera = daemon->cameras->cameras[i];
		int err;

		if (camera->worker)
			continue;
		options.camera = camera;
		err = worker_create(&camera->worker, daemon->loop, &options);
		if (err < 0)
			return err;
		camera->status = worker_status(camera->worker);
	}
	return 0;
}

static int create_feed(struct daemon *daemon, struct output *output)
{
	const struct config_stream *stream = output->stream->config;
	struct feed_options options = {
		.name = output->name,
		.policy = stream,
		.key_only = stream->codec == CONFIG_CODEC_MJPEG,
		.can_force_idr = stream->encoder != CONFIG_ENCODER_COPY,
		.preamble_apart = output_is_rtp(output),
	};
	int err = feed_create(&output->feed, daemon->loop, &options,
			      worker_feed_demand(output->stream->camera->worker, output->number));

	if (err < 0)
		return err;
	output->tcp.user = output->http.user = output->feed;
	presentations_serve(&daemon->rtsp, output);
	return daemon->site ? site_serve(daemon->site, output) : 0;
}

int daemon_create_feeds(struct daemon *daemon)
{
	int err = 0;

	for (size_t i = 0; err == 0 && i < daemon->cameras->n_outputs; i++)
		if (!daemon->cameras->outputs[i]->feed)
			err = create_feed(daemon, daemon->cameras->outputs[i]);
	return err;
}

void daemon_set_endpoints(struct daemon *daemon)
{
	const struct config *config = daemon->config;

	for (size_t i = 0; i < daemon->cameras->n_outputs; i++) {
		struct output *output = daemon->cameras->outputs[i];

		output->tcp.gate = access_stream_gate(daemon->access, output->stream->index);
		output->tcp.tls = output->stream->config->tls;
		output->tcp.access = config_has_certificates(config) ? daemon->access : NULL;
		output->tcp.stream = output->stream->index;
	}
	daemon->http.cors = config->daemon.cors;
	daemon->rtsp.udp = config->daemon.rtsp_udp;
	daemon->rtsp.satip = config->daemon.satip;
	daemon->http.hosts = config->daemon.http_hosts;
	daemon->http_endpoint.tls = daemon->rtsp_endpoint.tls = config->daemon.tls;
	daemon->cameras->rtsp_port = daemon->rtsp_endpoint.port;
}

static size_t add_places(struct server_place *places, struct endpoint *endpoint,
			 const struct net_address *addresses, size_t n, const char *key)
{
	for (size_t i = 0; i < n; i++) {
		places[i] = (struct server_place){.endpoint = endpoint, .address = &addresses[i]};
		snprintf(places[i].key, sizeof places[i].key, "%s", key);
	}
	return n;
}

int daemon_listen(struct daemon *daemon, const struct listen_hosts *hosts)
{
	const struct config *config = daemon->config;
	struct server_place *places =
		calloc((config->n_feeds + 2) * CONFIG_LISTENERS_MAX, sizeof *places);
	char key[CONFIG_NAME_MAX + 64];
	size_t n = 0;
	int err;

	if (!places)
		return -ENOMEM;
	for (size_t i = 0; i < daemon->cameras->n_outputs; i++) {
		struct output *output = daemon->cameras->outputs[i];

		snprintf(key, sizeof key, "%s in [stream %s]",
			 config_framing_name(output->config->framing),
			 output->stream->config->name);
		n += add_places(places + n, &output->tcp, output->config->listen,
				output->config->n_listen, key);
	}
	n += add_places(places + n, &daemon->http_endpoint, config->daemon.http,
			config->daemon.n_http, "http in [daemon]");
	n += add_places(places + n, &daemon->rtsp_endpoint, config->daemon.rtsp,
			config->daemon.n_rtsp, "rtsp in [daemon]");
	err = server_listen(daemon->server, places, n, hosts);
	free(places);
	return err;
}

static int create_loop(struct daemon *daemon)
{
	const struct config_daemon *config = &daemon->config->daemon;
	struct loop_options options = {
		.backend = config->backend,
		.send_threshold = config->send_threshold,
		.max_conns = config->max_clients,
	};
	int err = loop_create(&daemon->loop, &options);

	if (err < 0)
		diag_error("cannot create the event loop: %s", strerror(-err));
	return err;
}

/* Creates the parts that are not visible on the network, so that an error up to here leaves no
 * trace there. */
static int create_inside(struct daemon *daemon, const struct daemon_options *options)
{
	int err = cameras_create(&daemon->cameras, daemon->config);

	if (err < 0)
		return err;
	err = create_loop(daemon);
	if (err < 0)
		return err;
	leaving_init(&daemon->leaving, daemon->loop);
	err = access_create(&daemon->access, daemon->loop, daemon->config);
	if (err < 0)
		return err;
	err = fdreserve_create(&daemon->reserve, daemon->loop, LIMITS_FDS_HELD);
	if (err < 0)
		return err;
	err = watch_signals(daemon);
	if (err < 0)
		return err;
	daemon->presentations = (struct presentations){
		.cameras = daemon->cameras,
		.access = daemon->access,
		.loop = daemon->loop,
	};
	rtsp_init_endpoint(&daemon->rtsp_endpoint, &daemon->rtsp);
	daemon->rtsp_endpoint.gate = access_gate(daemon->access);
	presentations_init(&daemon->presentations, &daemon->rtsp);
	err = daemon_create_workers(daemon, options->text, options->len);
	if (err < 0)
		return err;
	return daemon_create_feeds(daemon);
}

int daemon_create_discovery(struct daemon *daemon)
{
	char folder[PATH_MAX];
	struct discovery_options options = {
		.config_path = daemon->options.config_path,
		.state_folder = state_folder(folder),
		.loop = daemon->loop,
		.cameras = daemon->cameras,
		.pushes = daemon->pushes,
		.reserve = daemon->reserve,
	};
	int err = daemon->config->mqtt.on ? discovery_create(&daemon->discovery, &options) : 0;

	daemon->view.discovery = daemon->discovery;
	daemon->discovery_config = daemon->discovery ? daemon->config : NULL;
	return err;
}

void daemon_announce(struct daemon *daemon)
{
	struct mdns_services *services = NULL;
	int err = 0;

	if (!daemon->mdns && !mdns_is_wanted(daemon->config))
		return;
	if (!daemon->mdns)
		err = mdns_create(&daemon->mdns);
	daemon->view.mdns = daemon->mdns;
	if (err == 0)
		services = mdns_services_create(daemon->config, daemon->http_endpoint.port,
						daemon->rtsp_endpoint.port);
	if (services)
		mdns_publish(daemon->mdns, services);
	else
		diag_error("mdns: this server is not announced: %s",
			   strerror(err < 0 ? -err : ENOMEM));
}

static int create_onvif(struct daemon *daemon)
{
	const struct onvif_options options = {
		.loop = daemon->loop,
		.cameras = daemon->cameras,
		.access = daemon->access,
	};

	return onvif_create(&daemon->onvif, &options);
}

int daemon_create_site(struct daemon *daemon)
{
	struct site_options options = {
		.loop = daemon->loop,
		.cameras = daemon->cameras,
		.access = daemon->access,
		.http = &daemon->http,
		.pushes = daemon->pushes,
	};
	int err;

	if (daemon->site || daemon->config->daemon.n_http == 0)
		return 0;
	if (!daemon->status) {
		err = status_create(&daemon->status, &daemon->view);
		if (err < 0)
			return err;
	}
	if (daemon->config->onvif.on && !daemon->onvif) {
		err = create_onvif(daemon);
		if (err < 0)
			return err;
	}
	options.status = daemon->status;
	options.onvif = daemon->onvif;
	err = site_create(&daemon->site, &options);
	if (err < 0)
		return err;
	daemon->http.handler = site_handle;
	daemon->http.user = daemon->site;
	daemon->http.access = daemon->access;
	http_init_endpoint(&daemon->http_endpoint, &daemon->http);
	daemon->http_endpoint.gate = access_gate(daemon->access);
	return 0;
}

static int create_pushes(struct daemon *daemon)
{
	const struct pushes_options options = {
		.loop = daemon->loop,
		.cameras = daemon->cameras,
		.server = daemon->server,
		.reserve = daemon->reserve,
		.program = daemon->options.push,
		.verbose = daemon->options.verbose_workers,
		.no_sandbox = daemon->config->daemon.sandbox == CONFIG_SANDBOX_NO,
	};
	int err = pushes_create(&daemon->pushes, &options);

	daemon->view.pushes = daemon->pushes;
	return err;
}

static int create_tls(struct daemon *daemon)
{
	const struct tls_options options = tls_options_from(&daemon->config->tls);
	struct tls_context *context;
	char why[TLS_WHY_MAX];
	int err;

	if (!config_uses_tls(daemon->config))
		return 0;
	err = tls_context_create(&context, &options, why);
	if (err < 0) {
		diag_error("tls: %s", why);
		return err;
	}
	err = server_enable_tls(daemon->server, context);
	if (err < 0)
		tls_context_destroy(context);
	return err;
}

static int create_outside(struct daemon *daemon)
{
	const struct config_daemon *config = &daemon->config->daemon;
	int err = admission_create(&daemon->admission, daemon->loop, config, daemon->reserve);

	if (err < 0)
		return err;
	err = server_create(&daemon->server, daemon->loop, config, daemon->admission);
	if (err < 0)
		return err;
	err = create_tls(daemon);
	if (err < 0)
		return err;
	daemon->view = (struct status_view){
		.loop = daemon->loop,
		.cameras = daemon->cameras,
		.admission = daemon->admission,
		.access = daemon->access,
		.reserve = daemon->reserve,
		.handshakes = server_handshakes(daemon->server),
		.http = &daemon->http,
		.rtsp = &daemon->rtsp,
		.reload = &daemon->reload_status,
		.started_us = loop_now_us(daemon->loop),
	};
	daemon->reload_status.loaded_s = time(NULL);
	err = create_pushes(daemon);
	if (err < 0)
		return err;
	err = daemon_create_site(daemon);
	if (err < 0)
		return err;
	daemon_set_endpoints(daemon);
	err = daemon_listen(daemon, NULL);
	if (err < 0)
		return err;
	daemon->cameras->rtsp_port = daemon->rtsp_endpoint.port;
	/* All ports are open, and neither workers nor discovery run yet. */
	err = user_become(config->user);
	if (err < 0)
		return err;
	return daemon_create_discovery(daemon);
}

unsigned daemon_other_fds(const struct config *config)
{
	return HTTP_CONNECTIONS_MAX + (config->daemon.n_rtsp ? RTSP_CONNECTIONS_MAX : 0) +
	       (config->mqtt.on ? DISCOVERY_FDS : 0) + (mdns_is_wanted(config) ? MDNS_FDS : 0) +
	       (config_uses_tls(config) ? HANDSHAKES_FDS : 0);
}

int daemon_create(struct daemon **out, const struct daemon_options *options)
{
	struct daemon *daemon = calloc(1, sizeof *daemon);
	int err;

	if (!daemon)
		return -ENOMEM;
	daemon->options = *options;
	daemon->options.config = NULL;
	daemon->options.text = NULL;
	daemon->config = options->config;
	daemon->signal_fd = -1;
	loop_timer_init(&daemon->drain, handle_drain_timeout);
	loop_timer_init(&daemon->notify, handle_notify);
	err = limits_apply(daemon->config, daemon_other_fds(daemon->config));
	if (err < 0)
		goto fail;
	err = create_inside(daemon, options);
	if (err < 0)
		goto fail;
	err = create_outside(daemon);
	if (err < 0)
		goto fail;
	for (size_t i = 0; i < daemon->cameras->n_cameras; i++)
		worker_start(daemon->cameras->cameras[i]->worker);
	pushes_start(daemon->pushes);
	presentations_renew(&daemon->presentations);
	watch_devices(daemon);
	if (daemon->onvif) /* without WS-Discovery it can still be asked */
		onvif_discover(daemon->onvif, daemon->http_endpoint.port);
	daemon_announce(daemon);
	hints_print(daemon->cameras, daemon->http_endpoint.port, daemon->rtsp_endpoint.port);
	access_log_open(daemon->access);
	start_notify(daemon);
	*out = daemon;
	return 0;

fail:
	daemon->config = NULL; /* it stays the caller's */
	daemon_destroy(daemon);
	return err;
}

int daemon_run(struct daemon *daemon)
{
	return loop_run(daemon->loop);
}

void daemon_destroy(struct daemon *daemon)
{
	struct cameras *cameras;

	if (!daemon)
		return;
	cameras = daemon->cameras;
	reload_finish(daemon);
	devices_unwatch(daemon->devices);
	mdns_destroy(daemon->mdns);
	discovery_destroy(daemon->discovery);
	discovery_destroy(daemon->discovery_leaving);
	if (daemon->loop) {
		loop_timer_cancel(daemon->loop, &daemon->discovery_sweep);
		loop_timer_cancel(daemon->loop, &daemon->drain);
		loop_timer_cancel(daemon->loop, &daemon->notify);
	}
	if (daemon->server)
		server_stop(daemon->server);
	pushes_stop(daemon->pushes);
	presentations_finish(&daemon->presentations);
	/* Feeds go first, so that workers are not notified of the viewers that leave with them. */
	for (size_t i = 0; cameras && i < cameras->n_outputs; i++)
		if (cameras->outputs[i]->feed)
			feed_destroy(cameras->outputs[i]->feed);
	/* All workers are stopped before the first is waited for, so that their times do not add
	 * up. */
	for (size_t i = 0; cameras && i < cameras->n_cameras; i++)
		if (cameras->cameras[i]->worker && !daemon->stopping)
			worker_stop(cameras->cameras[i]->worker);
	for (size_t i = 0; cameras && i < cameras->n_cameras; i++)
		worker_destroy(cameras->cameras[i]->worker);
	leaving_finish(&daemon->leaving);
	pushes_finish(daemon->pushes);
	server_destroy(daemon->server);
	site_destroy(daemon->site);
	onvif_destroy(daemon->onvif);
	status_destroy(daemon->status);
	if (daemon->signal_fd >= 0) {
		loop_watch_remove(daemon->loop, &daemon->signals);
		close(daemon->signal_fd);
	}
	fdreserve_destroy(daemon->reserve);
	access_destroy(daemon->access);
	if (daemon->loop)
		loop_destroy(daemon->loop);
	/* The last connections were closed with the loop. */
	admission_destroy(daemon->admission);
	pushes_destroy(daemon->pushes);
	leaving_free(&daemon->leaving);
	cameras_destroy(cameras);
	if (daemon->discovery_leaving_config != daemon->discovery_config &&
	    daemon->discovery_leaving_config != daemon->config)
		config_destroy(daemon->discovery_leaving_config);
	if (daemon->discovery_config != daemon->config)
		config_destroy(daemon->discovery_config);
	config_destroy(daemon->config);
	free(daemon);
}
