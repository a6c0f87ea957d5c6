/* SPDX-License-Identifier: BSD-2-Clause */
/* Discovery without a broker: what is said, addresses, and the life of the thread.
 * tests/e2e/test_mqtt*.py have the brokers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <arpa/inet.h>
#include <cjson/cJSON.h>
#include <cmocka.h>
#include <dlfcn.h>
#include <netdb.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "daemon/discovery/broker_spawn.h"
#include "daemon/discovery/discovery.h"
#include "daemon/discovery/thread.h"
#include "daemon/worker/worker.h"
#include "tests/unit/config_rig.h"
#include "tests/unit/open_fds.h"
#include "tests/unit/worker_rig.h"

#define SECOND INT64_C(1000000)
#define CAMERA "[camera cam]\nsource = pattern\n[stream a]\ncamera = cam\n"

/* --- what is said --- */

static const uint16_t ports[] = {1001, 1002, 1003, 1004};

static char *describe(const struct config *config, const struct net_host_list *found,
		      struct net_host_list *told)
{
	struct discovery_info info = {
		.config = config,
		.id = "id",
		.ports = ports,
		.addresses = told,
	};
	char *text;

	discovery_choose_addresses(told, config, found);
	text = discovery_info_json(&info);
	assert_non_null(text);
	return text;
}

static void check_urls(const char *keys, const char *first_address, const char *const *urls)
{
	struct net_host_list found = {
		.n = 4,
		.text = {"2001:db8::5", "192.0.2.5", "2001:db8::6", "192.0.2.6"},
	};
	struct net_host_list told;
	struct config *config;
	char text[512];
	cJSON *root, *feed;
	char *json;

	snprintf(text, sizeof text, "%s%s", strncmp(keys, "[mqtt]", 6) ? "[mqtt]\n" CAMERA : "",
		 keys);
	config = parse(text);
	json = describe(config, &found, &told);
	root = cJSON_Parse(json);
	assert_string_equal(told.text[0], first_address);
	cJSON_ArrayForEach(feed, cJSON_GetObjectItem(root, "streams"))
	{
		assert_non_null(*urls);
		assert_string_equal(cJSON_GetObjectItem(feed, "url")->valuestring, *urls);
		urls++;
	}
	assert_null(*urls);
	cJSON_Delete(root);
	free(json);
	config_destroy(config);
}

#define URLS(...)                                                                                  \
	(const char *const[])                                                                      \
	{                                                                                          \
		__VA_ARGS__, NULL                                                                  \
	}

static void a_url_has_an_address_on_which_its_feed_listens(void **state)
{
	(void)state;
	check_urls("annexb = 0.0.0.0:8888\n", "192.0.2.5", URLS("tcp://192.0.2.5:8888"));
	check_urls("annexb = [::]:8888\n", "2001:db8::5", URLS("tcp://[2001:db8::5]:8888"));
	check_urls("annexb = 8888\nlength_prefixed = 0.0.0.0:0\n", "2001:db8::5",
		   URLS("tcp://[2001:db8::5]:8888", "tcp+length://192.0.2.5:1002"));
	/* The listener for all goes before one for this machine. */
	check_urls("annexb = 127.0.0.1:1, 0.0.0.0:2\n", "192.0.2.5", URLS("tcp://192.0.2.5:2"));
	check_urls("annexb = 127.0.0.1:1, 192.0.2.6:2\n", "192.0.2.6", URLS("tcp://192.0.2.6:2"));
	check_urls("annexb = localhost:1\n", "localhost", URLS("tcp://localhost:1"));
	check_urls("[mqtt]\nadvertise = cam.example\n" CAMERA
		   "annexb = 127.0.0.1:1\nlength_prefixed = [::]:2\n",
		   "cam.example", URLS("tcp://cam.example:1", "tcp+length://cam.example:2"));
}

static void old_clients_are_told_ipv4_if_there_is_any(void **state)
{
	struct net_host_list told = {.n = 2, .text = {"2001:db8::5", "192.0.2.5"}};

	(void)state;
	assert_string_equal(discovery_plain_address(&told), "192.0.2.5");
	told.n = 1;
	assert_string_equal(discovery_plain_address(&told), "2001:db8::5");
}

static void the_status_is_named_only_where_others_reach_it(void **state)
{
	static const struct {
		const char *http, *url;
	} cases[] = {
		{"", NULL},
		{"127.0.0.1:8080", NULL},
		{"[::1]:8080", NULL},
		{"0.0.0.0:8080", "http://192.0.2.5:8080"},
		{"192.0.2.9:80", "http://192.0.2.9:80"},
	};
	struct net_host_list found = {.n = 1, .text = {"192.0.2.5"}}, told;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct config *config;
		char text[256], *json;
		cJSON *root, *url;

		snprintf(text, sizeof text, "[daemon]\nhttp = %s\n[mqtt]\n" CAMERA "annexb = 1\n",
			 cases[i].http);
		config = parse(text);
		json = describe(config, &found, &told);
		root = cJSON_Parse(json);
		url = cJSON_GetObjectItem(root, "status_url");
		assert_int_equal(url != NULL, cases[i].url != NULL);
		if (url)
			assert_string_equal(url->valuestring, cases[i].url);
		cJSON_Delete(root);
		free(json);
		config_destroy(config);
	}
}

static void streams_are_announced_with_their_urls_over_http(void **state)
{
	struct net_host_list found = {.n = 1, .text = {"192.0.2.5"}}, told;
	struct config *config = parse("[daemon]\nhttp = 0.0.0.0:8080\n[mqtt]\n" CAMERA);
	char *text = describe(config, &found, &told);
	static const char *const urls[] = {
		"\"page_url\":\"http://192.0.2.5:8080/\"",
		"\"h264\":\"http://192.0.2.5:8080/a.h264\"",
		"\"mp4\":\"http://192.0.2.5:8080/a.mp4\"",
		"\"ts\":\"http://192.0.2.5:8080/a.ts\"",
		"\"hls\":\"http://192.0.2.5:8080/a.m3u8\"",
		"\"ws\":\"ws://192.0.2.5:8080/a.ws\"",
		"\"mjpeg\":\"http://192.0.2.5:8080/a.mjpg\"",
		"\"jpeg\":\"http://192.0.2.5:8080/a.jpg\"",
		"\"streams\":[]",
	};

	(void)state;
	for (size_t i = 0; i < sizeof urls / sizeof *urls; i++)
		assert_non_null(strstr(text, urls[i]));
	free(text);
	config_destroy(config);
}

static void an_info_that_is_too_long_for_clients_names_no_streams_over_http(void **state)
{
	struct net_host_list found = {.n = 1, .text = {"192.0.2.5"}}, told;
	char *text = NULL, *json;
	struct config *config;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	(void)state;
	fprintf(out, "[daemon]\nhttp = 0.0.0.0:8080\n[mqtt]\n[camera c]\nsource = pattern\n");
	for (int i = 0; i < 240; i++)
		fprintf(out, "[stream a-stream-with-a-name-%d]\ncamera = c\n", i);
	fclose(out);
	config = parse(text);
	json = describe(config, &found, &told);
	assert_true(strlen(json) < 64 << 10);
	assert_non_null(strstr(json, "page_url"));
	assert_null(strstr(json, "\"http\":"));
	free(json);
	free(text);
	config_destroy(config);
}

static void a_recording_has_the_size_and_rate_that_its_worker_finds(void **state)
{
	struct config *config = parse("[mqtt]\n[camera cam]\nsource = file:/x.mp4\n[stream a]\n"
				      "camera = cam\nencoder = copy\nannexb = 1\n");
	struct discovery_snapshot *snapshot = discovery_snapshot_create(config);
	struct net_host_list told = {.n = 1, .text = {"192.0.2.5"}};
	struct discovery_info info = {config, "id", ports, NULL, &told};
	const char *unknown = "\"width\":0,\"height\":0,\"framerate\":0,\"bitrate\":0,";
	const char *known = "\"width\":64,\"height\":48,\"framerate\":10,\"bitrate\":123456,";
	char *text = discovery_info_json(&info);

	(void)state;
	assert_non_null(strstr(text, unknown));
	free(text);
	config->streams[0].encoder = CONFIG_ENCODER_AUTO;
	text = discovery_info_json(&info);
	assert_non_null(strstr(text, unknown));
	free(text);
	config->streams[0].encoder = CONFIG_ENCODER_COPY;
	info.snapshot = snapshot;
	snapshot->cameras[0] = (struct discovery_camera){
		.state = "running", .width = 64, .height = 48, .rate_milli = 10000};
	snapshot->streams[0].target_bps = 123456;
	text = discovery_info_json(&info);
	assert_non_null(strstr(text, known));
	free(text);
	free(snapshot);
	config_destroy(config);
}

static void what_runs_goes_before_what_is_configured(void **state)
{
	struct config *config = parse("[mqtt]\n" CAMERA "annexb = 1\n[stream c]\ncamera = cam\n"
				      "codec = mjpeg\nlength_prefixed = 2\n");
	struct discovery_snapshot *snapshot = discovery_snapshot_create(config);
	struct net_host_list told = {.n = 1, .text = {"192.0.2.5"}};
	struct discovery_info info = {config, "id", ports, snapshot, &told};
	const char *expected[] = {
		"\"name\":\"a\",\"camera\":\"cam\",\"codec\":\"h264\",\"width\":640,\"height\":480,"
		"\"framerate\":10,\"bitrate\":777000,",
		"\"name\":\"c\",\"camera\":\"cam\",\"codec\":\"mjpeg\",\"width\":640,"
		"\"height\":480,\"framerate\":10,\"bitrate\":0,",
	};
	char *text;

	(void)state;
	assert_non_null(snapshot);
	snapshot->cameras[0] = (struct discovery_camera){
		.state = "running",
		.width = 640,
		.height = 480,
		.rate_milli = 10000,
		.fps_milli = 29970,
	};
	snapshot->streams[0] = (struct discovery_stream){777000, 30000, 650000, 3};
	text = discovery_info_json(&info);
	for (size_t i = 0; i < 2; i++)
		assert_non_null(strstr(text, expected[i]));
	free(text);
	text = discovery_state_json(&info);
	assert_string_equal(text, "{\"cameras\":{\"cam\":{\"state\":\"running\",\"fps\":29.97}},"
				  "\"streams\":{\"a\":{\"viewers\":3,\"fps\":30,\"bitrate\":650000,"
				  "\"target_bitrate\":777000},\"c\":{\"viewers\":0,\"fps\":0,"
				  "\"bitrate\":0,\"target_bitrate\":0}}}");
	free(text);
	free(snapshot);
	config_destroy(config);
}

static void pushes_are_told_without_their_secrets(void **state)
{
	struct config *config =
		parse("[mqtt]\n" CAMERA "annexb = 1\npush = rtmp://live.example/app/s3cret, "
		      "srt://192.0.2.7:9000?passphrase=s3cret\n");
	struct discovery_snapshot *snapshot = discovery_snapshot_create(config);
	struct discovery_snapshot *before = discovery_snapshot_create(config);
	struct net_host_list told = {.n = 1, .text = {"192.0.2.5"}};
	struct discovery_info info = {config, "id", ports, NULL, &told};
	char *text;

	(void)state;
	text = discovery_info_json(&info);
	assert_non_null(strstr(text, "{\"name\":\"a/1\",\"stream\":\"a\","
				     "\"url\":\"rtmp://live.example/...\",\"live\":false}"));
	free(text);
	snapshot->cameras[0].state = before->cameras[0].state = "running";
	assert_false(discovery_state_differs(config, snapshot, before));
	snapshot->pushes[1].state = PUSH_LIVE;
	assert_true(discovery_state_differs(config, snapshot, before));
	discovery_snapshot_copy(before, snapshot, config);
	assert_false(discovery_state_differs(config, snapshot, before));
	info.snapshot = snapshot;
	text = discovery_info_json(&info);
	assert_non_null(strstr(text, "\"url\":\"srt://192.0.2.7:9000/...\",\"live\":true}"));
	assert_null(strstr(text, "s3cret"));
	free(text);
	text = discovery_state_json(&info);
	assert_non_null(strstr(text, "\"pushes\":{\"a/1\":{\"state\":\"waiting\"},"
				     "\"a/2\":{\"state\":\"live\"}}"));
	assert_null(strstr(text, "s3cret"));
	free(text);
	free(snapshot);
	free(before);
	config_destroy(config);
}

struct entities {
	unsigned n, numbers, dots;
};

static void count_entity(void *user, const char *topic, const char *payload)
{
	struct entities *entities = user;
	cJSON *root = cJSON_Parse(payload);

	entities->n++;
	entities->numbers += strncmp(topic, "ha/number/", 10) == 0;
	entities->dots += strchr(topic, '.') != NULL;
	assert_non_null(cJSON_GetObjectItem(root, "unique_id"));
	assert_string_equal(cJSON_GetObjectItem(root, "availability_topic")->valuestring,
			    "camcast/id/status");
	cJSON_Delete(root);
}

static void only_an_encoder_s_bitrate_can_be_set(void **state)
{
	struct config *config = parse("[mqtt]\nhome_assistant = yes\nhome_assistant_prefix = ha\n"
				      "[camera c.1]\nsource = file:/x\n"
				      "[stream a.b]\ncamera = c.1\nannexb = 1\nencoder = copy\n"
				      "[camera d]\nsource = pattern\n"
				      "[stream e]\ncamera = d\nannexb = 2\n");
	struct discovery_info info = {.config = config, .id = "id"};
	struct entities entities = {0};

	(void)state;
	assert_int_equal(discovery_home_assistant(&info, count_entity, &entities), 0);
	assert_int_equal(entities.n, 2 * 2 + 2 * 3 + 1);
	assert_int_equal(entities.numbers, 1);
	assert_int_equal(entities.dots, 0); /* Home Assistant's object ids have none */
	config_destroy(config);
}

#define IDS_MAX 200

struct ids {
	unsigned n;
	char *topics[IDS_MAX], *unique_ids[IDS_MAX];
};

static void keep_ids(void *user, const char *topic, const char *payload)
{
	struct ids *ids = user;
	cJSON *root = cJSON_Parse(payload);

	assert_true(ids->n < IDS_MAX);
	assert_null(strchr(topic, '.'));
	ids->topics[ids->n] = strdup(topic);
	ids->unique_ids[ids->n++] = strdup(cJSON_GetObjectItem(root, "unique_id")->valuestring);
	cJSON_Delete(root);
}

static void different_names_have_different_entities(void **state)
{
	static const char *const names[] = {"a.b",  "a--b",  "a-b",    "a..b",	   "a.-b",
					    "a-.b", "a---b", "a----b", "a---mm-b", "a---d-b"};
	char text[4096] = "[mqtt]\nhome_assistant = yes\n";
	struct ids ids = {0};
	struct config *config;
	struct discovery_info info;
	size_t len = strlen(text);
	bool dots_stay = false;

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		len += (size_t)snprintf(text + len, sizeof text - len,
					"[camera %s]\nsource = pattern\n"
					"[stream %s]\ncamera = %s\nannexb = %zu\n",
					names[i], names[i], names[i], i + 1);
	config = parse(text);
	info = (struct discovery_info){.config = config, .id = "id"};
	assert_int_equal(discovery_home_assistant(&info, keep_ids, &ids), 0);
	assert_int_equal(ids.n, 6 * sizeof names / sizeof *names);
	for (unsigned i = 0; i < ids.n; i++) {
		for (unsigned j = 0; j < i; j++) {
			assert_string_not_equal(ids.topics[i], ids.topics[j]);
			assert_string_not_equal(ids.unique_ids[i], ids.unique_ids[j]);
		}
		/* As in versions before. */
		dots_stay |= strcmp(ids.unique_ids[i], "camcast_id_stream_a--b_fps") == 0;
	}
	assert_true(dots_stay);
	for (unsigned i = 0; i < ids.n; i++) {
		free(ids.topics[i]);
		free(ids.unique_ids[i]);
	}
	config_destroy(config);
}

/* --- addresses --- */

static void the_address_towards_a_peer_is_its_socket_s(void **state)
{
	struct net_host_list list;
	struct sockaddr_in loopback = {
		.sin_family = AF_INET,
		.sin_port = htons(9),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&loopback, sizeof loopback), 0);
	net_host_list_find(&list, fd);
	/* Nobody else can use that one: it counts only where there is no other. */
	assert_true(list.n >= 1);
	for (unsigned i = 0; i < list.n; i++)
		assert_true(list.n == 1 || !net_host_is_loopback(list.text[i]));
	close(fd);
}

static void a_list_of_addresses_is_bounded_and_has_none_twice(void **state)
{
	struct net_host_list list = {0};
	char text[32];

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		snprintf(text, sizeof text, "192.0.2.%u", i / 2);
		net_host_list_add(&list, text);
	}
	assert_int_equal(list.n, NET_HOST_LIST_MAX);
	for (unsigned i = 0; i < list.n; i++)
		for (unsigned j = 0; j < i; j++)
			assert_string_not_equal(list.text[i], list.text[j]);
}

/* --- a broker of our own --- */

static char *broker_config(const char *keys)
{
	char text[512], *out = NULL;
	struct config *config;
	size_t len;
	FILE *file = open_memstream(&out, &len);

	snprintf(text, sizeof text, "[mqtt]\nbroker = spawn\n%s" CAMERA "annexb = 1\n", keys);
	config = parse(text);
	broker_spawn_write_config(file, &config->mqtt, 1884);
	fclose(file);
	config_destroy(config);
	return out;
}

static void our_broker_is_private_unless_told_otherwise(void **state)
{
	char *text = broker_config("");

	(void)state;
	assert_non_null(strstr(text, "listener 1884 127.0.0.1\nallow_anonymous true\n"));
	assert_null(strstr(text, "password_file"));
	free(text);
	text = broker_config("spawn_address = 0.0.0.0\nspawn_password_file = /p w\n"
			     "username = u\npassword = p\n");
	assert_non_null(strstr(text, "listener 1884 0.0.0.0\nallow_anonymous false\n"
				     "password_file /dev/fd/5\n"));
	free(text);
}

/* --- the thread --- */

/* While it is on, lookups on other threads than the main one hang, as they do whose server is away;
 * addresses and the listeners are resolved. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool on;
	unsigned begun, ended; /* threads that a lookup held: so many came, and so many are over */
	pthread_key_t thread;  /* its destructor counts `ended` */
} hold = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void handle_thread_ends(void *value)
{
	(void)value;
	pthread_mutex_lock(&hold.lock);
	hold.ended++;
	pthread_cond_broadcast(&hold.changed);
	pthread_mutex_unlock(&hold.lock);
}

static void set_hold(bool on)
{
	pthread_mutex_lock(&hold.lock);
	hold.on = on;
	pthread_cond_broadcast(&hold.changed);
	pthread_mutex_unlock(&hold.lock);
}

static bool wait_while_held(void)
{
	bool held;

	pthread_mutex_lock(&hold.lock);
	held = hold.on;
	if (held) {
		hold.begun++;
		pthread_setspecific(hold.thread, &hold);
	}
	while (hold.on)
		pthread_cond_wait(&hold.changed, &hold.lock);
	pthread_mutex_unlock(&hold.lock);
	return held;
}

__attribute__((visibility("default"))) int getaddrinfo(const char *name, const char *service,
						       const struct addrinfo *hints,
						       struct addrinfo **out)
{
	static int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);

	if (gettid() != getpid() && !(hints->ai_flags & AI_NUMERICHOST) && wait_while_held())
		return EAI_AGAIN;
	if (!real)
		real = (int (*)(const char *, const char *, const struct addrinfo *,
				struct addrinfo **))(uintptr_t)dlsym(RTLD_NEXT, "getaddrinfo");
	return real(name, service, hints, out);
}

struct fixture {
	struct rig rig;
	struct camcast_msg_stream streams[RIG_STREAMS];
	struct worker_status status; /* of all workers: none runs */
	struct discovery *discovery;
};

static void start(struct fixture *f, const char *host, unsigned port)
{
	struct discovery_options options;
	char keys[128];

	memset(f, 0, sizeof *f);
	f->status.streams = f->streams;
	snprintf(keys, sizeof keys, "name = x\n[mqtt]\nbroker = %s\nport = %u\n", host, port);
	rig_open(&f->rig, keys);
	rig_create_feeds(&f->rig, NULL);
	rig_listen(&f->rig);
	for (int i = 0; i < RIG_CAMERAS; i++)
		f->rig.cameras->cameras[i]->status = &f->status;
	options = (struct discovery_options){
		.config_path = "/nonexistent/c.ini",
		.loop = f->rig.loop,
		.cameras = f->rig.cameras,
		.reserve = f->rig.reserve,
	};
	assert_int_equal(discovery_create(&f->discovery, &options), 0);
}

static void stop(struct fixture *f)
{
	discovery_destroy(f->discovery);
	rig_close(&f->rig);
}

static bool has_reason(void *user)
{
	struct fixture *f = user;

	return discovery_status(f->discovery)->reason[0] != '\0';
}

static bool is_connecting(void *user)
{
	struct fixture *f = user;

	return discovery_status(f->discovery)->state == DISCOVERY_CONNECTING;
}

static bool resolver_hangs(void *user)
{
	bool hangs;

	(void)user;
	pthread_mutex_lock(&hold.lock);
	hangs = hold.begun > 0;
	pthread_mutex_unlock(&hold.lock);
	return hangs;
}

static int listen_somewhere(unsigned *port)
{
	struct sockaddr_in in = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t len = sizeof in;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&in, len), 0);
	assert_int_equal(listen(fd, 4), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &len), 0);
	*port = ntohs(in.sin_port);
	return fd;
}

static void nothing_is_left_behind_whatever_the_broker_does(void **state)
{
	unsigned fds = open_fds(), port;
	int mute = listen_somewhere(&port);
	struct fixture f;
	int64_t at;

	(void)state;
	start(&f, "127.0.0.1", port); /* it accepts and says nothing */
	rig_run_until(&f.rig, is_connecting, &f);
	at = clock_now_us();
	stop(&f);
	assert_true(clock_now_us() - at < 2 * SECOND);
	close(mute);
	start(&f, "127.0.0.1", port); /* nobody is there */
	rig_run_until(&f.rig, has_reason, &f);
	assert_non_null(strstr(discovery_status(f.discovery)->reason, "Connection refused"));
	assert_string_equal(discovery_status(f.discovery)->address, "");
	stop(&f);
	start(&f, "127.0.0.1", port); /* and at once */
	stop(&f);
	assert_int_equal(open_fds(), fds);
}

static void a_resolver_that_hangs_holds_nobody_up(void **state)
{
	struct fixture f;
	int64_t at;

	(void)state;
	assert_int_equal(pthread_key_create(&hold.thread, handle_thread_ends), 0);
	set_hold(true);
	start(&f, "a.broker", 1);
	rig_run_until(&f.rig, resolver_hangs, &f); /* and the loop runs on */
	at = clock_now_us();
	stop(&f);
	assert_true(clock_now_us() - at < 2 * SECOND);
	/* The owner of the lookup is gone: the thread ends and does not touch it. */
	set_hold(false);
	pthread_mutex_lock(&hold.lock);
	while (hold.ended < hold.begun)
		pthread_cond_wait(&hold.changed, &hold.lock);
	pthread_mutex_unlock(&hold.lock);
	pthread_key_delete(hold.thread);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_url_has_an_address_on_which_its_feed_listens),
		cmocka_unit_test(old_clients_are_told_ipv4_if_there_is_any),
		cmocka_unit_test(the_status_is_named_only_where_others_reach_it),
		cmocka_unit_test(what_runs_goes_before_what_is_configured),
		cmocka_unit_test(pushes_are_told_without_their_secrets),
		cmocka_unit_test(streams_are_announced_with_their_urls_over_http),
		cmocka_unit_test(an_info_that_is_too_long_for_clients_names_no_streams_over_http),
		cmocka_unit_test(a_recording_has_the_size_and_rate_that_its_worker_finds),
		cmocka_unit_test(only_an_encoder_s_bitrate_can_be_set),
		cmocka_unit_test(different_names_have_different_entities),
		cmocka_unit_test(the_address_towards_a_peer_is_its_socket_s),
		cmocka_unit_test(a_list_of_addresses_is_bounded_and_has_none_twice),
		cmocka_unit_test(our_broker_is_private_unless_told_otherwise),
		cmocka_unit_test(nothing_is_left_behind_whatever_the_broker_does),
		cmocka_unit_test(a_resolver_that_hangs_holds_nobody_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
