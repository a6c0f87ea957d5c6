/* SPDX-License-Identifier: BSD-2-Clause */
/* The parsers of configuration values, one for each option type. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/quantity.h"
#include "base/text.h"
#include "config/options.h"
#include "mqtt/topic.h"
#include "net/push_url.h"
#include "net/ranges.h"

#define RATE_PLACES_MAX 6     /* behind the point */
#define RATE_TERM_MAX 1000000 /* of a fraction */
#define RATE_DIGITS_MAX 16

/* Digits alone, at most 15 of them. */
static bool parse_digits(const char *text, double min, double max, uint32_t *out)
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

/* A whole number of units of unit_us. */
static int parse_time(const char *text, int64_t unit_us, int64_t *out)
{
	int err = quantity_parse_time(text, unit_us, out);

	if (err < 0 || *out % unit_us != 0)
		return -EINVAL;
	*out /= unit_us;
	return 0;
}

/* A number of the option's unit; others are converted. */
static bool parse_number(const struct option *o, const char *text, uint32_t *out)
{
	const char *unit = o->unit ? o->unit : "";
	int64_t n;
	int err;

	if (strcmp(unit, "bit/s") == 0)
		err = quantity_parse_bitrate(text, &n);
	else if (strcmp(unit, "bytes") == 0)
		err = quantity_parse_bytes(text, &n);
	else if (strcmp(unit, "ms") == 0)
		err = parse_time(text, 1000, &n);
	else if (strcmp(unit, "s") == 0)
		err = parse_time(text, 1000000, &n);
	else
		return parse_digits(text, o->min, o->max, out);
	if (err < 0 || (double)n < o->min || (double)n > o->max)
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
		if (strcasecmp(text, words[i]) == 0) {
			*out = i & 1;
			return true;
		}
	}
	return false;
}

static bool parse_size(const char *text, double min, double max, struct config_size *out)
{
	struct config_size size;

	if (quantity_parse_size(text, &size.width, &size.height) < 0 || size.width < min ||
	    size.width > max || size.height < min || size.height > max || size.width % 2 != 0 ||
	    size.height % 2 != 0)
		return false;
	*out = size;
	return true;
}

/* The length of a rate without the "fps" or "Hz" that may stand behind it. */
static size_t rate_len(const char *text)
{
	static const char *const units[] = {"fps", "Hz"};
	size_t len = strlen(text);

	for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
		size_t n = strlen(units[i]);

		if (len <= n || strcasecmp(text + len - n, units[i]) != 0)
			continue;
		len -= n;
		while (len > 0 && isblank((unsigned char)text[len - 1]))
			len--;
		break;
	}
	return len;
}

/* NUM/DEN, or a decimal, which becomes a fraction in lowest terms. */
static bool parse_rate(const char *text, double min, double max, struct rate *out)
{
	char number[2 * RATE_DIGITS_MAX], *rest;
	size_t len = rate_len(text);
	uint32_t whole, part = 0, scale = 1;
	uint64_t num, a, b;

	if (len >= sizeof number)
		return false;
	memcpy(number, text, len);
	number[len] = '\0';
	rest = number + strcspn(number, "/.");
	if (*rest == '/') {
		*rest++ = '\0';
		if (!parse_digits(rest, 1, RATE_TERM_MAX, &scale))
			return false;
		if (!parse_digits(number, 0, RATE_TERM_MAX, &whole))
			return false;
		num = whole;
	} else {
		if (*rest == '.') {
			*rest++ = '\0';
			if (strlen(rest) > RATE_PLACES_MAX ||
			    !parse_digits(rest, 0, RATE_TERM_MAX, &part))
				return false;
			for (const char *c = rest; *c; c++)
				scale *= 10;
		}
		if (!parse_digits(number, 0, RATE_TERM_MAX, &whole))
			return false;
		num = (uint64_t)whole * scale + part;
	}
	if ((double)num < min * scale || (double)num > max * scale)
		return false;
	for (a = num, b = scale; b != 0;) {
		uint64_t remainder = a % b;

		a = b;
		b = remainder;
	}
	out->num = (uint32_t)(num / a);
	out->den = (uint32_t)(scale / a);
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

/* --- words and rights --- */

const char *config_next_word(const char **list, size_t *len)
{
	static const char separators[] = ", \t";
	const char *word = *list + strspn(*list, separators);

	*len = strcspn(word, separators);
	*list = word + *len;
	return *len > 0 ? word : NULL;
}

static bool word_is(const char *word, size_t len, const char *text)
{
	return strlen(text) == len && strncasecmp(word, text, len) == 0;
}

bool config_has_word(const char *list, const char *word)
{
	const char *one;
	size_t len;

	while ((one = config_next_word(&list, &len)))
		if (strlen(word) == len && memcmp(one, word, len) == 0)
			return true;
	return false;
}

static const struct {
	const char *word;
	unsigned may;
} may_words[] = {
	{"view", CONFIG_MAY_VIEW}, {"status", CONFIG_MAY_STATUS}, {"control", CONFIG_MAY_CONTROL}};

#define N_MAY_WORDS (sizeof may_words / sizeof *may_words)

void config_may_text(unsigned may, char text[CONFIG_MAY_TEXT_MAX])
{
	size_t len = 0;

	strcpy(text, "nothing");
	for (size_t i = 0; i < N_MAY_WORDS; i++)
		if (may & may_words[i].may)
			len += (size_t)snprintf(text + len, CONFIG_MAY_TEXT_MAX - len, "%s%s",
						len ? ", " : "", may_words[i].word);
}

static bool parse_may(const struct option *o, const char *value, unsigned *out)
{
	unsigned may = 0;
	const char *word;
	size_t len, i;

	if (strcasecmp(value, "auto") == 0) {
		*out = CONFIG_MAY_AUTO;
		return strcmp(o->value, "auto") == 0;
	}
	if (strcasecmp(value, "nothing") != 0) {
		while ((word = config_next_word(&value, &len))) {
			for (i = 0; i < N_MAY_WORDS; i++)
				if (word_is(word, len, may_words[i].word))
					break;
			if (i == N_MAY_WORDS)
				return false;
			may |= may_words[i].may;
		}
	}
	*out = may;
	return true;
}

/* Whether it looks like one; libcrypt alone knows. A password in clear must not pass. */
static bool is_hash(const char *value)
{
	return value[0] == '$' && strlen(value) >= 20 && strlen(value) < 384 &&
	       strchr(value + 1, '$') && !strpbrk(value, ":;*!\\ \t");
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
		if (strcasecmp(words[i], text) == 0)
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

static int replace_source(char **member, const char *text)
{
	size_t len = option_source_word_len(text);
	int err;

	if (len == 0 || option_source_wrong(text))
		return -EINVAL;
	err = replace_text(member, text);
	for (size_t i = 0; err == 0 && i < len; i++)
		(*member)[i] = (char)tolower((unsigned char)(*member)[i]);
	return err;
}

static int replace_word(const struct option *o, char **member, const char *text)
{
	int word = find_word(o->words, text);

	return word >= 0 ? replace_text(member, o->words[word]) : -EINVAL;
}

const char *option_control_value(const struct option *o, const char *value)
{
	int word = o && o->type == OPTION_CONTROL_WORD ? find_word(o->words, value) : -1;

	return word >= 0 ? o->words[word] : value;
}

/* A URL is accepted where an address is expected: the address behind the scheme, without a slash at
 * its end, goes into out. Text without that scheme is copied. False: too long. */
static bool strip_scheme(const char *text, const char *scheme, char out[NET_HOST_PORT_MAX])
{
	size_t len = strlen(scheme);
	bool is_url = strncasecmp(text, scheme, len) == 0;

	text += is_url ? len : 0;
	len = strlen(text);
	if (is_url && len > 0 && text[len - 1] == '/')
		len--;
	if (len >= NET_HOST_PORT_MAX)
		return false;
	memcpy(out, text, len);
	out[len] = '\0';
	return true;
}

/* One or more addresses, separated by commas. */
static bool parse_addresses(const char *text, const char *scheme, struct net_address *out,
			    size_t *n)
{
	*n = 0;
	do {
		char part[2 * NET_HOST_PORT_MAX], address[NET_HOST_PORT_MAX];
		size_t len;

		text += strspn(text, " \t");
		len = strcspn(text, ", \t");
		if (len >= sizeof part || *n == CONFIG_LISTENERS_MAX)
			return false;
		memcpy(part, text, len);
		part[len] = '\0';
		if (!strip_scheme(part, scheme, address) ||
		    net_address_parse(&out[*n], address, NET_LISTEN) < 0)
			return false;
		++*n;
		text += len;
		text += strspn(text, " \t");
		if (*text != ',' && *text != '\0')
			return false;
	} while (*text++ == ',');
	return true;
}

/* Addresses of a server that may be off. */
static bool parse_server(const char *text, const char *scheme, struct net_address *out, size_t *n)
{
	static const char *const off[] = {"", "off", "no", "false", "none"};

	*n = 0;
	for (size_t i = 0; i < sizeof off / sizeof *off; i++)
		if (strcasecmp(text, off[i]) == 0)
			return true;
	return parse_addresses(text, scheme, out, n);
}

/* --- values --- */

/* Returns 0, -EINVAL or -ENOMEM. */
static int set_member(const struct option *o, void *target, const char *value)
{
	void *member = (char *)target + o->offset;
	struct config_daemon *daemon = target; /* for its servers only */
	char name[OPTION_NAME_MAX + 1];
	struct net_ranges ranges;
	struct net_peer group;
	double numbers[4];
	bool ok = false;
	unsigned which;
	int word;

	switch (o->type) {
	case OPTION_TEXT:
		return replace_text(member, value);
	case OPTION_NAME:
		return expand_name(value, name) ? replace_text(member, name) : -EINVAL;
	case OPTION_SOURCE:
		return replace_source(member, value);
	case OPTION_FOURCC:
		return parse_fourcc(value) ? replace_text(member, value) : -EINVAL;
	case OPTION_WORD_TEXT:
		return replace_word(o, member, value);
	case OPTION_WORD:
		/* The enums of config.h are as wide as an int. */
		word = find_word(o->words, value);
		if (word < 0)
			return -EINVAL;
		*(int *)member = word;
		return 0;
	case OPTION_WORD_NUMBER:
		ok = find_word(o->words, value) >= 0 && parse_digits(value, 0, UINT32_MAX, member);
		break;
	case OPTION_BOOL:
		ok = parse_bool(value, member);
		break;
	case OPTION_NUMBER:
		ok = parse_number(o, value, member);
		break;
	case OPTION_SIZE:
		ok = parse_size(value, o->min, o->max, member);
		break;
	case OPTION_RATE:
		ok = parse_rate(value, o->min, o->max, member);
		break;
	case OPTION_HTTP:
		ok = parse_server(value, "http://", daemon->http, &daemon->n_http);
		break;
	case OPTION_RTSP:
		ok = parse_server(value, "rtsp://", daemon->rtsp, &daemon->n_rtsp);
		break;
	case OPTION_HOST:
		ok = value[0] == '\0' || net_host_is_valid(value);
		return ok ? replace_text(member, value) : -EINVAL;
	case OPTION_GROUP:
		ok = value[0] == '\0' || net_group_parse(&group, value) == 0;
		return ok ? replace_text(member, value) : -EINVAL;
	case OPTION_ID:
		return parse_id(value) ? replace_text(member, value) : -EINVAL;
	case OPTION_TOPICS:
		return parse_topics(value) ? replace_text(member, value) : -EINVAL;
	case OPTION_TOPIC:
		return value[0] == '\0' || parse_topic(value, strlen(value))
			       ? replace_text(member, value)
			       : -EINVAL;
	case OPTION_PUSH:
		return option_push_wrong(value, &which) ? -EINVAL : replace_text(member, value);
	case OPTION_MAY:
		ok = parse_may(o, value, member);
		break;
	case OPTION_HASH:
		return value[0] == '\0' || is_hash(value) ? replace_text(member, value) : -EINVAL;
	case OPTION_WORDS:
		return replace_text(member, value);
	case OPTION_RANGES:
		return net_ranges_parse(&ranges, value) ? -EINVAL : replace_text(member, value);
	case OPTION_URL_OPTIONS:
		return option_url_options_wrong(value) ? -EINVAL : replace_text(member, value);
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
		option_explain(o, value, why);
	return r;
}

bool option_is_text(const struct option *o)
{
	switch (o->type) {
	case OPTION_TEXT:
	case OPTION_NAME:
	case OPTION_SOURCE:
	case OPTION_FOURCC:
	case OPTION_WORD_TEXT:
	case OPTION_HOST:
	case OPTION_GROUP:
	case OPTION_ID:
	case OPTION_TOPICS:
	case OPTION_TOPIC:
	case OPTION_PUSH:
	case OPTION_RANGES:
	case OPTION_HASH:
	case OPTION_WORDS:
	case OPTION_URL_OPTIONS:
		return true;
	case OPTION_WORD:
	case OPTION_WORD_NUMBER:
	case OPTION_BOOL:
	case OPTION_MAY:
	case OPTION_NUMBER:
	case OPTION_SIZE:
	case OPTION_RATE:
	case OPTION_HTTP:
	case OPTION_RTSP:
	case OPTION_REFERENCE:
	case OPTION_LISTENERS:
	case OPTION_CONTROL_DECIMAL:
	case OPTION_CONTROL_WORD:
	case OPTION_CONTROL_DECIMALS:
	case OPTION_CONTROL_RECTANGLE:
		return false;
	}
	return false;
}

void option_free(const struct option *o, void *target)
{
	if (option_is_text(o))
		free(*(char **)((char *)target + o->offset));
}

int option_parse_listeners(const struct option *o, const char *value, struct net_address *out,
			   size_t *n, char *why)
{
	const char *scheme = strcmp(o->key, "annexb") == 0 ? "tcp://" : "tcp+length://";

	if (parse_addresses(value, scheme, out, n))
		return 0;
	option_explain(o, value, why);
	return -EINVAL;
}
