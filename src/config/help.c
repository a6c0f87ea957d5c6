/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of options as text: a commented configuration, and a part of camcast.ini(5). */
#include <string.h>

#include "config/options.h"

#define COLUMNS 96
#define HELP_MAX 1024 /* bytes of the text of an option */

static const struct section_text {
	const char *header;  /* as --help-config shows it */
	const char *pattern; /* as the manual does */
	const char *help;
} sections[OPTION_SECTIONS] = {
	{"daemon", "daemon", "The server. At most one section."},
	{"tls", "tls",
	 "The certificate with which listeners speak TLS where their key tls says so. At most one "
	 "section."},
	{"mqtt", "mqtt",
	 "Discovery: how clients find this server over an MQTT broker. At most one section; "
	 "without it "
	 "there is no discovery."},
	{"onvif", "onvif",
	 "ONVIF, for recorders: they find this server and its streams, and watch over RTSP "
	 "(docs/ONVIF.md). At most one section; without it there is none. It needs http and rtsp "
	 "in "
	 "[daemon]. Users need a password_file."},
	{"user anna", "user NAME",
	 "Somebody who may watch, with a password, a token or both (docs/SECURITY.md); one section "
	 "for each. As soon as there is one, those who give no name may do nothing, unless "
	 "anonymous in [daemon] lets them. NAME is as that of a camera."},
	{"camera front", "camera NAME",
	 "A camera and its controls; one section for each. NAME is 1 to 40 of a-z, A-Z, 0-9, '-', "
	 "'_' or '.'."},
	{"stream front-h264", "stream NAME",
	 "One encoding of a camera's pictures, and where it is sent; one section for each."},
};

static const char control_help[] =
	"Sets any control that libcamera knows for this camera, for example control.AeEnable = "
	"false. camcastd --list-cameras lists them.";

/* Writes text as comment lines of at most COLUMNS columns. */
static void write_comment(FILE *out, const char *text)
{
	size_t column = 0;

	while (*text) {
		size_t len = strcspn(text, " ");

		if (column > 0 && column + 1 + len > COLUMNS) {
			fputc('\n', out);
			column = 0;
		}
		column += (size_t)fprintf(out, "%s%.*s", column ? " " : "; ", (int)len, text);
		text += len + (text[len] == ' ');
	}
	fputc('\n', out);
}

/* Sections that are an example as a whole: that they are there is not the default. */
static bool is_example(enum option_section section)
{
	return section == OPTION_USER || section == OPTION_ONVIF;
}

static void write_option(FILE *out, const struct option *o)
{
	char allowed[OPTION_DESCRIPTION_MAX], text[HELP_MAX];

	snprintf(text, sizeof text, "%s Allowed: %s. Default: %s.", o->help,
		 option_describe(o, allowed),
		 !o->value     ? "none"
		 : o->value[0] ? o->value
			       : "empty");
	write_comment(out, text);
	if (is_example(o->section)) {
		fprintf(out, ";%s = %s\n", o->key, o->value && o->value[0] ? o->value : o->example);
		return;
	}
	if (!o->value && o->type != OPTION_REFERENCE && o->type != OPTION_LISTENERS)
		fputc(';', out); /* only an example */
	else if (o->value && o->value[0] == '\0' && o->example)
		fprintf(out, ";%s = %s\n", o->key, o->example);
	fprintf(out, "%s =%s%s\n", o->key, !o->value || o->value[0] ? " " : "",
		o->value ? o->value : o->example);
}

void config_help(FILE *out)
{
	fputs("; Every key of camcastd's configuration. Values are the defaults, or examples "
	      "behind a ';'.\n",
	      out);
	for (size_t kind = 0; kind < OPTION_SECTIONS; kind++) {
		fputc('\n', out);
		write_comment(out, sections[kind].help);
		fprintf(out, "%s[%s]\n", is_example(kind) ? ";" : "", sections[kind].header);
		for (size_t i = 0; i < n_options; i++) {
			if (options[i].section != kind)
				continue;
			fputc('\n', out);
			write_option(out, &options[i]);
		}
		if (kind == OPTION_CAMERA) {
			fputc('\n', out);
			write_comment(out, control_help);
			fputs(";control.AeEnable = false\n", out);
		}
	}
}

/* Text for a line of mdoc, where a leading dot or quote and a backslash mean something. */
static void write_mdoc(FILE *out, const char *text)
{
	if (*text == '.' || *text == '\'')
		fputs("\\&", out);
	for (; *text; text++) {
		if (*text == '\\')
			fputs("\\e", out);
		else
			fputc(*text, out);
		/* mandoc wants a new sentence on a new line. */
		if (*text == '.' && text[1] == ' ') {
			fputc('\n', out);
			text++;
		}
	}
	fputc('\n', out);
}

void config_man(FILE *out)
{
	for (size_t kind = 0; kind < OPTION_SECTIONS; kind++) {
		fprintf(out, ".Ss [%s]\n", sections[kind].pattern);
		write_mdoc(out, sections[kind].help);
		fputs(".Bl -tag -width Ds\n", out);
		for (size_t i = 0; i < n_options; i++) {
			const struct option *o = &options[i];
			char allowed[OPTION_DESCRIPTION_MAX];

			if (o->section != kind)
				continue;
			fprintf(out, ".It Ic %s", o->key);
			if (o->value && o->value[0])
				fprintf(out, " No = %s", o->value);
			fputc('\n', out);
			write_mdoc(out, o->help);
			fputs("Allowed:\n", out);
			write_mdoc(out, option_describe(o, allowed));
		}
		if (kind == OPTION_CAMERA) {
			fputs(".It Ic control. Ns Ar NAME\n", out);
			write_mdoc(out, control_help);
		}
		fputs(".El\n", out);
	}
}
