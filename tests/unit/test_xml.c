/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/onvif/markup.h"
#include "daemon/onvif/xml.h"

static int parse(struct xml **out, const char *text)
{
	return xml_parse(out, text, strlen(text));
}

static struct xml *read_well(const char *text)
{
	struct xml *xml;

	assert_int_equal(parse(&xml, text), 0);
	return xml;
}

static void assert_refused(const char *text, int err)
{
	struct xml *xml;
	int result = parse(&xml, text);

	if (result != err)
		fail_msg("%.60s: %d and not %d", text, result, err);
}

static void names_are_compared_by_their_namespace(void **state)
{
	struct xml *xml = read_well("<?xml version='1.0'?><!-- c --><a:r xmlns:a='urn:1' "
				    "xmlns='urn:2'><k a:x='1' x='2'/><a:k xmlns:a='urn:3'/>"
				    "<a:k>of 1</a:k><k xmlns=''>none</k></a:r>");
	const struct xml_node *root = xml_root(xml), *k = xml_first(xml, root);

	(void)state;
	assert_true(xml_is(root, "urn:1", "r"));
	assert_true(xml_is(k, "urn:2", "k"));
	assert_string_equal(xml_attribute(xml, k, "x"), "2");
	assert_null(xml_attribute(xml, k, "y"));
	assert_true(xml_is(xml_next(xml, k), "urn:3", "k"));
	assert_string_equal(xml_child_text(xml, root, "urn:1", "k"), "of 1");
	assert_string_equal(xml_child_text(xml, root, "", "k"), "none");
	assert_null(xml_child(xml, root, "urn:4", "k"));
	assert_string_equal(xml_space(xml, k, "a"), "urn:1");
	assert_string_equal(xml_space(xml, xml_next(xml, k), "a"), "urn:3");
	assert_null(xml_space(xml, k, "b"));
	xml_destroy(xml);
}

/* A binding ends with its element, for what follows and for who asks later. */
static void a_prefix_is_that_of_the_innermost_element(void **state)
{
	struct xml *xml = read_well("<p:r xmlns:p='1'><p:a xmlns:p='2'><p:b xmlns:p='3'/><p:c "
				    "p:x='0'><p:d/></p:c></p:a><p:e/></p:r>");
	const struct xml_node *a = xml_first(xml, xml_root(xml)), *b = xml_first(xml, a);
	const struct xml_node *c = xml_next(xml, b), *e = xml_next(xml, a);

	(void)state;
	assert_true(xml_is(xml_root(xml), "1", "r"));
	assert_true(xml_is(a, "2", "a"));
	assert_true(xml_is(b, "3", "b"));
	assert_true(xml_is(c, "2", "c"));
	assert_true(xml_is(xml_first(xml, c), "2", "d"));
	assert_true(xml_is(e, "1", "e"));
	assert_string_equal(xml_space(xml, xml_first(xml, c), "p"), "2");
	assert_string_equal(xml_space(xml, b, "p"), "3");
	assert_string_equal(xml_space(xml, e, "p"), "1");
	xml_destroy(xml);
	assert_refused("<r><a xmlns:p='1'/><p:b/></r>", -EBADMSG);
	assert_refused("<r><a xmlns:p='1'></a><b p:x=''/></r>", -EBADMSG);
}

/* The least time of this thread that it takes to read a document with all prefixes and many
 * attributes, within so many elements. */
static int64_t time_of(unsigned depth)
{
	static char text[XML_MAX + 1];
	int64_t least_ns = INT64_MAX;
	size_t len = (size_t)sprintf(text, "<r");

	for (int i = 0; i < XML_PREFIXES_MAX; i++)
		len += (size_t)sprintf(text + len, " xmlns:p%d='u'", i);
	len += (size_t)sprintf(text + len, ">");
	for (unsigned i = 0; i < depth; i++)
		len += (size_t)sprintf(text + len, "<a>");
	for (int i = 0; i < 9; i++) {
		len += (size_t)sprintf(text + len, "<b");
		for (int j = 0; j < 20; j++)
			len += (size_t)sprintf(text + len, " p0:a%d=''", j);
		len += (size_t)sprintf(text + len, "/>");
	}
	for (unsigned i = 0; i < depth; i++)
		len += (size_t)sprintf(text + len, "</a>");
	sprintf(text + len, "</r>");
	for (int i = 0; i < 50; i++) {
		struct timespec from, to;
		int64_t ns;

		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
		xml_destroy(read_well(text));
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
		ns = (to.tv_sec - from.tv_sec) * INT64_C(1000000000) + to.tv_nsec - from.tv_nsec;
		if (ns < least_ns)
			least_ns = ns;
	}
	return least_ns;
}

static void prefixes_are_as_fast_deep_within_as_at_the_top(void **state)
{
	int64_t flat_ns = time_of(0), deep_ns = time_of(XML_DEPTH_MAX - 2);

	(void)state;
	if (deep_ns > 3 * flat_ns)
		fail_msg("%lld ns at the top, %lld ns within", (long long)flat_ns,
			 (long long)deep_ns);
}

static void text_is_decoded_and_trimmed(void **state)
{
	struct xml *xml =
		read_well("<a> \n &lt;&amp;&#65;&#x20AC;<!-- x -->b<![CDATA[<&]]>c \t</a>\n");

	(void)state;
	assert_string_equal(xml_root(xml)->text, "<&A\xe2\x82\xac"
						 "b<&c");
	xml_destroy(xml);
	xml = read_well("<a>left out<b>kept</b>left out<c/></a>");
	assert_string_equal(xml_root(xml)->text, "");
	assert_string_equal(xml_child_text(xml, xml_root(xml), NULL, "b"), "kept");
	assert_string_equal(xml_child_text(xml, xml_root(xml), NULL, "c"), "");
	xml_destroy(xml);
}

static void what_is_not_well_formed_is_refused(void **state)
{
	static const char *const texts[] = {
		"",
		" ",
		"x",
		"<",
		"<a",
		"<a>",
		"<a></b>",
		"<a></a>x",
		"<a/><b/>",
		"<a b></a>",
		"<a b=c></a>",
		"<a b='1' b='2'/>",
		"<a b='1'c='2'/>",
		"<a b='<'/>",
		"<1a/>",
		"<a:b/>",
		"<a b:c='1'/>",
		"<a xmlns:b=''/>",
		"<a xmlns:b='1' xmlns:b='1'/>",
		"<x:a xmlns:x='1' xmlns:y='1'></y:a>",
		"<a>&b;</a>",
		"<a>&#0;</a>",
		"<a>&#x110000;</a>",
		"<a>&#xd800;</a>",
		"<a>&#99999999999999999999;</a>",
		"<a>&#;</a>",
		"<a>&amp</a>",
		"<a>\x01</a>",
		"<a>\xff</a>",
		"<a><!-- </a>",
		"<a><![CDATA[ </a>",
		"<a><?php ?></a>",
		"<!DOCTYPE a><a/>",
		"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>",
		"<?xml version='1.0'<a/>",
	};

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		assert_refused(texts[i], -EBADMSG);
	{
		struct xml *xml;

		assert_int_equal(xml_parse(&xml, "<a>\0</a>", 8), -EBADMSG);
	}
}

static char *repeated(const char *before, const char *text, size_t n, const char *behind)
{
	size_t len = strlen(text);
	char *out = malloc(strlen(before) + n * len + strlen(behind) + 1);
	char *at = stpcpy(out, before);

	for (size_t i = 0; i < n; i++)
		at = stpcpy(at, text);
	strcpy(at, behind);
	return out;
}

static void everything_has_a_bound(void **state)
{
	char *deep = repeated("", "<a>", XML_DEPTH_MAX + 1, "");
	char *wide = repeated("<r>", "<a/>", XML_NODES_MAX, "</r>");
	char *fits = repeated("<r>", "<a/>", XML_NODES_MAX - 1, "</r>");
	char *longer = repeated("<r>", " ", XML_MAX, "</r>");
	char *most = repeated("<r>", "x", XML_MAX - 7, "</r>");
	struct xml *xml;

	(void)state;
	assert_refused(deep, -EMSGSIZE);
	assert_refused(wide, -EMSGSIZE);
	assert_refused(longer, -EMSGSIZE);
	assert_int_equal(parse(&xml, fits), 0);
	xml_destroy(xml);
	assert_int_equal(parse(&xml, most), 0);
	assert_int_equal(strlen(xml_root(xml)->text), XML_MAX - 7);
	xml_destroy(xml);
	free(deep);
	free(wide);
	free(fits);
	free(longer);
	free(most);
}

static void prefixes_have_a_bound(void **state)
{
	char text[XML_MAX] = "<r";
	size_t len = 2;

	(void)state;
	for (int i = 0; i <= XML_PREFIXES_MAX; i++)
		len += (size_t)snprintf(text + len, sizeof text - len, " xmlns:p%d='u'", i);
	snprintf(text + len, sizeof text - len, "/>");
	assert_refused(text, -EMSGSIZE);
}

static void what_is_written_is_escaped_and_can_be_read(void **state)
{
	struct markup out = {0};
	struct xml *xml;

	(void)state;
	markup_add(&out, "<a b=\"%s\"><n>%d %u %g%%</n>", "<&>\"'\x01\xff\xc3\xbc", -1, 2u, 0.25);
	markup_add(&out, "<t>%s</t></a>", "]]></t>");
	assert_false(out.failed);
	xml = read_well(out.text);
	assert_string_equal(xml_attribute(xml, xml_root(xml), "b"), "<&>\"'??\xc3\xbc");
	assert_string_equal(xml_child_text(xml, xml_root(xml), NULL, "n"), "-1 2 0.25%");
	assert_string_equal(xml_child_text(xml, xml_root(xml), NULL, "t"), "]]></t>");
	xml_destroy(xml);
	markup_finish(&out);
}

static void what_is_written_has_a_bound(void **state)
{
	struct markup out = {0};

	(void)state;
	for (unsigned i = 0; i < MARKUP_MAX / 16; i++)
		markup_add(&out, "%s", "0123456789abcdef");
	assert_true(out.failed);
	markup_add(&out, "more");
	assert_true(out.failed);
	markup_finish(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_compared_by_their_namespace),
		cmocka_unit_test(a_prefix_is_that_of_the_innermost_element),
		cmocka_unit_test(prefixes_are_as_fast_deep_within_as_at_the_top),
		cmocka_unit_test(text_is_decoded_and_trimmed),
		cmocka_unit_test(what_is_not_well_formed_is_refused),
		cmocka_unit_test(everything_has_a_bound),
		cmocka_unit_test(prefixes_have_a_bound),
		cmocka_unit_test(what_is_written_is_escaped_and_can_be_read),
		cmocka_unit_test(what_is_written_has_a_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
