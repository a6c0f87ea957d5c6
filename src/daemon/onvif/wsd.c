/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/onvif/wsd.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "daemon/onvif/xml.h"

#define ENVELOPE "http://www.w3.org/2003/05/soap-envelope"
#define ADDRESSING "http://schemas.xmlsoap.org/ws/2004/08/addressing"
#define DISCOVERY "http://schemas.xmlsoap.org/ws/2005/04/discovery"
#define NETWORK "http://www.onvif.org/ver10/network/wsdl"
#define DEVICE "http://www.onvif.org/ver10/device/wsdl"
#define MATCH_RFC3986 DISCOVERY "/rfc3986"
#define MATCH_STRCMP DISCOVERY "/strcmp0"
#define PREFIX_MAX 64

/* --- questions --- */

/* The next word of a list that white space separates, of *len bytes; NULL: there is none. */
static const char *next_word(const char **list, size_t *len)
{
	static const char space[] = " \t\r\n";
	const char *word = *list + strspn(*list, space);

	*len = strcspn(word, space);
	*list = word + *len;
	return *len ? word : NULL;
}

/* A type is a name with a prefix. */
static bool is_ours(const struct xml *xml, const struct xml_node *types, const char *word,
		    size_t len)
{
	const char *colon = memchr(word, ':', len);
	size_t prefix_len = colon ? (size_t)(colon - word) : 0;
	const char *name = colon ? colon + 1 : word;
	size_t name_len = len - (size_t)(name - word);
	char prefix[PREFIX_MAX];
	const char *space;

	if (prefix_len >= sizeof prefix)
		return false;
	memcpy(prefix, word, prefix_len);
	prefix[prefix_len] = '\0';
	space = xml_space(xml, types, prefix);
	if (!space)
		return false;
	return (strcmp(space, NETWORK) == 0 && name_len == 23 &&
		memcmp(name, "NetworkVideoTransmitter", 23) == 0) ||
	       (strcmp(space, DEVICE) == 0 && name_len == 6 && memcmp(name, "Device", 6) == 0);
}

static bool fits_types(const struct xml *xml, const struct xml_node *types)
{
	const char *list = types ? types->text : "", *word;
	size_t len;

	while ((word = next_word(&list, &len)))
		if (!is_ours(xml, types, word, len))
			return false;
	return true;
}

/* Whether one of our scopes is the wanted one or, unless exact, lies below it: whole parts of its
 * path are those of the wanted one (WS-Discovery, clause 5.1). */
static bool has_scope(const char *scopes, const char *wanted, size_t wanted_len, bool exact)
{
	const char *word;
	size_t len;

	if (!exact && wanted_len > 0 && wanted[wanted_len - 1] == '/')
		wanted_len--;
	while ((word = next_word(&scopes, &len)))
		if (len >= wanted_len && strncasecmp(word, wanted, wanted_len) == 0 &&
		    (len == wanted_len || (!exact && word[wanted_len] == '/')))
			return true;
	return false;
}

static bool fits_scopes(const struct xml *xml, const struct xml_node *scopes, const char *own)
{
	const char *rule = xml_attribute(xml, scopes, "MatchBy");
	const char *list = scopes ? scopes->text : "", *word;
	bool exact = rule && strcmp(rule, MATCH_STRCMP) == 0;
	size_t len;

	if (rule && !exact && strcmp(rule, MATCH_RFC3986) != 0)
		return false;
	while ((word = next_word(&list, &len)))
		if (!has_scope(own, word, len, exact))
			return false;
	return true;
}

static bool is_own_uuid(const char *address, const struct wsd_self *self)
{
	static const char prefix[] = "urn:uuid:";

	return address && strncasecmp(address, prefix, sizeof prefix - 1) == 0 &&
	       strcasecmp(address + sizeof prefix - 1, self->uuid) == 0;
}

static enum wsd_kind read_body(const struct xml *xml, const struct xml_node *body,
			       const struct wsd_self *self)
{
	const struct xml_node *probe = xml_child(xml, body, DISCOVERY, "Probe");
	const struct xml_node *resolve = xml_child(xml, body, DISCOVERY, "Resolve");
	const struct xml_node *reference = xml_child(xml, resolve, ADDRESSING, "EndpointReference");

	if (probe && fits_types(xml, xml_child(xml, probe, DISCOVERY, "Types")) &&
	    fits_scopes(xml, xml_child(xml, probe, DISCOVERY, "Scopes"), self->scopes))
		return WSD_PROBE_MATCHES;
	if (is_own_uuid(xml_child_text(xml, reference, ADDRESSING, "Address"), self))
		return WSD_RESOLVE_MATCHES;
	return WSD_KINDS;
}

static enum wsd_kind read_envelope(const struct xml *xml, const struct wsd_self *self,
				   char id[WSD_ID_MAX])
{
	const struct xml_node *root = xml_root(xml);
	const struct xml_node *header = xml_child(xml, root, ENVELOPE, "Header");
	const char *message = xml_child_text(xml, header, ADDRESSING, "MessageID");

	if (!xml_is(root, ENVELOPE, "Envelope") || !message || !message[0] ||
	    strlen(message) >= WSD_ID_MAX)
		return WSD_KINDS;
	strcpy(id, message);
	return read_body(xml, xml_child(xml, root, ENVELOPE, "Body"), self);
}

enum wsd_kind wsd_read(const char *text, size_t len, const struct wsd_self *self,
		       char id[WSD_ID_MAX])
{
	enum wsd_kind kind;
	struct xml *xml;

	if (xml_parse(&xml, text, len) < 0)
		return WSD_KINDS;
	kind = read_envelope(xml, self, id);
	xml_destroy(xml);
	return kind;
}

/* --- messages --- */

static const struct {
	const char *action;
	const char *outer, *inner; /* elements around what is said; inner NULL: none */
	bool everybody;		   /* it is sent to all */
} kinds[] = {
	[WSD_HELLO] = {"Hello", "Hello", NULL, true},
	[WSD_BYE] = {"Bye", "Bye", NULL, true},
	[WSD_PROBE_MATCHES] = {"ProbeMatches", "ProbeMatches", "ProbeMatch", false},
	[WSD_RESOLVE_MATCHES] = {"ResolveMatches", "ResolveMatches", "ResolveMatch", false},
};

void wsd_write(struct markup *out, enum wsd_kind kind, const struct wsd_self *self,
	       const char *uuid, const char *relates_to)
{
	markup_add(out,
		   "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		   "<s:Envelope xmlns:s=\"" ENVELOPE "\" xmlns:a=\"" ADDRESSING "\" "
		   "xmlns:d=\"" DISCOVERY "\" xmlns:dn=\"" NETWORK "\" xmlns:tds=\"" DEVICE "\">"
		   "<s:Header><a:MessageID>urn:uuid:%s</a:MessageID>",
		   uuid);
	if (relates_to[0])
		markup_add(out, "<a:RelatesTo>%s</a:RelatesTo>", relates_to);
	markup_add(
		out,
		"<a:To>%s</a:To><a:Action>" DISCOVERY "/%s</a:Action>"
		"<d:AppSequence InstanceId=\"%u\" MessageNumber=\"%u\"/></s:Header><s:Body><d:%s>",
		kinds[kind].everybody ? "urn:schemas-xmlsoap-org:ws:2005:04:discovery"
				      : ADDRESSING "/role/anonymous",
		kinds[kind].action, self->instance, self->message, kinds[kind].outer);
	if (kinds[kind].inner)
		markup_add(out, "<d:%s>", kinds[kind].inner);
	markup_add(out,
		   "<a:EndpointReference><a:Address>urn:uuid:%s</a:Address></a:EndpointReference>",
		   self->uuid);
	if (kind != WSD_BYE)
		markup_add(out,
			   "<d:Types>dn:NetworkVideoTransmitter tds:Device</d:Types>"
			   "<d:Scopes>%s</d:Scopes><d:XAddrs>%s</d:XAddrs>"
			   "<d:MetadataVersion>1</d:MetadataVersion>",
			   self->scopes, self->xaddr);
	if (kinds[kind].inner)
		markup_add(out, "</d:%s>", kinds[kind].inner);
	markup_add(out, "</d:%s></s:Body></s:Envelope>\n", kinds[kind].outer);
}
