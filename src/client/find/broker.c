/* SPDX-License-Identifier: BSD-2-Clause */
#include "client/find/broker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/secret.h"
#include "client/stream/login.h"
#include "client/stream/secure.h"
#include "mqtt/session.h"

/* The port that was not said is 0. */
static int parse_host(struct broker *broker, const char *text)
{
	if (net_address_parse(&broker->address, text, NET_CONNECT_PORT_OPTIONAL) < 0)
		return -EINVAL;
	broker->options.host = broker->address.host;
	broker->options.port = broker->address.port;
	return 0;
}

static void choose_port(struct broker *broker, bool said)
{
	if (!said)
		broker->options.port = broker->options.tls ? MQTT_PORT_TLS : MQTT_PORT;
}

void broker_init(struct broker *broker)
{
	const char *text = getenv("CAMCAST_BROKER");

	memset(broker, 0, sizeof *broker);
	broker->options.request_topic = "commend";
	if (text && *text && parse_host(broker, text) < 0)
		fprintf(stderr, "camcast: CAMCAST_BROKER=%s is ignored: %s\n", text,
			net_address_explain(text, NET_CONNECT_PORT_OPTIONAL));
	if (!broker->options.host)
		parse_host(broker, "localhost");
	broker->port_said = broker->options.port != 0;
	choose_port(broker, broker->port_said);
}

/* What the processes that read streams trust, and present. */
static int export_text(const char *name, const char *value)
{
	if (setenv(name, value, 1) == 0)
		return 0;
	fprintf(stderr, "camcast: %s\n", strerror(errno));
	return -EINVAL;
}

static int keep_login(const char *path)
{
	char why[SECRET_WHY_MAX];
	int err = login_keep_file(path, why);

	if (err < 0)
		fprintf(stderr, "camcast: --login-file: %s\n", why);
	return err < 0 ? -EINVAL : 0;
}

int broker_option(struct broker *broker, int code, const char *value)
{
	struct servers_options *options = &broker->options;
	int err = 0;

	switch (code) {
	case BROKER_HOST:
		if (parse_host(broker, value) < 0) {
			fprintf(stderr, "camcast: --broker %s: %s\n", value,
				net_address_explain(value, NET_CONNECT_PORT_OPTIONAL));
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
		err = export_text(SECURE_CAFILE, value);
		break;
	case BROKER_PIN:
		if (!secure_is_pin(value)) {
			fprintf(stderr, "camcast: --pin %s: use a SHA-256, 64 hexadecimal digits\n",
				value);
			return -EINVAL;
		}
		return export_text(SECURE_PIN, value);
	case BROKER_CERT:
		options->certfile = value;
		options->tls = true;
		err = export_text(SECURE_CERT, value);
		break;
	case BROKER_KEY:
		options->keyfile = value;
		options->tls = true;
		err = export_text(SECURE_KEY, value);
		break;
	case BROKER_TLS:
		options->tls = true;
		break;
	case BROKER_INSECURE:
		broker->insecure = true;
		break;
	case BROKER_REQUEST_TOPIC:
		options->request_topic = value;
		break;
	case BROKER_REC_TOPIC:
		options->rec_topics = value;
		break;
	case BROKER_TRUST:
		options->trust_file = value;
		break;
	case BROKER_NO_NEW:
		options->no_new = true;
		break;
	case BROKER_LOGIN_FILE:
		return keep_login(value);
	default:
		return -EINVAL;
	}
	choose_port(broker, broker->port_said);
	return err;
}

int broker_check(const struct broker *broker)
{
	const struct servers_options *options = &broker->options;

	if (options->no_new && !options->trust_file) {
		fputs("camcast: --no-new goes with --trust FILE\n", stderr);
		return -EINVAL;
	}
	if (!options->username || !options->password_file || options->tls || broker->insecure ||
	    net_host_is_loopback(options->host))
		return 0;
	fprintf(stderr,
		"camcast: the password would go to %s unencrypted; add --tls, or --insecure if "
		"nobody can listen on the way\n",
		options->host);
	return -EINVAL;
}

void broker_print_usage(FILE *out)
{
	fputs("\n"
	      "Finding servers:\n"
	      "      --broker HOST[:PORT]  the MQTT broker (CAMCAST_BROKER, else localhost)\n"
	      "      --username NAME       how to log in there,\n"
	      "      --password-file FILE  with the first line of FILE\n"
	      "      --tls                 use TLS, with the machine's certificates\n"
	      "      --cafile FILE         use TLS, with these authorities; for tls:// streams, "
	      "too\n"
	      "      --pin SHA256          accept this certificate of tls:// streams, and no "
	      "other\n"
	      "      --insecure            send the password to another machine without TLS\n"
	      "      --cert FILE, --key FILE\n"
	      "                            the client's own certificate; for tls:// streams, too\n"
	      "      --request-topic TOPIC where servers listen (commend)\n"
	      "      --trust FILE          only servers that sign what they announce: FILE keeps\n"
	      "                            each at first sight, and refuses another key from then "
	      "on\n"
	      "      --no-new              with --trust: only servers that FILE has already\n"
	      "\n"
	      "Cameras that speak RTSP:\n"
	      "      --login-file FILE     the first line of FILE, USER:PASSWORD, for rtsp:// "
	      "URLs\n"
	      "                            without a user\n",
	      out);
}
