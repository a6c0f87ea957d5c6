/* SPDX-License-Identifier: BSD-2-Clause */
#include "client/find/broker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PORT 1883
#define PORT_TLS 8883

/* "HOST", "HOST:PORT", "ADDRESS", "[ADDRESS]:PORT"; port 0: not said. */
static int parse_host(struct broker *broker, const char *text)
{
	bool bracket = text[0] == '[';
	const char *host = text + bracket;
	const char *end = bracket ? strchr(host, ']') : strchr(host, ':');
	const char *colon = bracket ? (end ? end + 1 : NULL) : end;
	unsigned long port = 0;
	size_t len;
	char *rest;

	if (bracket && !end)
		return -EINVAL;
	if (!bracket && end && strchr(end + 1, ':')) /* an IPv6 address alone */
		end = colon = NULL;
	len = end ? (size_t)(end - host) : strlen(host);
	if (len == 0 || len >= sizeof broker->host)
		return -EINVAL;
	if (colon && *colon) {
		if (*colon != ':' || colon[1] < '0' || colon[1] > '9')
			return -EINVAL;
		errno = 0;
		port = strtoul(colon + 1, &rest, 10);
		if (errno || *rest || port < 1 || port > 65535)
			return -EINVAL;
	}
	memcpy(broker->host, host, len);
	broker->host[len] = '\0';
	broker->options.host = broker->host;
	broker->options.port = (uint16_t)port;
	return 0;
}

static void choose_port(struct broker *broker, bool said)
{
	if (!said)
		broker->options.port = broker->options.tls ? PORT_TLS : PORT;
}

void broker_init(struct broker *broker)
{
	const char *text = getenv("CAMCAST_BROKER");

	memset(broker, 0, sizeof *broker);
	broker->options.request_topic = "commend";
	if (text && *text && parse_host(broker, text) < 0)
		fprintf(stderr, "camcast: CAMCAST_BROKER=%s is no HOST[:PORT] and is ignored\n",
			text);
	if (!broker->options.host)
		parse_host(broker, "localhost");
	broker->port_said = broker->options.port != 0;
	choose_port(broker, broker->port_said);
}

int broker_option(struct broker *broker, int code, const char *value)
{
	struct servers_options *options = &broker->options;

	switch (code) {
	case BROKER_HOST:
		if (parse_host(broker, value) < 0) {
			fprintf(stderr, "camcast: --broker %s: it must be HOST or HOST:PORT\n",
				value);
			return -EINVAL;
		}
		broker->port_said = options->port != 0;
		break;
	case BROKER_USERNAME:
		options->username = value;
		break;
	case BROKER_PASSWORD_FILE:
		options->password_file = value;
		break;
	case BROKER_CAFILE:
		options->cafile = value;
		options->tls = true;
		break;
	case BROKER_CERT:
		options->certfile = value;
		options->tls = true;
		break;
	case BROKER_KEY:
		options->keyfile = value;
		options->tls = true;
		break;
	case BROKER_TLS:
		options->tls = true;
		break;
	case BROKER_REQUEST_TOPIC:
		options->request_topic = value;
		break;
	case BROKER_REC_TOPIC:
		options->rec_topics = value;
		break;
	default:
		return -EINVAL;
	}
	choose_port(broker, broker->port_said);
	return 0;
}

void broker_print_usage(FILE *out)
{
	fputs("\n"
	      "Finding servers:\n"
	      "      --broker HOST[:PORT]  the MQTT broker (CAMCAST_BROKER, else localhost)\n"
	      "      --username NAME       how to log in there,\n"
	      "      --password-file FILE  with the first line of FILE\n"
	      "      --tls                 use TLS, with the machine's certificates\n"
	      "      --cafile FILE         use TLS, with these authorities\n"
	      "      --cert FILE, --key FILE\n"
	      "                            the client's own certificate\n"
	      "      --request-topic TOPIC where servers listen (commend)\n",
	      out);
}
