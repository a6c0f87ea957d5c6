/* SPDX-License-Identifier: BSD-2-Clause */
/* The parsers of configuration values, one for each option type. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/nearest.h"
#include "base/text.h"
#include "config/options.h"
#include "mqtt/topic.h"

#define VALUE_SHOWN_MAX 200 /* bytes of a value that is not allowed */

static bool parse_number(const char *text, double min, double max, uint32_t *out)
{
	unsigned long long n;
	size_t digits = strspn(text, "0123456789");

	if (digits == 0 || digits > 15 || text[digits] != '\0')
		return false;
	n = strtoull(text, NULL, 10);
	if ((double)n < min || (double)n > max)
		return false;
	*out = (uint32_t)n;
	return true;
}

/* Plain decimals only: no exponent, hexadecimal, infinity or NaN. */
static bool parse_decimal(const char *text, double min, double max, double *out)
{
	char *end;

	if (text[0] == '\0' || text[strspn(text, "+-.0123456789")] != '\0')
		return false;
	*out = strtod(text, &end);
	return *end == '\0' && *out >= min && *out <= max;
}

/* `n` decimals separated by commas and perhaps blanks. */
static bool parse_decimals(const char *text, unsigned n, double min, double max, double *out)
{
	for (unsigned i = 0; i < n; i++) {
		char part[32];
		size_t len = strcspn(text, ",");
		size_t start = strspn(text, " \t");
		size_t end = len;

		while (end > start && isblank((unsigned char)text[end - 1]))
			end--;
		if (end <= start || end - start >= sizeof part)
			return false;
		memcpy(part, text + start, end - start);
		part[end - start] = '\0';
		if (!parse_decimal(part, min, max, &out[i]))
			return false;
		if ((text[len] == ',') != (i + 1 < n))
			return false;
		text += len + 1;
	}
	return true;
}

static bool parse_bool(const char *text, bool *out)
{
	static const char *const words[] = {"no", "yes", "false", "true", "off", "on", "0", "1"};

	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		if (strcmp(text, words[i]) == 0) {
			*out = i & 1;
			return true;
		}
	}
	return false;
}

static bool parse_size(const char *text, double min, double max, struct config_size *out)
{
	char width[16];
	size_t len = strcspn(text, "x");

	if (text[len] != 'x' || len >= sizeof width)
		return false;
	memcpy(width, text, len);
	width[len] = '\0';
	return parse_number(width, min, max, &out->width) &&
	       parse_number(text + len + 1, min, max, &out->height) && out->width % 2 == 0 &&
	       out->height % 2 == 0;
}

/* NUM/DEN, or a decimal with at most three places, which becomes a fraction in lowest terms. */
static bool parse_rate(const char *text, double min, double max, struct rate *out)
{
	char num[16];
	size_t len = strcspn(text, "/.");
	struct rate rate;
	uint32_t a, b;

	if (len >= sizeof num)
		return false;
	memcpy(num, text, len);
	num[len] = '\0';
	if (!parse_number(num, 0, 1000000, &rate.num))
		return false;
	rate.den = 1;
	if (text[len] == '/') {
		if (!parse_number(text + len + 1, 1, 1000000, &rate.den))
			return false;
	} else if (text[len] == '.') {
		uint32_t places;
		const char *fraction = text + len + 1;

		if (strlen(fraction) > 3 || !parse_number(fraction, 0, 999, &places))
			return false;
		for (const char *c = fraction; *c; c++)
			rate.den *= 10;
		rate.num = rate.num * rate.den + places;
	}
	if (rate.num < min * rate.den || rate.num > max * rate.den)
		return false;
	for (a = rate.num, b = rate.den; b != 0;) {
		uint32_t rest = a % b;

		a = b;
		b = rest;
	}
	out->num = rate.num / a;
	out->den = rate.den / a;
	return true;
}

static bool parse_id(const char *text)
{
	size_t len = 0;

	while (isalnum((unsigned char)text[len]) || text[len] == '-' || text[len] == '_')
		len++;
	return len < CONFIG_MQTT_ID_MAX && text[len] == '\0';
}

static bool parse_topic(const char *text, size_t len)
{
	return len < CONFIG_TOPIC_MAX && mqtt_topic_check(text, len) == MQTT_TOPIC_FINE;
}

static bool parse_topics(const char *list)
{
	const char *topic;
	size_t len;

	for (size_t n = 0; mqtt_topic_next(&list, &topic, &len); n++)
		if (n == CONFIG_TOPICS_MAX || !parse_topic(topic, len))
			return false;
	return true;
}

bool config_next_topic(const char **list, char out[CONFIG_TOPIC_MAX])
{
	const char *topic;
	size_t len;

	if (!mqtt_topic_next(list, &topic, &len))
		return false;
	if (len >= CONFIG_TOPIC_MAX)
		len = CONFIG_TOPIC_MAX - 1;
	memcpy(out, topic, len);
	out[len] = '\0';
	return len > 0;
}

static bool parse_source(const char *text)
{
	if (strncmp(text, "libcamera:", 10) == 0)
		return text[10] != '\0';
	if (strncmp(text, "file:", 5) == 0)
		return text[5] != '\0';
	return strcmp(text, "auto") == 0 || strcmp(text, "libcamera") == 0 ||
	       strcmp(text, "pattern") == 0;
}

static bool parse_rectangle(const char *text)
{
	double r[4];

	return parse_decimals(text, 4, 0, 1, r) && r[2] > 0 && r[3] > 0 && r[0] + r[2] <= 1 &&
	       r[1] + r[3] <= 1;
}

static bool parse_fourcc(const char *text)
{
	for (size_t i = 0; i < 4; i++)
		if (!isalnum((unsigned char)text[i]))
			return false;
	return text[4] == '\0';
}

/* Expands %h and %%. False if there is another %, or the result is empty or too long. */
static bool expand_name(const char *text, char out[OPTION_NAME_MAX + 1])
{
	size_t len = 0;

	for (; *text; text++) {
		char host[256] = "";
		const char *piece = (char[]){*text, '\0'};

		if (*text == '%') {
			text++;
			if (*text == 'h') {
				if (gethostname(host, sizeof host - 1) < 0)
					return false;
				piece = host;
			} else if (*text != '%') {
				return false;
			}
		}
		if (len + strlen(piece) > OPTION_NAME_MAX)
			return false;
		memcpy(out + len, piece, strlen(piece));
		len += strlen(piece);
	}
	out[len] = '\0';
	return len > 0;
}

static int find_word(const char *const *words, const char *text)
{
	for (int i = 0; words[i]; i++)
		if (strcmp(words[i], text) == 0)
			return i;
	return -1;
}

static int replace_text(char **member, const char *text)
{
	char *copy = strdup(text);

	if (!copy)
		return -ENOMEM;
	free(*member);
	*member = copy;
	return 0;
}

/* What is wrong with value, for a person. */
static void explain(const struct option *o, const char *value, char *why)
{
	size_t shown = text_cut(value, VALUE_SHOWN_MAX);
	char allowed[OPTION_WHY_MAX], hint[NEAREST_HINT_MAX];
	struct nearest nearest;
	int n;

	n = snprintf(why, OPTION_WHY_MAX, "%s = %.*s%s: not allowed; allowed: %s", o->key,
		     (int)shown, value, value[shown] ? "..." : "", option_describe(o, allowed));
	nearest_init(&nearest, value);
	for (size_t i = 0; o->words && o->words[i]; i++)
		nearest_try(&nearest, o->words[i]);
	if (n > 0 && n < OPTION_WHY_MAX && strstr(value, " #"))
		snprintf(why + n, OPTION_WHY_MAX - (size_t)n, "; a comment begins with ;");
	else if (n > 0 && n < OPTION_WHY_MAX)
		snprintf(why + n, OPTION_WHY_MAX - (size_t)n, "%s", nearest_hint(&nearest, hint));
}

/* Returns 0, -EINVAL or -ENOMEM. */
static int set_member(const struct option *o, void *target, const char *value)
{
	void *member = (char *)target + o->offset;
	char name[OPTION_NAME_MAX + 1];
	double numbers[4];
	bool ok = false;
	int word;

	switch (o->type) {
	case OPTION_TEXT:
		return replace_text(member, value);
	case OPTION_NAME:
		return expand_name(value, name) ? replace_text(member, name) : -EINVAL;
	case OPTION_SOURCE:
		return parse_source(value) ? replace_text(member, value) : -EINVAL;
	case OPTION_FOURCC:
		return parse_fourcc(value) ? replace_text(member, value) : -EINVAL;
	case OPTION_WORD_TEXT:
		return find_word(o->words, value) >= 0 ? replace_text(member, value) : -EINVAL;
	case OPTION_WORD:
		/* The enums of config.h are as wide as an int. */
		word = find_word(o->words, value);
		if (word < 0)
			return -EINVAL;
		*(int *)member = word;
		return 0;
	case OPTION_WORD_NUMBER:
		ok = find_word(o->words, value) >= 0 && parse_number(value, 0, UINT32_MAX, member);
		break;
	case OPTION_BOOL:
		ok = parse_bool(value, member);
		break;
	case OPTION_NUMBER:
		ok = parse_number(value, o->min, o->max, member);
		break;
	case OPTION_SIZE:
		ok = parse_size(value, o->min, o->max, member);
		break;
	case OPTION_RATE:
		ok = parse_rate(value, o->min, o->max, member);
		break;
	case OPTION_HTTP:
		((struct config_daemon *)target)->http_on = value[0] != '\0';
		ok = value[0] == '\0' || net_address_parse(member, value, NET_LISTEN) == 0;
		break;
	case OPTION_HOST:
		ok = value[0] == '\0' || net_host_is_valid(value);
		return ok ? replace_text(member, value) : -EINVAL;
	case OPTION_ID:
		return parse_id(value) ? replace_text(member, value) : -EINVAL;
	case OPTION_TOPICS:
		return parse_topics(value) ? replace_text(member, value) : -EINVAL;
	case OPTION_TOPIC:
		return value[0] == '\0' || parse_topic(value, strlen(value))
			       ? replace_text(member, value)
			       : -EINVAL;
	case OPTION_CONTROL_DECIMAL:
		ok = parse_decimal(value, o->min, o->max, numbers);
		break;
	case OPTION_CONTROL_DECIMALS:
		ok = parse_decimals(value, o->count, o->min, o->max, numbers);
		break;
	case OPTION_CONTROL_RECTANGLE:
		ok = parse_rectangle(value);
		break;
	case OPTION_CONTROL_WORD:
		ok = find_word(o->words, value) >= 0;
		break;
	case OPTION_REFERENCE:
	case OPTION_LISTENERS:
		ok = true;
		break;
	}
	return ok ? 0 : -EINVAL;
}

int option_set(const struct option *o, void *target, const char *value, char *why)
{
	int r = set_member(o, target, value);

	if (r == -EINVAL)
		explain(o, value, why);
	return r;
}

int option_parse_listeners(const struct option *o, const char *value, struct net_address *out,
			   size_t *n, char *why)
{
	const char *text = value;

	*n = 0;
	do {
		char part[NET_HOST_PORT_MAX];
		size_t len, skip;

		skip = strspn(text, " \t");
		text += skip;
		len = strcspn(text, ", \t");
		if (len >= sizeof part || *n == CONFIG_LISTENERS_MAX)
			goto invalid;
		memcpy(part, text, len);
		part[len] = '\0';
		if (net_address_parse(&out[*n], part, NET_LISTEN) < 0)
			goto invalid;
		++*n;
		text += len;
		text += strspn(text, " \t");
		if (*text != ',' && *text != '\0')
			goto invalid;
	} while (*text++ == ',');
	return 0;
invalid:
	explain(o, value, why);
	return -EINVAL;
}
