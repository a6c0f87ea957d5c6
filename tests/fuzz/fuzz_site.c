/* SPDX-License-Identifier: BSD-2-Clause */
/* Whatever is asked of the paths that camcastd has, the API included: an answer begins as one, JSON
 * can be parsed, and no connection stays behind. The cameras are never started. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "daemon/site/site.h"
#include "daemon/worker/worker.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct loop *loop;
static struct server *server;
static struct cameras *cameras;
static struct endpoint endpoint;

static void require(bool holds)
{
	if (!holds)
		abort();
}

static const char text[] = "[daemon]\nhttp = 0\ncontrol = yes\nmax_clients = 4\n"
			   "[camera front]\nsource = libcamera\ncontrast = 1.5\n"
			   "[camera back]\nsource = pattern\n"
			   "[stream f]\ncamera = front\non_demand = yes\n"
			   "[stream j]\ncamera = front\ncodec = mjpeg\non_demand = yes\n"
			   "[stream b]\ncamera = back\non_demand = yes\n";

/* The first one says that it is a camera of libcamera, so that it has controls. */
static void make_workers(struct fdreserve *reserve)
{
	static struct worker_status says;

	for (size_t i = 0; i < cameras->n_cameras; i++) {
		struct camera *camera = cameras->cameras[i];
		const struct worker_options options = {.camera = camera,
						       .program = "/nonexistent",
						       .config_text = text,
						       .config_len = sizeof text - 1,
						       .reserve = reserve};

		require(worker_create(&camera->worker, loop, &options) == 0);
		worker_stop(camera->worker); /* a restart starts no process */
		camera->status = worker_status(camera->worker);
	}
	says = *cameras->cameras[0]->status;
	snprintf(says.heartbeat.source, sizeof says.heartbeat.source, "libcamera:fuzz");
	cameras->cameras[0]->status = &says;
}

static void make_feeds(void)
{
	for (size_t i = 0; i < cameras->n_outputs; i++) {
		struct output *output = cameras->outputs[i];
		const struct feed_options options = {.name = output->name,
						     .policy = output->stream->config};

		require(feed_create(&output->feed, loop, &options,
				    worker_feed_demand(output->stream->camera->worker,
						       output->number)) == 0);
		output->tcp.user = output->http.user = output->feed;
	}
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static struct http http = {.handler = site_handle, .hosts = "cam.example"};
	static struct status_view view;
	const struct loop_options options = {.backend = CONFIG_BACKEND_EPOLL, .max_conns = 1};
	struct site_options site = {.http = &http};
	struct admission *admission;
	struct fdreserve *reserve;
	struct config *config;
	struct site *made;

	(void)argc;
	(void)argv;
	require(config_parse(&config, "fuzz", text, sizeof text - 1, stderr) == 0);
	require(cameras_create(&cameras, config) == 0);
	require(loop_create(&loop, &options) == 0);
	require(fdreserve_create(&reserve, loop, 16) == 0);
	require(admission_create(&admission, loop, &config->daemon, reserve) == 0);
	require(server_create(&server, loop, &config->daemon, admission) == 0);
	http_init_endpoint(&endpoint, &http);
	make_workers(reserve);
	make_feeds();
	view = (struct status_view){
		.loop = loop, .cameras = cameras, .admission = admission, .reserve = reserve};
	require(status_create(&site.status, &view) == 0);
	site.loop = loop;
	site.cameras = cameras;
	require(access_create(&site.access, loop, config) == 0);
	require(site_create(&made, &site) == 0);
	http.user = made;
	return 0;
}

static void check_answer(const char *answer)
{
	const char *body = strstr(answer, "\r\n\r\n");
	const char *length = strstr(answer, "\r\nContent-Length: ");
	const char *type = strstr(answer, "\r\nContent-Type: application/json\r\n");
	size_t len;
	cJSON *parsed;

	if (!answer[0])
		return;
	require(strncmp(answer, "HTTP/1.1 ", 9) == 0);
	if (!body || !length || length > body || !type || type > body)
		return;
	body += 4;
	len = strtoul(length + 18, NULL, 10);
	/* Of HEAD, or longer than was read. */
	if (strncmp(body, "HTTP/1.1 ", 9) == 0 || strlen(body) < len)
		return;
	parsed = cJSON_ParseWithLength(body, len);
	require(cJSON_IsObject(parsed));
	cJSON_Delete(parsed);
}

static unsigned connections(void)
{
	unsigned n = endpoint.quota->used;

	for (size_t i = 0; i < cameras->n_outputs; i++)
		n += cameras->outputs[i]->quota.used;
	return n;
}

/* A connection over TCP: its reset ends everything at once. Returns the client's end. */
static int dial(void)
{
	static const struct linger reset = {.l_onoff = 1};
	static int listener = -1;
	static struct sockaddr_in address = {.sin_family = AF_INET};
	socklen_t len = sizeof address;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), accepted;

	if (listener < 0) {
		address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		require(listen(listener, 1) == 0);
		require(getsockname(listener, (struct sockaddr *)&address, &len) == 0);
	}
	require(connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
	accepted = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	require(accepted >= 0);
	server_accept(server, &endpoint, accepted);
	require(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset) == 0);
	return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char heard[64 << 10];
	int fd = dial();
	size_t len = 0;
	ssize_t n;

	(void)send(fd, data, size, MSG_NOSIGNAL);
	for (int i = 0; i < 3; i++) {
		require(loop_turn(loop, 0) == 0);
		while (len < sizeof heard - 1 &&
		       (n = recv(fd, heard + len, sizeof heard - 1 - len, MSG_DONTWAIT)) > 0)
			len += (size_t)n;
	}
	heard[len] = '\0';
	check_answer(heard);
	close(fd);
	for (int i = 0; i < 100 && connections() > 0; i++)
		require(loop_turn(loop, 0) == 0);
	require(connections() == 0);
	return 0;
}
