/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "daemon/onvif/wsd.h"
#include "daemon/onvif/xml.h"

#define UUID "f81d4fae-7dec-81d0-a765-00a0c91e6bf6"
#define BASE "onvif://www.onvif.org"
#define DISCOVERY "http://schemas.xmlsoap.org/ws/2005/04/discovery"
#define ADDRESSING "http://schemas.xmlsoap.org/ws/2004/08/addressing"

static const struct wsd_self self = {
	.uuid = UUID,
	.scopes = BASE "/Profile/Streaming " BASE "/name/Front",
	.xaddr = "http://192.0.2.1:8080/onvif/device_service",
	.instance = 7,
	.message = 3,
};

static enum wsd_kind ask(const char *body)
{
	char text[2048], id[WSD_ID_MAX];
	enum wsd_kind kind;

	snprintf(text, sizeof text,
		 "<e:Envelope xmlns:e='http://www.w3.org/2003/05/soap-envelope' "
		 "xmlns:w='" ADDRESSING "' xmlns:d='" DISCOVERY "' "
		 "xmlns:dn='http://www.onvif.org/ver10/network/wsdl' "
		 "xmlns:dp='http://schemas.xmlsoap.org/ws/2006/02/devprof' "
		 "xmlns:t='http://www.onvif.org/ver10/device/wsdl'>"
		 "<e:Header><w:MessageID>uuid:1</w:MessageID></e:Header><e:Body>%s</e:Body>"
		 "</e:Envelope>",
		 body);
	kind = wsd_read(text, strlen(text), &self, id);
	if (kind != WSD_KINDS)
		assert_string_equal(id, "uuid:1");
	return kind;
}

static void a_probe_for_such_a_device_is_answered(void **state)
{
	static const char *const probes[] = {
		"<d:Probe/>",
		"<d:Probe><d:Types/><d:Scopes/></d:Probe>",
		"<d:Probe><d:Types>dn:NetworkVideoTransmitter</d:Types></d:Probe>",
		"<d:Probe><d:Types>dn:NetworkVideoTransmitter t:Device</d:Types></d:Probe>",
		"<d:Probe><d:Types xmlns='http://www.onvif.org/ver10/device/wsdl'>Device</d:Types>"
		"</d:Probe>",
		"<d:Probe><d:Scopes>" BASE "</d:Scopes></d:Probe>",
		"<d:Probe><d:Scopes>" BASE "/Profile/ " BASE "/name</d:Scopes></d:Probe>",
		"<d:Probe><d:Scopes MatchBy='" DISCOVERY "/strcmp0'>" BASE "/name/Front</d:Scopes>"
		"</d:Probe>",
	};

	(void)state;
	for (size_t i = 0; i < sizeof probes / sizeof *probes; i++)
		if (ask(probes[i]) != WSD_PROBE_MATCHES)
			fail_msg("%s", probes[i]);
}

static void other_messages_are_not_answered(void **state)
{
	static const char *const bodies[] = {
		"",
		"<d:Hello/>",
		"<Probe/>",
		"<d:Probe><d:Types>dn:NetworkVideoDisplay</d:Types></d:Probe>",
		/* What printers are asked. */
		"<d:Probe><d:Types>dp:Device</d:Types></d:Probe>",
		"<d:Probe><d:Types>x:Device</d:Types></d:Probe>",
		"<d:Probe><d:Types>Device</d:Types></d:Probe>",
		"<d:Probe><d:Scopes>" BASE "/Prof</d:Scopes></d:Probe>",
		"<d:Probe><d:Scopes>" BASE "/name/Front/door</d:Scopes></d:Probe>",
		"<d:Probe><d:Scopes MatchBy='" DISCOVERY "/strcmp0'>" BASE "/name</d:Scopes>"
		"</d:Probe>",
		"<d:Probe><d:Scopes MatchBy='" DISCOVERY "/ldap'/></d:Probe>",
		"<d:Resolve/>",
		"<d:Resolve><w:EndpointReference><w:Address>urn:uuid:0</w:Address>"
		"</w:EndpointReference></d:Resolve>",
	};
	char id[WSD_ID_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
		if (ask(bodies[i]) != WSD_KINDS)
			fail_msg("%s", bodies[i]);
	assert_int_equal(wsd_read("<a/>", 4, &self, id), WSD_KINDS);
	assert_int_equal(wsd_read("", 0, &self, id), WSD_KINDS);
}

static void its_own_address_is_resolved(void **state)
{
	(void)state;
	assert_int_equal(ask("<d:Resolve><w:EndpointReference><w:Address>urn:uuid:" UUID
			     "</w:Address></w:EndpointReference></d:Resolve>"),
			 WSD_RESOLVE_MATCHES);
}

static void messages_can_be_read_again(void **state)
{
	static const char *const names[] = {"Hello", "Bye", "ProbeMatches", "ResolveMatches"};

	(void)state;
	for (enum wsd_kind kind = 0; kind < WSD_KINDS; kind++) {
		struct markup out = {0};
		const struct xml_node *body;
		struct xml *xml;

		wsd_write(&out, kind, &self, UUID, "<uuid:1>");
		assert_false(out.failed);
		assert_int_equal(xml_parse(&xml, out.text, out.len), 0);
		body = xml_child(xml, xml_root(xml), NULL, "Body");
		assert_true(xml_is(xml_first(xml, body), DISCOVERY, names[kind]));
		assert_string_equal(xml_child_text(xml,
						   xml_child(xml, xml_root(xml), NULL, "Header"),
						   ADDRESSING, "RelatesTo"),
				    "<uuid:1>");
		xml_destroy(xml);
		markup_finish(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_probe_for_such_a_device_is_answered),
		cmocka_unit_test(other_messages_are_not_answered),
		cmocka_unit_test(its_own_address_is_resolved),
		cmocka_unit_test(messages_can_be_read_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
