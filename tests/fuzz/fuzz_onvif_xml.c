/* SPDX-License-Identifier: BSD-2-Clause */
/* XML of recorders: what is read is a tree whose texts are UTF-8, and which is the same after it
 * was written and read again; tokens and questions of WS-Discovery in it stay within their bounds.
 */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "daemon/onvif/markup.h"
#include "daemon/onvif/token.h"
#include "daemon/onvif/wsd.h"
#include "daemon/onvif/xml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
	if (!holds)
		abort();
}

/* Elements and their texts; prefixes are left out. */
static void write(struct markup *out, const struct xml *xml, const struct xml_node *node,
		  unsigned depth)
{
	require(depth < XML_DEPTH_MAX);
	require(text_is_utf8(node->text, strlen(node->text)));
	markup_add(out, "<%s xmlns=\"%s\">%s", node->name, node->space, node->text);
	for (const struct xml_node *at = xml_first(xml, node); at; at = xml_next(xml, at))
		write(out, xml, at, depth + 1);
	markup_add(out, "</%s>", node->name);
}

/* Whether b is what was written of a: white space but blanks became question marks. */
static bool is_written(const char *a, const char *b)
{
	for (; *a && *b; a++, b++)
		if (*b != ((unsigned char)*a < ' ' ? '?' : *a))
			return false;
	return *a == *b;
}

static void compare(const struct xml *a, const struct xml_node *x, const struct xml *b,
		    const struct xml_node *y)
{
	const struct xml_node *in_a = xml_first(a, x), *in_b = xml_first(b, y);

	require(strcmp(x->name, y->name) == 0);
	require(is_written(x->space, y->space) && is_written(x->text, y->text));
	for (; in_a && in_b; in_a = xml_next(a, in_a), in_b = xml_next(b, in_b))
		compare(a, in_a, b, in_b);
	require(!in_a && !in_b);
}

static void write_and_read_again(const struct xml *xml)
{
	struct markup out = {0};
	struct xml *again;

	write(&out, xml, xml_root(xml), 0);
	/* With all namespaces written out, it may be longer than what is read. */
	if (!out.failed && xml_parse(&again, out.text, out.len) == 0) {
		compare(xml, xml_root(xml), again, xml_root(again));
		xml_destroy(again);
	}
	markup_finish(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct wsd_self self = {
		.uuid = "f81d4fae-7dec-81d0-a765-00a0c91e6bf6",
		.scopes = "onvif://www.onvif.org/Profile/Streaming onvif://www.onvif.org/name/a",
		.xaddr = "http://192.0.2.1/onvif/device_service",
	};
	static struct token_memory memory;
	static const struct net_peer peer;
	char id[WSD_ID_MAX];
	struct token token;
	struct xml *xml;

	if (wsd_read((const char *)data, size, &self, id) != WSD_KINDS)
		require(id[0] && strlen(id) < sizeof id);
	if (xml_parse(&xml, (const char *)data, size) < 0)
		return 0;
	write_and_read_again(xml);
	if (token_read(&token, xml, xml_child(xml, xml_root(xml), NULL, "Header")) == 0) {
		require(token.name[0] && token.nonce_len <= sizeof token.nonce);
		if (token_is_fresh(&memory, &token, &peer, true, token.created_s) &&
		    token_fits(&token, "password")) {
			token_remember(&memory, &token, &peer, token.created_s);
			require(!token_is_fresh(&memory, &token, &peer, true, token.created_s));
		}
	}
	xml_destroy(xml);
	return 0;
}
