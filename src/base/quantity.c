/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/quantity.h"

#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

#define PLACES_MAX 6
#define DIGITS_MAX 18		  /* of the whole part; all of them fit into 64 bits */
#define VALUE_MAX (INT64_MAX / 2) /* so that a caller may add two */
#define SIDE_DIGITS_MAX 5

struct unit {
	const char *name;
	int64_t factor;
};

static const char *skip_blanks(const char *text)
{
	while (isblank((unsigned char)*text))
		text++;
	return text;
}

/* Reads decimal digits, at most max of them; returns how many, 0 where there are none or too many.
 */
static size_t read_digits(const char **text, size_t max, int64_t *out)
{
	size_t n = strspn(*text, "0123456789");

	if (n == 0 || n > max)
		return 0;
	*out = 0;
	for (size_t i = 0; i < n; i++)
		*out = *out * 10 + ((*text)[i] - '0');
	*text += n;
	return n;
}

/* units ends with a name of NULL, whose factor is that of a number without a unit. */
static int parse(const char *text, const struct unit *units, int64_t *out)
{
	int64_t whole, places = 0, scale = 1;

	if (read_digits(&text, DIGITS_MAX, &whole) == 0)
		return -EINVAL;
	if (*text == '.') {
		size_t n;

		text++;
		n = read_digits(&text, PLACES_MAX, &places);
		if (n == 0)
			return -EINVAL;
		for (size_t i = 0; i < n; i++)
			scale *= 10;
	}
	text = skip_blanks(text);
	while (units->name && strcasecmp(units->name, text) != 0)
		units++;
	if (!units->name && *text)
		return -EINVAL;
	if (units->factor == 1 && places != 0)
		return -EINVAL; /* a part of a byte */
	if (whole > VALUE_MAX / units->factor - 1)
		return -ERANGE;
	*out = whole * units->factor + places * units->factor / scale;
	return 0;
}

int quantity_parse_bytes(const char *text, int64_t *out)
{
	static const int64_t k = 1LL << 10, m = 1LL << 20, g = 1LL << 30, t = 1LL << 40;
	const struct unit units[] = {
		{"B", 1}, {"byte", 1}, {"bytes", 1}, {"K", k},	{"KB", k}, {"KiB", k},
		{"M", m}, {"MB", m},   {"MiB", m},   {"G", g},	{"GB", g}, {"GiB", g},
		{"T", t}, {"TB", t},   {"TiB", t},   {NULL, 1},
	};

	return parse(text, units, out);
}

int quantity_parse_bitrate(const char *text, int64_t *out)
{
	static const int64_t k = 1000, m = 1000000, g = 1000000000;
	static const struct unit units[] = {
		{"bit/s", 1},  {"bps", 1},  {"b/s", 1},	 {"bit", 1},  {"k", k},
		{"kbit/s", k}, {"kbps", k}, {"kb/s", k}, {"kbit", k}, {"M", m},
		{"Mbit/s", m}, {"Mbps", m}, {"Mb/s", m}, {"Mbit", m}, {"G", g},
		{"Gbit/s", g}, {"Gbps", g}, {"Gb/s", g}, {"Gbit", g}, {NULL, 1},
	};
	const char *b = strchr(text, 'B');

	/* A capital B means bytes, unless everything is in capitals: "MBIT/S". */
	if (b && tolower((unsigned char)b[1]) != 'i')
		return -EINVAL;
	return parse(text, units, out);
}

int quantity_parse_time(const char *text, int64_t bare_us, int64_t *out)
{
	static const int64_t ms = 1000, s = 1000000, m = 60 * s, h = 60 * m, d = 24 * h;
	const struct unit units[] = {
		{"us", 1},	{"ms", ms},	 {"s", s},     {"sec", s},    {"second", s},
		{"seconds", s}, {"m", m},	 {"min", m},   {"minute", m}, {"minutes", m},
		{"h", h},	{"hour", h},	 {"hours", h}, {"d", d},      {"day", d},
		{"days", d},	{NULL, bare_us},
	};

	return parse(text, units, out);
}

static int parse_named_size(const char *text, uint32_t *width, uint32_t *height)
{
	static const struct {
		const char *name;
		uint32_t width, height;
	} sizes[] = {
		{"360p", 640, 360},    {"540p", 960, 540},    {"720p", 1280, 720},
		{"1080p", 1920, 1080}, {"1440p", 2560, 1440}, {"2160p", 3840, 2160},
	};

	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		if (strcasecmp(text, sizes[i].name) != 0)
			continue;
		*width = sizes[i].width;
		*height = sizes[i].height;
		return 0;
	}
	return -EINVAL;
}

int quantity_parse_size(const char *text, uint32_t *width, uint32_t *height)
{
	static const char *const signs[] = {"x", "X", "*", "\xc3\x97" /* U+00D7 */};
	const char *at = text;
	int64_t w, h;
	size_t len = 0;

	if (parse_named_size(text, width, height) == 0)
		return 0;
	if (read_digits(&at, SIDE_DIGITS_MAX, &w) == 0)
		return -EINVAL;
	at = skip_blanks(at);
	for (size_t i = 0; i < sizeof signs / sizeof signs[0] && len == 0; i++)
		if (strncmp(at, signs[i], strlen(signs[i])) == 0)
			len = strlen(signs[i]);
	at = skip_blanks(at + len);
	if (len == 0 || read_digits(&at, SIDE_DIGITS_MAX, &h) == 0 || *at)
		return -EINVAL;
	*width = (uint32_t)w;
	*height = (uint32_t)h;
	return 0;
}
