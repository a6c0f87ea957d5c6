/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/reload.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/diag.h"
#include "config/changes.h"
#include "daemon/limits.h"
#include "daemon/parts.h"
#include "daemon/serve/hls.h"

#define DISCOVERY_SWEEP_US 50000

/* Everything that is made before anything changes. */
struct step {
	struct daemon *daemon;
	struct prepared *prepared;
	struct config *old;
	struct config_changes *changes;
	struct cameras *other; /* the next ones, and after cameras_swap() the old ones */
};

/* --- discovery --- */

static void forget_config(struct daemon *daemon, struct config *config)
{
	if (config != daemon->config && config != daemon->discovery_config &&
	    config != daemon->discovery_leaving_config)
		config_destroy(config);
}

/* The last one says that we are offline first, and the next one that we are back. */
static void create_discovery(struct daemon *daemon)
{
	int err;

	if (daemon->discovery_leaving || daemon->discovery || daemon->stopping)
		return;
	err = daemon_create_discovery(daemon);
	if (err < 0)
		diag_error("mqtt: no discovery: %s", strerror(-err));
}

static void handle_discovery_sweep(struct loop_timer *timer)
{
	struct daemon *daemon = container_of(timer, struct daemon, discovery_sweep);
	struct config *config = daemon->discovery_leaving_config;

	if (!discovery_has_ended(daemon->discovery_leaving)) {
		loop_timer_set(daemon->loop, timer, loop_now_us(daemon->loop) + DISCOVERY_SWEEP_US);
		return;
	}
	discovery_destroy(daemon->discovery_leaving);
	daemon->discovery_leaving = NULL;
	daemon->discovery_leaving_config = NULL;
	forget_config(daemon, config);
	create_discovery(daemon);
}

static void renew_discovery(struct daemon *daemon)
{
	struct loop_timer *sweep = &daemon->discovery_sweep;

	if (daemon->discovery) { /* then none is leaving */
		discovery_stop(daemon->discovery);
		daemon->discovery_leaving = daemon->discovery;
		daemon->discovery_leaving_config = daemon->discovery_config;
		daemon->discovery = NULL;
		daemon->discovery_config = NULL;
		daemon->view.discovery = NULL;
		loop_timer_init(sweep, handle_discovery_sweep);
		loop_timer_set(daemon->loop, sweep, loop_now_us(daemon->loop));
	}
	create_discovery(daemon);
}

/* --- before anything changes --- */

static void log_later(void *user, const char *key)
{
	(void)user;
	diag_warn("%s changes at the next start of camcastd", key);
}

static int refuse(struct step *step, const char *why)
{
	snprintf(step->prepared->why, sizeof step->prepared->why, "%s", why);
	return -EINVAL;
}

static int prepare(struct step *step)
{
	struct daemon *daemon = step->daemon;
	struct config *config = step->prepared->config;
	int err = config_compare(&step->changes, step->old, config, log_later, NULL);

	if (err < 0)
		return refuse(step, "out of memory");
	if (limits_apply(config, daemon_other_fds(config)) < 0)
		return refuse(step, "there are too few file descriptors for it");
	err = cameras_create_next(&step->other, daemon->cameras, config, step->changes);
	if (err == 0)
		err = access_prepare(daemon->access, step->prepared->access);
	if (err == 0)
		err = admission_prepare(daemon->admission, &config->daemon);
	if (err < 0)
		return refuse(step, strerror(-err));
	if (!step->prepared->tls || server_handshakes(daemon->server))
		return 0;
	err = server_enable_tls(daemon->server, step->prepared->tls);
	if (err < 0)
		return refuse(step, strerror(-err));
	step->prepared->tls = NULL;
	daemon->view.handshakes = server_handshakes(daemon->server);
	return 0;
}

/* Everything has its place in the new configuration now; what has changed is made. */
static int make(struct step *step)
{
	struct daemon *daemon = step->daemon;
	int err = daemon_create_workers(daemon, step->prepared->text, step->prepared->len);

	if (err == 0)
		err = daemon_create_feeds(daemon);
	if (err == 0)
		err = daemon_create_site(daemon);
	if (err < 0)
		return refuse(step, strerror(-err));
	/* Nothing may fail behind this. */
	if (daemon_listen(daemon, step->prepared->hosts) < 0)
		return refuse(step, "it cannot listen on an address; the log says which");
	return 0;
}

/* Destroys what was made for the other configuration. */
static void unmake(struct step *step)
{
	struct daemon *daemon = step->daemon;
	struct cameras *other = step->other;

	daemon->config = step->old;
	cameras_swap(daemon->cameras, other);
	for (size_t i = 0; i < other->n_streams; i++) {
		struct stream *stream = other->streams[i];

		if (cameras_have_stream(daemon->cameras, stream))
			continue;
		for (size_t j = 0; j < stream->n_outputs; j++) {
			if (stream->outputs[j].feed)
				feed_destroy(stream->outputs[j].feed);
			site_forget(&stream->outputs[j]);
		}
	}
	for (size_t i = 0; i < other->n_cameras; i++)
		if (!cameras_have_camera(daemon->cameras, other->cameras[i]))
			worker_destroy(other->cameras[i]->worker);
}

/* Frees the next cameras, of which nothing is in force. */
static void free_next(struct step *step)
{
	struct cameras *now = step->daemon->cameras, *other = step->other;

	if (!other)
		return;
	for (size_t i = 0; i < other->n_streams; i++)
		if (!cameras_have_stream(now, other->streams[i]))
			stream_free(other->streams[i]);
	for (size_t i = 0; i < other->n_cameras; i++)
		if (!cameras_have_camera(now, other->cameras[i]))
			camera_free(other->cameras[i]);
	cameras_free_shell(other);
}

/* --- the change --- */

/* A stream that goes on with another worker: its segments have other numbers, and begin with a key
 * unit. */
static void hand_over(struct stream *stream)
{
	for (size_t i = 0; i < stream->n_outputs; i++) {
		struct output *output = &stream->outputs[i];

		feed_reset(output->feed);
		feed_set_can_force_idr(output->feed,
				       stream->config->encoder != CONFIG_ENCODER_COPY);
		feed_set_demand(output->feed,
				worker_feed_demand(stream->camera->worker, output->number));
	}
}

static void renew_streams(struct step *step)
{
	struct cameras *now = step->daemon->cameras, *old = step->other;

	for (size_t i = 0; i < now->n_streams; i++) {
		struct stream *stream = now->streams[i];

		if (!cameras_have_stream(old, stream))
			continue;
		for (size_t j = 0; j < stream->n_outputs; j++) {
			struct output *output = &stream->outputs[j];

			feed_set_policy(output->feed, stream->config);
			if (output->playlist)
				hls_renew(output->playlist, stream->config, stream->camera->config);
		}
		if (!cameras_have_camera(old, stream->camera))
			hand_over(stream);
	}
}

static void renew_cameras(struct step *step)
{
	struct daemon *daemon = step->daemon;
	struct cameras *now = daemon->cameras, *old = step->other;

	for (size_t i = 0; i < now->n_cameras; i++)
		if (cameras_have_camera(old, now->cameras[i]))
			worker_renew(now->cameras[i]->worker);
		else if (!cameras_find_camera(old, now->cameras[i]->config->name))
			worker_start(now->cameras[i]->worker);
	for (size_t i = 0; i < old->n_cameras; i++)
		if (!cameras_have_camera(now, old->cameras[i])) {
			const char *name = old->cameras[i]->config->name;
			struct camera *successor = cameras_find_camera(now, name);

			diag_info("camera %s: %s", name,
				  successor ? "starts again with other settings" : "ends");
			leaving_add_camera(&daemon->leaving, old->cameras[i], successor);
		}
	for (size_t i = 0; i < old->n_streams; i++)
		if (!cameras_have_stream(now, old->streams[i])) {
			diag_info("stream %s: ends", old->streams[i]->config->name);
			leaving_add_stream(&daemon->leaving, old->streams[i]);
		}
}

/* Whether a connection may watch a stream, with the number of its user. JPEGs of an H.264 stream
 * are made by another stream of its camera, and count as its own. */
static bool may_watch(const struct daemon *daemon, struct connection *connection,
		      const struct stream *stream)
{
	const struct camera *camera = stream->camera;
	struct access_who who;
	char name[TLS_NAME_MAX];
	bool certified = connection_certificate(connection, name);

	access_become(daemon->access, connection_user(connection), certified ? name : NULL, &who);
	for (size_t i = 0; i < camera->n_streams; i++) {
		const struct stream *other = camera->streams[i];

		if ((other == stream ||
		     config_snapshot_stream(daemon->config, other->config) == stream->config) &&
		    access_may(daemon->access, &who, &connection->peer, CONFIG_MAY_VIEW,
			       other->index))
			return true;
	}
	return false;
}

static bool viewer_stays(const struct daemon *daemon, struct connection *connection)
{
	const struct endpoint *endpoint = connection->endpoint;
	const struct output *output = container_of(endpoint->quota, struct output, quota);
	const struct config_daemon *config = &daemon->config->daemon;

	if (!cameras_have_stream(daemon->cameras, output->stream))
		return connection_watches(connection); /* its feed ends that */
	if (endpoint == &output->tcp)
		return output->config->n_listen > 0 &&
		       (gate_lets_in(endpoint->gate, &connection->peer) ||
			server_certified(connection));
	if (endpoint == &output->rtsp) /* the rest is its review */
		return config->n_rtsp > 0;
	return config->n_http > 0 && may_watch(daemon, connection, output->stream);
}

/* Whether a peer that waits for a picture may still see it. */
static bool asker_stays(const struct daemon *daemon, struct connection *connection)
{
	struct quota *quota = http_waits_for(connection);
	const struct output *output = quota ? container_of(quota, struct output, quota) : NULL;

	return !output ||
	       !cameras_have_stream(daemon->cameras, output->stream) || /* that ends it */
	       may_watch(daemon, connection, output->stream);
}

/* Gives a connection that stays the new number of its user: called once for each of them. */
static bool stays(struct connection *connection, void *user)
{
	struct daemon *daemon = user;
	const struct endpoint *endpoint = connection->endpoint;
	int number = access_renumber(daemon->access, connection_user(connection));

	if (number < 0 || !gate_lets_in(access_gate(daemon->access), &connection->peer) ||
	    (endpoint == &daemon->http_endpoint && daemon->config->daemon.n_http == 0) ||
	    (endpoint == &daemon->rtsp_endpoint && daemon->config->daemon.n_rtsp == 0))
		return false;
	connection_set_user(connection, (unsigned)number);
	if (endpoint->quota->viewers && !viewer_stays(daemon, connection))
		return false;
	if (endpoint->protocol == daemon->http_endpoint.protocol &&
	    !asker_stays(daemon, connection))
		return false;
	return !endpoint->protocol->review || endpoint->protocol->review(connection);
}

static void commit(struct step *step)
{
	struct daemon *daemon = step->daemon;
	struct config *config = daemon->config;

	access_renew(daemon->access, step->prepared->access);
	step->prepared->access = NULL;
	admission_renew(daemon->admission, &config->daemon);
	server_renew(daemon->server, &config->daemon);
	if (step->prepared->tls) {
		server_exchange_tls(daemon->server, step->prepared->tls);
		step->prepared->tls = NULL;
	}
	daemon_set_endpoints(daemon);
	renew_streams(step);
	renew_cameras(step);
	pushes_renew(daemon->pushes);
	presentations_renew(&daemon->presentations);
	server_review(daemon->server, stays, daemon);
	if (step->changes->announced)
		renew_discovery(daemon);
	daemon_announce(daemon);
	cameras_free_shell(step->other);
	forget_config(daemon, step->old);
}

/* --- the whole --- */

static int apply(struct daemon *daemon, struct prepared *prepared)
{
	struct step step = {.daemon = daemon, .prepared = prepared, .old = daemon->config};
	int err;

	status_settle(daemon->status);
	err = prepare(&step);
	if (err == 0) {
		cameras_swap(daemon->cameras, step.other);
		daemon->config = prepared->config;
		err = make(&step);
		if (err < 0)
			unmake(&step);
	}
	if (err < 0) {
		free_next(&step);
	} else {
		prepared->config = NULL;
		commit(&step);
	}
	config_changes_free(step.changes);
	return err;
}

static void note_refused(struct daemon *daemon, const char *why)
{
	struct reload_status *status = &daemon->reload_status;

	status->refused++;
	snprintf(status->error, sizeof status->error, "%s", why);
	diag_error("the configuration is not changed: %s", why);
}

static void note_loaded(struct daemon *daemon)
{
	struct reload_status *status = &daemon->reload_status;

	status->loaded++;
	status->loaded_s = time(NULL);
	status->error[0] = '\0';
	diag_info("the configuration %s is in force: %zu cameras, %zu streams, %zu users",
		  daemon->options.config_path, daemon->config->n_cameras, daemon->config->n_streams,
		  daemon->config->n_users);
	access_log_open(daemon->access);
}

static void finish(struct daemon *daemon)
{
	daemon_notify(daemon, "READY=1");
	if (!daemon->again)
		return;
	daemon->again = false;
	reload_begin(daemon);
}

static void handle_prepared(void *user, struct prepared *prepared)
{
	struct daemon *daemon = user;

	if (!prepared->config || apply(daemon, prepared) < 0)
		note_refused(daemon, prepared->why);
	else
		note_loaded(daemon);
	preparation_end(daemon->preparation);
	daemon->preparation = NULL;
	finish(daemon);
}

void reload_begin(struct daemon *daemon)
{
	char state[64];
	int err;

	if (daemon->preparation) {
		daemon->again = true;
		return;
	}
	/* sd_notify(3): the manager tells this one from an earlier one by the time. */
	snprintf(state, sizeof state, "RELOADING=1\nMONOTONIC_USEC=%" PRId64, clock_now_us());
	daemon_notify(daemon, state);
	diag_info("SIGHUP: reading %s again", daemon->options.config_path);
	err = preparation_begin(&daemon->preparation, daemon->loop, daemon->options.config_path,
				daemon->access, handle_prepared, daemon);
	if (err == 0)
		return;
	note_refused(daemon, strerror(-err));
	daemon_notify(daemon, "READY=1");
}

void reload_cancel(struct daemon *daemon)
{
	daemon->again = false;
	if (daemon->preparation)
		preparation_cancel(daemon->preparation);
}

void reload_finish(struct daemon *daemon)
{
	reload_cancel(daemon);
	preparation_end(daemon->preparation);
	daemon->preparation = NULL;
}
