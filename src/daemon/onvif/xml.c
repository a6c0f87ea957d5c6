/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/onvif/xml.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/text.h"

/* A text is never longer than its source, and each has a terminator; a node has at most a name and
 * a text, and each binding a prefix and a URI, all of which need more than that in the source. */
#define POOL_MAX (2 * XML_MAX + 2 * XML_NODES_MAX + 2 * XML_PREFIXES_MAX)
#define OPEN UINT16_MAX /* the end tag has not been read yet */
#define XML_SPACE "http://www.w3.org/XML/1998/namespace"

struct binding {
	uint16_t node;	    /* the element that has it */
	const char *prefix; /* "": the default namespace */
	const char *uri;    /* "": none */
};

struct xml {
	struct xml_node nodes[XML_NODES_MAX];
	uint16_t ends[XML_NODES_MAX]; /* the node behind all that are within one; OPEN */
	size_t n_nodes;
	struct binding bindings[XML_PREFIXES_MAX];
	size_t n_bindings;
	size_t pooled;
	char pool[POOL_MAX];
};

/* An attribute before the namespaces of its element are known. */
struct attribute {
	const char *prefix, *name, *value;
};

struct reader {
	struct xml *xml;
	const char *at, *end;
	/* The open elements. */
	struct {
		uint16_t node;
		const char *prefix; /* as it was opened */
	} open[XML_DEPTH_MAX];
	size_t depth;
	int err;
};

static bool fail(struct reader *r, int err)
{
	if (r->err == 0)
		r->err = err;
	return false;
}

/* --- the pool --- */

static bool put(struct reader *r, const char *bytes, size_t len)
{
	if (len > POOL_MAX - r->xml->pooled)
		return fail(r, -EMSGSIZE);
	memcpy(r->xml->pool + r->xml->pooled, bytes, len);
	r->xml->pooled += len;
	return true;
}

/* Ends the text that begins at `begin` of the pool. NULL: no room. */
static const char *end_text(struct reader *r, size_t begin)
{
	return put(r, "", 1) ? r->xml->pool + begin : NULL;
}

/* --- characters --- */

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool skip_space(struct reader *r)
{
	const char *from = r->at;

	while (r->at < r->end && is_space(*r->at))
		r->at++;
	return r->at > from;
}

static bool take(struct reader *r, const char *literal)
{
	size_t len = strlen(literal);

	if ((size_t)(r->end - r->at) < len || memcmp(r->at, literal, len) != 0)
		return false;
	r->at += len;
	return true;
}

/* Skips what is up to `literal`, which is skipped too. */
static bool skip_past(struct reader *r, const char *literal)
{
	const char *found = memmem(r->at, (size_t)(r->end - r->at), literal, strlen(literal));

	if (!found)
		return fail(r, -EBADMSG);
	r->at = found + strlen(literal);
	return true;
}

/* Char of XML 1.0, clause 2.2. */
static bool is_character(uint32_t code)
{
	return code == '\t' || code == '\n' || code == '\r' || (code >= 0x20 && code <= 0xd7ff) ||
	       (code >= 0xe000 && code <= 0xfffd) || (code >= 0x10000 && code <= 0x10ffff);
}

static size_t encode(uint32_t code, char out[4])
{
	if (code < 0x80) {
		out[0] = (char)code;
		return 1;
	}
	if (code < 0x800) {
		out[0] = (char)(0xc0 | code >> 6);
		out[1] = (char)(0x80 | (code & 0x3f));
		return 2;
	}
	if (code < 0x10000) {
		out[0] = (char)(0xe0 | code >> 12);
		out[1] = (char)(0x80 | (code >> 6 & 0x3f));
		out[2] = (char)(0x80 | (code & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | code >> 18);
	out[1] = (char)(0x80 | (code >> 12 & 0x3f));
	out[2] = (char)(0x80 | (code >> 6 & 0x3f));
	out[3] = (char)(0x80 | (code & 0x3f));
	return 4;
}

/* "&#10;", "&#xa;", behind "&#". */
static bool read_number(struct reader *r, char out[4], size_t *len)
{
	uint32_t code = 0;
	int base = take(r, "x") ? 16 : 10;
	const char *from = r->at;

	while (r->at < r->end && *r->at != ';' && code <= 0x10ffff) {
		int digit = bytes_hex_digit(*r->at++);

		if (digit < 0 || digit >= base)
			return fail(r, -EBADMSG);
		code = code * (uint32_t)base + (uint32_t)digit;
	}
	if (r->at == from || !take(r, ";") || !is_character(code))
		return fail(r, -EBADMSG);
	*len = encode(code, out);
	return true;
}

/* Behind '&'. */
static bool read_reference(struct reader *r, char out[4], size_t *len)
{
	static const struct {
		const char *name;
		char character;
	} names[] = {{"lt;", '<'}, {"gt;", '>'}, {"amp;", '&'}, {"quot;", '"'}, {"apos;", '\''}};

	if (take(r, "#"))
		return read_number(r, out, len);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		if (take(r, names[i].name)) {
			out[0] = names[i].character;
			*len = 1;
			return true;
		}
	}
	return fail(r, -EBADMSG);
}

/* Puts one character, or what a reference stands for, into the pool; not if it is NULL text. */
static bool put_character(struct reader *r, bool keep)
{
	char out[4];
	size_t len;
	uint32_t code;
	const char *from = r->at;

	if (take(r, "&"))
		return read_reference(r, out, &len) && (!keep || put(r, out, len));
	len = text_decode(from, (size_t)(r->end - from), &code);
	if (len == 0 || !is_character(code))
		return fail(r, -EBADMSG);
	r->at += len;
	return !keep || put(r, from, len);
}

/* --- names --- */

/* NameStartChar and NameChar of XML 1.0 clause 2.3; of those beyond ASCII all letters pass. */
static bool is_name_character(unsigned char c, bool first)
{
	if (c == '_' || c >= 0x80 || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
		return true;
	return !first && (c == '-' || c == '.' || (c >= '0' && c <= '9'));
}

/* A name without colon. */
static const char *read_part(struct reader *r)
{
	const char *from = r->at;
	size_t begin = r->xml->pooled;

	while (r->at < r->end && is_name_character((unsigned char)*r->at, r->at == from))
		r->at++;
	if (r->at == from) {
		fail(r, -EBADMSG);
		return NULL;
	}
	return put(r, from, (size_t)(r->at - from)) ? end_text(r, begin) : NULL;
}

static bool read_name(struct reader *r, const char **prefix, const char **name)
{
	*prefix = "";
	*name = read_part(r);
	if (*name && take(r, ":")) {
		*prefix = *name;
		*name = read_part(r);
	}
	return *name != NULL;
}

/* Whether a node is an element, or within it. */
static bool is_within(const struct xml *xml, uint16_t node, uint16_t element)
{
	return node >= element && node < xml->ends[element];
}

const char *xml_space(const struct xml *xml, const struct xml_node *node, const char *prefix)
{
	uint16_t number = (uint16_t)(node - xml->nodes);

	if (strcmp(prefix, "xml") == 0)
		return XML_SPACE;
	/* Of the elements around a node, the innermost one was read last. */
	for (size_t i = xml->n_bindings; i-- > 0;)
		if (is_within(xml, number, xml->bindings[i].node) &&
		    strcmp(xml->bindings[i].prefix, prefix) == 0)
			return xml->bindings[i].uri;
	return prefix[0] ? NULL : "";
}

static bool is_bound_twice(const struct xml *xml, uint16_t node, const char *prefix)
{
	for (size_t i = xml->n_bindings; i-- > 0 && xml->bindings[i].node == node;)
		if (strcmp(xml->bindings[i].prefix, prefix) == 0)
			return true;
	return false;
}

/* Of the element whose start tag is being read, which is the next node. */
static bool bind_prefix(struct reader *r, const char *prefix, const char *uri)
{
	struct xml *xml = r->xml;
	uint16_t node = (uint16_t)xml->n_nodes;

	/* A prefix cannot be unbound (Namespaces in XML 1.0, clause 5). */
	if ((prefix[0] && !uri[0]) || strcmp(prefix, "xml") == 0 || strcmp(prefix, "xmlns") == 0 ||
	    is_bound_twice(xml, node, prefix))
		return fail(r, -EBADMSG);
	if (xml->n_bindings == XML_PREFIXES_MAX)
		return fail(r, -EMSGSIZE);
	xml->bindings[xml->n_bindings++] = (struct binding){node, prefix, uri};
	return true;
}

/* --- nodes --- */

/* A new node below the element that is open; NULL: too many. */
static struct xml_node *add_node(struct reader *r, bool attribute)
{
	struct xml *xml = r->xml;
	uint16_t number = (uint16_t)xml->n_nodes;
	struct xml_node *node = &xml->nodes[number];

	if (xml->n_nodes == XML_NODES_MAX) {
		fail(r, -EMSGSIZE);
		return NULL;
	}
	xml->n_nodes++;
	*node = (struct xml_node){.space = "", .name = "", .text = "", .attribute = attribute};
	xml->ends[number] = attribute ? number + 1 : OPEN;
	if (r->depth > 0) {
		struct xml_node *parent = &xml->nodes[r->open[r->depth - 1].node];

		node->parent = r->open[r->depth - 1].node;
		if (parent->last_child)
			xml->nodes[parent->last_child].next = number;
		else
			parent->first_child = number;
		parent->last_child = number;
		if (!attribute)
			parent->text = "";
	}
	return node;
}

static bool has_child_elements(const struct xml *xml, const struct xml_node *node)
{
	return xml_first(xml, node) != NULL;
}

/* --- a start tag --- */

static bool read_value(struct reader *r, const char **value)
{
	size_t begin = r->xml->pooled;
	char quote;

	skip_space(r);
	if (!take(r, "="))
		return fail(r, -EBADMSG);
	skip_space(r);
	if (r->at == r->end || (*r->at != '"' && *r->at != '\''))
		return fail(r, -EBADMSG);
	quote = *r->at++;
	while (r->at < r->end && *r->at != quote)
		if (*r->at == '<' || !put_character(r, true))
			return fail(r, -EBADMSG);
	if (r->at == r->end)
		return fail(r, -EBADMSG);
	r->at++;
	*value = end_text(r, begin);
	return *value != NULL;
}

/* One attribute: a binding of a prefix, or kept for later. */
static bool read_attribute(struct reader *r, struct attribute *kept, size_t *n)
{
	struct attribute one;

	if (!read_name(r, &one.prefix, &one.name) || !read_value(r, &one.value))
		return false;
	if (strcmp(one.prefix, "xmlns") == 0)
		return bind_prefix(r, one.name, one.value);
	if (!one.prefix[0] && strcmp(one.name, "xmlns") == 0)
		return bind_prefix(r, "", one.value);
	if (*n == XML_DEPTH_MAX)
		return fail(r, -EMSGSIZE);
	for (size_t i = 0; i < *n; i++)
		if (strcmp(kept[i].name, one.name) == 0 && strcmp(kept[i].prefix, one.prefix) == 0)
			return fail(r, -EBADMSG);
	kept[(*n)++] = one;
	return true;
}

/* The innermost element that is open ends. */
static void close_element(struct reader *r)
{
	r->depth--;
	r->xml->ends[r->open[r->depth].node] = (uint16_t)r->xml->n_nodes;
}

static bool add_attributes(struct reader *r, const struct xml_node *element,
			   const struct attribute *kept, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const char *space =
			kept[i].prefix[0] ? xml_space(r->xml, element, kept[i].prefix) : "";
		struct xml_node *node = space ? add_node(r, true) : NULL;

		if (!node)
			return fail(r, -EBADMSG);
		node->space = space;
		node->name = kept[i].name;
		node->text = kept[i].value;
	}
	return true;
}

/* Behind '<'. */
static bool read_start(struct reader *r)
{
	struct attribute kept[XML_DEPTH_MAX];
	size_t n = 0;
	const char *prefix, *name;
	struct xml_node *node;
	bool empty = false, spaced;

	if (r->depth == XML_DEPTH_MAX)
		return fail(r, -EMSGSIZE);
	if (!read_name(r, &prefix, &name))
		return false;
	for (;;) {
		spaced = skip_space(r);
		empty = take(r, "/>");
		if (empty || take(r, ">"))
			break;
		if (!spaced)
			return fail(r, -EBADMSG);
		if (!read_attribute(r, kept, &n))
			return false;
	}
	node = add_node(r, false);
	if (!node)
		return false;
	node->name = name;
	node->space = xml_space(r->xml, node, prefix);
	if (!node->space)
		return fail(r, -EBADMSG);
	r->open[r->depth].node = (uint16_t)(node - r->xml->nodes);
	r->open[r->depth].prefix = prefix;
	r->depth++;
	if (!add_attributes(r, node, kept, n))
		return false;
	if (empty)
		close_element(r);
	return true;
}

/* Behind "</". */
static bool read_end(struct reader *r)
{
	size_t pooled = r->xml->pooled;
	const char *prefix, *name;

	if (r->depth == 0 || !read_name(r, &prefix, &name))
		return fail(r, -EBADMSG);
	if (strcmp(name, r->xml->nodes[r->open[r->depth - 1].node].name) != 0 ||
	    strcmp(prefix, r->open[r->depth - 1].prefix) != 0)
		return fail(r, -EBADMSG);
	skip_space(r);
	if (!take(r, ">"))
		return fail(r, -EBADMSG);
	r->xml->pooled = pooled;
	close_element(r);
	return true;
}

/* --- text --- */

static bool put_cdata(struct reader *r, bool keep)
{
	const char *end = memmem(r->at, (size_t)(r->end - r->at), "]]>", 3);

	if (!end)
		return fail(r, -EBADMSG);
	while (r->at < end) {
		uint32_t code;
		size_t len = text_decode(r->at, (size_t)(end - r->at), &code);

		if (len == 0 || !is_character(code))
			return fail(r, -EBADMSG);
		if (keep && !put(r, r->at, len))
			return false;
		r->at += len;
	}
	r->at = end + 3;
	return true;
}

/* Text, comments between it, and CDATA sections, up to the next tag. */
static bool read_text(struct reader *r)
{
	struct xml_node *node = &r->xml->nodes[r->open[r->depth - 1].node];
	bool keep = !has_child_elements(r->xml, node);
	size_t begin = r->xml->pooled;
	char *text = r->xml->pool + begin;

	while (r->at < r->end) {
		if (take(r, "<!--")) {
			if (!skip_past(r, "-->"))
				return false;
		} else if (take(r, "<![CDATA[")) {
			if (!put_cdata(r, keep))
				return false;
		} else if (*r->at == '<') {
			break;
		} else if (!put_character(r, keep)) {
			return false;
		}
	}
	while (r->xml->pooled > begin && is_space(r->xml->pool[r->xml->pooled - 1]))
		r->xml->pooled--;
	if (r->xml->pooled == begin)
		return true;
	if (!end_text(r, begin))
		return false;
	while (is_space(*text))
		text++;
	node->text = text;
	return true;
}

/* --- a document --- */

static bool skip_comments(struct reader *r)
{
	skip_space(r);
	while (take(r, "<!--")) {
		if (!skip_past(r, "-->"))
			return false;
		skip_space(r);
	}
	return true;
}

static bool read_document(struct reader *r)
{
	take(r, "\xef\xbb\xbf");
	if (take(r, "<?xml") && !skip_past(r, "?>"))
		return false;
	if (!skip_comments(r))
		return false;
	if (!take(r, "<") || !read_start(r))
		return fail(r, -EBADMSG);
	while (r->depth > 0) {
		if (!read_text(r))
			return false;
		if (take(r, "</")) {
			if (!read_end(r))
				return false;
		} else if (!take(r, "<") || !read_start(r)) {
			return fail(r, -EBADMSG);
		}
	}
	if (!skip_comments(r))
		return false;
	return r->at == r->end || fail(r, -EBADMSG);
}

int xml_parse(struct xml **out, const char *text, size_t len)
{
	struct reader r = {.at = text, .end = text + len};

	if (len > XML_MAX)
		return -EMSGSIZE;
	if (memchr(text, '\0', len))
		return -EBADMSG;
	r.xml = malloc(sizeof *r.xml);
	if (!r.xml)
		return -ENOMEM;
	r.xml->n_nodes = 0;
	r.xml->n_bindings = 0;
	r.xml->pooled = 0;
	if (!read_document(&r)) {
		free(r.xml);
		return r.err;
	}
	*out = r.xml;
	return 0;
}

void xml_destroy(struct xml *xml)
{
	free(xml);
}

/* --- what it says --- */

const struct xml_node *xml_root(const struct xml *xml)
{
	return &xml->nodes[0];
}

/* The node with this number, or the next sibling that is an element. */
static const struct xml_node *element_from(const struct xml *xml, uint16_t number)
{
	while (number && xml->nodes[number].attribute)
		number = xml->nodes[number].next;
	return number ? &xml->nodes[number] : NULL;
}

const struct xml_node *xml_first(const struct xml *xml, const struct xml_node *parent)
{
	return element_from(xml, parent->first_child);
}

const struct xml_node *xml_next(const struct xml *xml, const struct xml_node *node)
{
	return element_from(xml, node->next);
}

bool xml_is(const struct xml_node *node, const char *space, const char *name)
{
	return strcmp(node->name, name) == 0 && (!space || strcmp(node->space, space) == 0);
}

const struct xml_node *xml_child(const struct xml *xml, const struct xml_node *parent,
				 const char *space, const char *name)
{
	const struct xml_node *node = parent ? xml_first(xml, parent) : NULL;

	while (node && !xml_is(node, space, name))
		node = xml_next(xml, node);
	return node;
}

const char *xml_child_text(const struct xml *xml, const struct xml_node *parent, const char *space,
			   const char *name)
{
	const struct xml_node *node = xml_child(xml, parent, space, name);

	return node ? node->text : NULL;
}

const char *xml_attribute(const struct xml *xml, const struct xml_node *node, const char *name)
{
	uint16_t number = node ? node->first_child : 0;

	for (; number; number = xml->nodes[number].next)
		if (xml->nodes[number].attribute && !xml->nodes[number].space[0] &&
		    strcmp(xml->nodes[number].name, name) == 0)
			return xml->nodes[number].text;
	return NULL;
}
