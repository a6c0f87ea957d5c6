/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/text.h"
#include "capture/encode/ladder.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void add_rung(struct ladder *ladder, const struct encoder_ops *ops)
{
	for (unsigned i = 0; i < ladder->n; i++) {
		if (ladder->rungs[i] == ops)
			return;
	}
	ladder->rungs[ladder->n++] = ops;
}

void ladder_init(struct ladder *ladder, const struct config_stream *config)
{
	const struct encoder_ops *software = encoder_software(config) == CONFIG_ENCODER_OPENH264
						     ? &encoder_openh264
						     : &encoder_x264;

	memset(ladder, 0, sizeof(*ladder));
	if (config->codec == CONFIG_CODEC_MJPEG) {
		add_rung(ladder, &encoder_mjpeg);
		return;
	}
	ladder->strict = config->encoder != CONFIG_ENCODER_AUTO;
	switch (config->encoder) {
	case CONFIG_ENCODER_OPENH264:
		add_rung(ladder, &encoder_openh264);
		break;
	case CONFIG_ENCODER_X264:
		add_rung(ladder, &encoder_x264);
		break;
	default:
		/* No hardware makes temporal layers. */
		if (config->temporal_layers <= 1)
			add_rung(ladder, &encoder_v4l2m2m);
		break;
	}
	add_rung(ladder, software);
	add_rung(ladder, software == &encoder_x264 ? &encoder_openh264 : &encoder_x264);
}

static void add_trouble(struct ladder *ladder, const char *name, const char *why)
{
	size_t len = strlen(ladder->trouble);

	snprintf(ladder->trouble + len, sizeof(ladder->trouble) - len, "%s%s: %s", len ? ", " : "",
		 name, why);
}

/* drivers/staging/vc04_services/bcm2835-codec: an instance that hangs in the firmware never
 * recovers. */
static const char *suspicion(const struct ladder *ladder)
{
	return ladder->firmware ? ", its firmware may need a reboot" : "";
}

static void next_rung(struct ladder *ladder)
{
	ladder->at++;
	ladder->reopened = false;
	ladder->firmware = false;
}

int ladder_open(struct ladder *ladder, const struct encoder_config *config,
		const struct encoder_events *events, int64_t now_us, struct encoder **out)
{
	int r = -ENODEV;

	if (now_us < ladder->retry_us)
		return -EAGAIN;
	if (ladder->at == ladder->n) {
		ladder->at = 0;
		ladder->trouble[0] = '\0';
	}
	while (ladder->at < ladder->n) {
		const struct encoder_ops *ops = ladder->rungs[ladder->at];
		char why[256] = "", text[300];

		r = ops->create(out, config, events, why);
		if (r == 0) {
			ladder->strict = false;
			ladder->opened_us = now_us;
			return 0;
		}
		snprintf(text, sizeof(text), "%s%s", why[0] ? why : strerror(-r),
			 suspicion(ladder));
		add_trouble(ladder, ops->name, text);
		if (ladder->strict)
			break;
		next_rung(ladder);
	}
	ladder->at = ladder->n;
	ladder->reopened = false;
	ladder->retry_us = now_us + LADDER_RETRY_US;
	return r;
}

void ladder_failed(struct ladder *ladder, const char *detail, const char *why, int64_t now_us)
{
	char text[256];

	if (strstr(detail, "bcm2835-codec"))
		ladder->firmware = true;
	if (now_us - ladder->opened_us > LADDER_FORGIVE_US)
		ladder->reopened = false;
	if (!ladder->reopened) {
		ladder->reopened = true;
		return;
	}
	snprintf(text, sizeof(text), "failed twice%s: %s", suspicion(ladder), why);
	add_trouble(ladder, ladder->rungs[ladder->at]->name, text);
	next_rung(ladder);
	if (ladder->at == ladder->n)
		ladder->retry_us = now_us + LADDER_RETRY_US;
}
