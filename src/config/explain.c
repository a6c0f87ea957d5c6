/* SPDX-License-Identifier: BSD-2-Clause */
/* What is said about a configuration value that is not allowed. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/nearest.h"
#include "base/quantity.h"
#include "base/text.h"
#include "config/options.h"
#include "net/push_url.h"

#define VALUE_SHOWN_MAX 200 /* bytes of a value that is not allowed */

static void hint_size(const struct option *o, const char *value, char hint[NEAREST_HINT_MAX])
{
	uint32_t width, height;

	if (strcasecmp(value, "480p") == 0) {
		strcpy(hint, "; did you mean \"640x480\" or \"854x480\"?");
		return;
	}
	if (quantity_parse_size(value, &width, &height) < 0 || width < o->min || height < o->min ||
	    width > o->max || height > o->max)
		return;
	/* min is even. */
	snprintf(hint, NEAREST_HINT_MAX, "; did you mean \"%ux%u\"?", width & ~1u, height & ~1u);
}

static void hint_word(const struct option *o, const char *value, char hint[NEAREST_HINT_MAX])
{
	const char *note = NULL, *meant = synonym_of_value(o->key, value, &note);
	struct nearest nearest;

	if (meant) {
		snprintf(hint, NEAREST_HINT_MAX, "%s%s; did you mean \"%s\"?", note ? "; " : "",
			 note ? note : "", meant);
		return;
	}
	nearest_init(&nearest, value);
	for (size_t i = 0; o->words[i]; i++)
		nearest_try(&nearest, o->words[i]);
	nearest_hint(&nearest, hint);
}

static void hint_source(const struct option *o, const char *value, char hint[NEAREST_HINT_MAX])
{
	if (strstr(value, "/dev/"))
		strcpy(hint, "; \"camcastd --list-cameras\" lists the cameras for libcamera:ID");
	else if (strncasecmp(value, "fifo:", 5) == 0)
		strcpy(hint, "; did you mean \"pipe:PATH\"?");
	else if (strchr(value, '/') && strcspn(value, ":") > strcspn(value, "/"))
		snprintf(hint, NEAREST_HINT_MAX, "; did you mean \"file:%.*s\"?",
			 (int)text_cut(value, VALUE_SHOWN_MAX), value);
	else
		hint_word(o, value, hint);
}

/* "; did you mean X?", or "" where nothing helps. */
static void write_hint(const struct option *o, const char *value, char hint[NEAREST_HINT_MAX])
{
	struct net_address address;

	hint[0] = '\0';
	switch (o->type) {
	case OPTION_SIZE:
		hint_size(o, value, hint);
		break;
	case OPTION_SOURCE:
		hint_source(o, value, hint);
		break;
	case OPTION_WORD:
	case OPTION_WORD_TEXT:
	case OPTION_CONTROL_WORD:
		hint_word(o, value, hint);
		break;
	case OPTION_HTTP:
	case OPTION_RTSP:
	case OPTION_LISTENERS:
		if (strncasecmp(value, "https:", 6) == 0 || strncasecmp(value, "rtsps:", 6) == 0 ||
		    strncasecmp(value, "tls:", 4) == 0)
			strcpy(hint, "; \"tls = yes\" encrypts");
		break;
	case OPTION_HOST:
		if (net_address_parse(&address, value, NET_CONNECT) == 0)
			strcpy(hint, "; a port has a key of its own");
		break;
	default: /* words that are numbers, too: 0 is not what 90 meant */
		break;
	}
}

const char *option_push_wrong(const char *value, unsigned *which)
{
	char text[PUSH_URL_MAX];
	struct push_url url;
	int more;

	*which = 0;
	while ((more = push_url_next(&value, text)) != 0) {
		const char *wrong = more < 0 ? "it is too long" : push_url_parse(&url, text);

		if (++*which > CONFIG_PUSHES_MAX)
			wrong = "there are too many";
		if (wrong)
			return wrong;
	}
	return NULL;
}

static void explain_push(const struct option *o, const char *value, char *why)
{
	char allowed[OPTION_DESCRIPTION_MAX];
	unsigned which;
	const char *wrong = option_push_wrong(value, &which);

	snprintf(why, OPTION_WHY_MAX, "URL %u of %s is not allowed: %s; allowed: %s", which, o->key,
		 wrong, option_describe(o, allowed));
}

/* What is wrong with a source of which no part may be shown: a URL holds passwords, and so may the
 * arguments of a program. False: it is none of these. */
static bool explain_source(const struct option *o, const char *value, char *why)
{
	const size_t len = option_source_word_len(value);
	const char *wrong = len ? option_source_wrong(value) : NULL;
	char shown[PUSH_URL_SHOWN_MAX];
	struct push_url url;

	if (wrong) {
		snprintf(why, OPTION_WHY_MAX, "%s = %.*s... is not allowed: %s", o->key, (int)len,
			 value, wrong);
		return true;
	}
	if (!strstr(value, "://") || len)
		return false;
	push_url_redact(value, shown);
	if (source_url_parse(&url, value) == NULL)
		snprintf(why, OPTION_WHY_MAX, "%s = %s is not allowed; did you mean \"url:%s\"?",
			 o->key, shown, shown);
	else
		snprintf(why, OPTION_WHY_MAX,
			 "%s is a URL, for which camcast has url:rtsp://, url:http://, "
			 "url:https://, url:tcp://, url:srt:// and url:udp://; others may work "
			 "with exec: and ffmpeg",
			 o->key);
	return true;
}

static void explain_value(const struct option *o, const char *value, char *why)
{
	char allowed[OPTION_DESCRIPTION_MAX], hint[NEAREST_HINT_MAX];
	size_t shown = text_cut(value, VALUE_SHOWN_MAX);

	option_describe(o, allowed);
	write_hint(o, value, hint);
	if (value[0] == '\0')
		snprintf(why, OPTION_WHY_MAX, "%s is empty; allowed: %s", o->key, allowed);
	else
		snprintf(why, OPTION_WHY_MAX, "%s = %.*s%s is not allowed; allowed: %s%s", o->key,
			 (int)shown, value, value[shown] ? "..." : "", allowed, hint);
}

/* Also in the marks that word processors write. */
static bool is_quoted(const char *value)
{
	static const char *const marks[] = {"\"", "'", "\u201c", "\u201e", "\u2018"};

	for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
		if (strncmp(value, marks[i], strlen(marks[i])) == 0)
			return true;
	return false;
}

void option_explain(const struct option *o, const char *value, char *why)
{
	if (is_quoted(value))
		snprintf(why, OPTION_WHY_MAX,
			 "%s is not allowed: a value stands without quotation marks", o->key);
	else if (o->type == OPTION_PUSH)
		explain_push(o, value, why);
	else if (o->type == OPTION_HASH)
		snprintf(why, OPTION_WHY_MAX,
			 "%s must be a hash, not the password itself; \"camcast passwd\" makes one",
			 o->key);
	else if (o->type == OPTION_URL_OPTIONS)
		snprintf(why, OPTION_WHY_MAX, "%s is not allowed: %s", o->key,
			 option_url_options_wrong(value));
	else if (o->type != OPTION_SOURCE || !explain_source(o, value, why))
		explain_value(o, value, why);
}
