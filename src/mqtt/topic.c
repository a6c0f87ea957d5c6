/* SPDX-License-Identifier: BSD-2-Clause */
#include "mqtt/topic.h"

#include <string.h>

#include "base/text.h"

/* MQTT 5, 1.5.4: U+0000 is forbidden, the others a broker may refuse. */
static bool is_allowed(uint32_t code)
{
	return code > 0x1f && !(code >= 0x7f && code <= 0x9f) &&
	       !(code >= 0xfdd0 && code <= 0xfdef) && (code & 0xfffe) != 0xfffe;
}

enum mqtt_topic_fault mqtt_topic_check(const char *topic, size_t len)
{
	uint32_t code;

	if (len == 0)
		return MQTT_TOPIC_EMPTY;
	if (len > MQTT_TOPIC_MAX)
		return MQTT_TOPIC_TOO_LONG;
	for (size_t at = 0, n; at < len; at += n) {
		n = text_decode(topic + at, len - at, &code);
		if (n == 0 || !is_allowed(code))
			return MQTT_TOPIC_NOT_UTF8;
	}
	if (memchr(topic, '+', len) || memchr(topic, '#', len))
		return MQTT_TOPIC_WILDCARD;
	return topic[0] == '$' ? MQTT_TOPIC_DOLLAR : MQTT_TOPIC_FINE;
}

bool mqtt_topic_next(const char **list, const char **topic, size_t *len)
{
	const char *start, *end;

	if (!*list)
		return false;
	start = *list + strspn(*list, " \t");
	end = start + strcspn(start, ",");
	*list = *end ? end + 1 : NULL;
	while (end > start && strchr(" \t", end[-1]))
		end--;
	*topic = start;
	*len = (size_t)(end - start);
	return true;
}
