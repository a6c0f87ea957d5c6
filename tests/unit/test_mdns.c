/* SPDX-License-Identifier: BSD-2-Clause */
/* What is announced by mDNS, and a bus that is not there. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "daemon/mdns/avahi.h"
#include "daemon/mdns/services.h"

#define STREAMS                                                                                    \
	"[camera cam]\nsource = pattern\n"                                                         \
	"[stream front]\ncamera = cam\ncodec = h264\n[stream side]\ncamera = cam\ncodec = h264\n"
#define BUS "DBUS_SYSTEM_BUS_ADDRESS"

/* Of a configuration with these lines in [daemon]; the ports are 8080 and 8554 unless they name
 * others. */
static struct mdns_services *services_of(const char *lines)
{
	struct mdns_services *services;
	struct config *config;
	char text[2048];

	snprintf(text, sizeof text, "[daemon]\nname = Porch\n%s\n" STREAMS, lines);
	assert_int_equal(config_parse(&config, "test", text, strlen(text), stderr), 0);
	services = mdns_services_create(config, 8080, 8554);
	assert_non_null(services);
	assert_int_equal(services->n > 0, mdns_is_wanted(config));
	config_destroy(config);
	return services;
}

static void page_and_streams_are_told(void **state)
{
	struct mdns_services *services = services_of("http = :8080\nrtsp = 0.0.0.0:0, [::]:0");
	char text[MDNS_NAME_MAX], txt[MDNS_TXT_MAX];

	(void)state;
	assert_int_equal(services->n, 3);
	assert_string_equal(services->list[0].type, "_http._tcp");
	assert_int_equal(services->list[0].port, 8080);
	assert_int_equal(services->list[0].n_places, 1);
	assert_int_equal(services->list[0].places[0].interface, MDNS_EVERY_INTERFACE);
	assert_int_equal(services->list[0].places[0].family, MDNS_BOTH);
	mdns_service_name(&services->list[0], 1, text);
	mdns_service_txt(&services->list[0], txt);
	assert_string_equal(text, "Porch");
	assert_string_equal(txt, "path=/");
	assert_string_equal(services->list[2].type, "_rtsp._tcp");
	assert_int_equal(services->list[2].port, 8554);
	assert_int_equal(services->list[2].n_places, 2);
	assert_int_equal(services->list[2].places[0].family, MDNS_IPV4);
	assert_int_equal(services->list[2].places[1].family, MDNS_IPV6);
	mdns_service_name(&services->list[2], 1, text);
	mdns_service_txt(&services->list[2], txt);
	assert_string_equal(text, "Porch (side)");
	assert_string_equal(txt, "path=/side");
	free(services);
}

static void what_only_this_machine_reaches_is_not_told(void **state)
{
	static const char *const lines[] = {
		"http = 127.0.0.1:8080\nrtsp = localhost:8554, [::1]:8554",
		"http = :8080\nrtsp = :8554\nmdns = no",
	};

	(void)state;
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		struct mdns_services *services = services_of(lines[i]);

		assert_int_equal(services->n, 0);
		free(services);
	}
}

static void of_several_ports_the_first_for_others_is_told(void **state)
{
	struct mdns_services *services =
		services_of("http = 127.0.0.1:81, 0.0.0.0:82, [::]:82, 0.0.0.0:83");

	(void)state;
	assert_int_equal(services->n, 1);
	assert_int_equal(services->list[0].port, 82);
	assert_int_equal(services->list[0].n_places, 2);
	free(services);
}

static void an_address_that_no_interface_has_is_left_out(void **state)
{
	struct config *config;
	struct mdns_services *services;
	const char *text = "[daemon]\nhttp = 192.0.2.77:8080\n" STREAMS;

	(void)state;
	assert_int_equal(config_parse(&config, "test", text, strlen(text), stderr), 0);
	services = mdns_services_create(config, 8080, 0);
	assert_int_equal(services->n, 0);
	free(services);
	config_destroy(config);
}

static void long_names_are_cut_between_characters_before_the_stream(void **state)
{
	struct mdns_service service = {.type = "_rtsp._tcp", .n_places = 1};
	char name[MDNS_NAME_MAX];

	(void)state;
	for (int i = 0; i < 20; i++)
		text_append(service.server, sizeof service.server, "\xed\x98\x84");
	text_set(service.stream, sizeof service.stream, "abcdefghijklmnopqrstuvwxyz-abcdefghijklm");
	mdns_service_name(&service, 12, name);
	assert_true(text_is_utf8(name, strlen(name)));
	assert_true(strlen(name) < MDNS_NAME_MAX);
	assert_string_equal(strchr(name, ' '), " (abcdefghijklmnopqrstuvwxyz-abcdefghijklm) #12");
	mdns_service_name(&service, UINT32_MAX, name);
	assert_non_null(strstr(name, ") #4294967295"));
}

static void services_that_differ_in_anything_differ(void **state)
{
	const struct mdns_service a = {.type = "_rtsp._tcp",
				       .server = "a",
				       .stream = "s",
				       .port = 1,
				       .n_places = 1,
				       .places = {{1, MDNS_BOTH}}};
	struct mdns_service b[6];

	(void)state;
	for (size_t i = 0; i < 6; i++)
		b[i] = a;
	b[1].type = "_http._tcp";
	b[2].server[0] = 'b';
	b[3].stream[0] = 't';
	b[4].port = 2;
	b[5].places[0].family = MDNS_IPV4;
	for (size_t i = 0; i < 6; i++)
		assert_int_equal(mdns_service_is_same(&a, &b[i]), i == 0);
}

/* --- without a bus --- */

static void a_bus_that_is_not_there_is_tried_more_and_more_rarely(void **state)
{
	struct avahi *avahi = avahi_create();
	int64_t now_us = 1000000, last_us = 0;
	struct pollfd fd;

	(void)state;
	assert_non_null(avahi);
	assert_int_equal(avahi_wait(avahi, &fd, now_us), -1);
	setenv(BUS, "unix:path=/nonexistent/bus", 1);
	avahi_publish(avahi, services_of("http = :8080\nrtsp = :8554"));
	assert_true(avahi_changed(avahi));
	for (int i = 0; i < 10; i++) {
		int wait_ms;

		avahi_turn(avahi, now_us);
		assert_int_equal(avahi_status(avahi)->state, MDNS_WAITING);
		assert_non_null(strstr(avahi_status(avahi)->reason, "no D-Bus system bus"));
		wait_ms = avahi_wait(avahi, &fd, now_us);
		assert_int_equal(fd.fd, -1);
		assert_true((int64_t)wait_ms * 1000 >= last_us);
		last_us = (int64_t)wait_ms * 1000;
		now_us += last_us;
	}
	assert_int_equal(last_us, AVAHI_RETRY_MAX_US);
	avahi_publish(avahi, services_of("http = 127.0.0.1:8080"));
	avahi_turn(avahi, now_us);
	assert_int_equal(avahi_status(avahi)->state, MDNS_NOTHING);
	assert_int_equal(avahi_wait(avahi, &fd, now_us), -1);
	avahi_destroy(avahi);
}

static void a_bus_elsewhere_is_not_asked(void **state)
{
	static const char *const elsewhere[] = {"tcp:host=localhost,port=1",
						"unixexec:path=/bin/true",
						"unix:path=/nonexistent;tcp:host=a,port=1"};

	(void)state;
	for (size_t i = 0; i < sizeof elsewhere / sizeof *elsewhere; i++) {
		struct avahi *avahi = avahi_create();

		setenv(BUS, elsewhere[i], 1);
		avahi_publish(avahi, services_of("http = :8080"));
		avahi_turn(avahi, 1);
		assert_non_null(strstr(avahi_status(avahi)->reason, "no socket of this machine"));
		avahi_destroy(avahi);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(page_and_streams_are_told),
		cmocka_unit_test(what_only_this_machine_reaches_is_not_told),
		cmocka_unit_test(of_several_ports_the_first_for_others_is_told),
		cmocka_unit_test(an_address_that_no_interface_has_is_left_out),
		cmocka_unit_test(long_names_are_cut_between_characters_before_the_stream),
		cmocka_unit_test(services_that_differ_in_anything_differ),
		cmocka_unit_test(a_bus_that_is_not_there_is_tried_more_and_more_rarely),
		cmocka_unit_test(a_bus_elsewhere_is_not_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
