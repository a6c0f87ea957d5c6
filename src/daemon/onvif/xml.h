/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reads a small XML document (XML 1.0 with Namespaces in XML 1.0, UTF-8), as SOAP has it: elements,
 * attributes and text. SOAP allows no document type (SOAP 1.2 part 1, clause 5), so there are no
 * entities but the five of XML and numbers; processing instructions are refused too. Everything is
 * bounded by the numbers below. Reading takes time in proportion to the length, and for each node
 * that of a look at the bindings before it, however deep it is. Any thread.
 *
 * Names are compared with their namespace, never with a prefix. Text is that of an element without
 * children; elsewhere it is left out. White space at its ends is removed.
 */
#ifndef DAEMON_ONVIF_XML_H
#define DAEMON_ONVIF_XML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define XML_MAX 16384	  /* bytes of a document */
#define XML_NODES_MAX 256 /* elements and attributes */
#define XML_DEPTH_MAX 24
#define XML_PREFIXES_MAX 192 /* bindings of a prefix; some clients bind all that they know */

struct xml;

/* An element, or an attribute of one. Its texts end with a NUL, hold no other one, and belong to
 * the document. */
struct xml_node {
	const char *space; /* URI of the namespace; "": none */
	const char *name;  /* without prefix */
	const char *text;  /* never NULL */
	bool attribute;
	/* By number; 0: none, for the first one is the root, which is nobody's child or sibling. */
	uint16_t parent, first_child, last_child, next;
};

/* Takes len bytes, borrowed for the call. 0, -EMSGSIZE (beyond a bound), -EBADMSG (no well-formed
 * document of this kind) or -ENOMEM. */
int xml_parse(struct xml **out, const char *text, size_t len);
void xml_destroy(struct xml *xml); /* NULL is allowed */

const struct xml_node *xml_root(const struct xml *xml);
/* The first child that is an element; NULL: there is none. */
const struct xml_node *xml_first(const struct xml *xml, const struct xml_node *parent);
/* Whether a node has this name; space NULL: in any namespace. */
bool xml_is(const struct xml_node *node, const char *space, const char *name);
/* The first child element of this name; NULL: there is none, or parent is NULL. */
const struct xml_node *xml_child(const struct xml *xml, const struct xml_node *parent,
				 const char *space, const char *name);
/* The next sibling that is an element; NULL: there is none. */
const struct xml_node *xml_next(const struct xml *xml, const struct xml_node *node);
/* The text of such a child; NULL: there is none. */
const char *xml_child_text(const struct xml *xml, const struct xml_node *parent, const char *space,
			   const char *name);
/* The value of an attribute in no namespace; NULL: there is none, or node is NULL. */
const char *xml_attribute(const struct xml *xml, const struct xml_node *node, const char *name);
/* The namespace that a prefix ("" : none) has within a node, for names in its text; NULL: none. */
const char *xml_space(const struct xml *xml, const struct xml_node *node, const char *prefix);

#endif
