/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table of every configuration key, and the parsers of their values. Internal to this folder;
 * everybody else sees struct config. Any thread.
 */
#ifndef CONFIG_OPTIONS_H
#define CONFIG_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "config/config.h"

enum option_section {
	OPTION_DAEMON,
	OPTION_TLS,
	OPTION_MQTT,
	OPTION_ONVIF,
	OPTION_USER,
	OPTION_CAMERA,
	OPTION_STREAM,
	OPTION_SECTIONS
};

enum option_type {
	OPTION_TEXT,	    /* char * */
	OPTION_NAME,	    /* char *, %h expanded */
	OPTION_SOURCE,	    /* char *, checked for a known kind of source */
	OPTION_FOURCC,	    /* char *, four characters */
	OPTION_WORD,	    /* enum: index into words */
	OPTION_WORD_TEXT,   /* char *, one of words */
	OPTION_WORD_NUMBER, /* uint32_t: one of words, all of them numbers */
	OPTION_BOOL,
	OPTION_NUMBER, /* uint32_t, min to max */
	OPTION_SIZE,   /* struct config_size */
	OPTION_RATE,   /* struct rate */
	OPTION_HTTP,   /* the http and n_http of struct config_daemon; empty is off */
	OPTION_RTSP,   /* rtsp and n_rtsp, likewise */
	OPTION_HOST,   /* char *, a name or a literal address, or empty */
	OPTION_GROUP,  /* char *, for net_group_parse(), or empty */
	OPTION_ID,     /* char *, letters, digits, '-' and '_', or empty */
	OPTION_TOPICS, /* char *, MQTT topics without wildcards, separated by commas */
	OPTION_TOPIC,  /* char *, the beginning of topics, or empty */
	OPTION_PUSH,   /* char *, URLs for net/push_url.h, separated by commas, or empty; never in
			  a message, as they hold secrets */
	OPTION_MAY,    /* unsigned: enum config_may, "nothing", and "auto" if that is the default */
	OPTION_HASH,   /* char *, a hash of crypt(5), or empty; never in a message */
	OPTION_WORDS,  /* char *, words of letters and signs, separated by commas, or empty */
	OPTION_RANGES, /* char *, for net/ranges.h, or empty */
	OPTION_URL_OPTIONS, /* char *, NAME=VALUE of libavformat separated by blanks, or empty;
			       never in a message */
	/* Not stored by option_set(), for they need what else the file says: */
	OPTION_REFERENCE, /* the name of a camera */
	OPTION_LISTENERS, /* addresses, separated by commas */
	/* Not stored but only checked: a camera gets its controls as text. */
	OPTION_CONTROL_DECIMAL, /* min to max */
	OPTION_CONTROL_WORD,
	OPTION_CONTROL_DECIMALS, /* `count` of them, each min to max, separated by commas */
	OPTION_CONTROL_RECTANGLE /* x,y,w,h in 0..1 */
};

struct option {
	enum option_section section;
	const char *key;
	enum option_type type;
	size_t offset;	     /* of the member in the section's structure */
	const char *value;   /* the default; NULL: none, the key may be absent */
	const char *example; /* where there is no default: what --help-config shows */
	const char *unit;    /* or NULL */
	double min, max;
	unsigned count;
	const char *const *words; /* ends with NULL */
	const char *help;	  /* sentences */
};

extern const struct option options[];
extern const size_t n_options;

/* "daemon", "tls", "mqtt", "onvif", "user", "camera", "stream" */
extern const char *const option_section_words[OPTION_SECTIONS];

/* Whether the key that somebody wrote is `key`: in any case, and with '-' for '_'. */
bool option_is_key(const char *key, const char *written);
const struct option *option_find(enum option_section section, const char *key);
bool option_is_control(const struct option *option);
/* At most one section of this kind, and without a name. */
bool option_section_is_single(enum option_section section);

#define OPTION_WHY_MAX 1024	   /* bytes of a message */
#define OPTION_DESCRIPTION_MAX 256 /* bytes of what is allowed, in words */
#define OPTION_NAME_MAX 64	   /* bytes of an expanded OPTION_NAME */

/* Checks value and stores it into `target` (struct config_daemon, config_tls, config_mqtt,
 * config_onvif, config_camera, config_stream), freeing what the member held before. Returns 0,
 * -ENOMEM, or -EINVAL with what is wrong and what is allowed in why[OPTION_WHY_MAX]. */
int option_set(const struct option *option, void *target, const char *value, char *why);

/* What is wrong with a value that is not allowed, for a person: into why[OPTION_WHY_MAX]. */
void option_explain(const struct option *option, const char *value, char *why);

/* What is wrong with a list of URLs for pushes, borrowed for ever and without a part of the list,
 * as it holds stream keys and passwords. NULL: nothing. which: the number of the URL, from 1. */
const char *option_push_wrong(const char *value, unsigned *which);

/* Whether option_set() stores a text: a char * of its own. */
bool option_is_text(const struct option *option);
/* Frees what option_set() stored into `target`, if it is text. */
void option_free(const struct option *option, void *target);

/* How a control's value is handed to a camera: one of the words as the table spells it, else value.
 * Borrowed. */
const char *option_control_value(const struct option *option, const char *value);

/* "1 to 100", "yes or no", "WIDTHxHEIGHT..."; returns buf[OPTION_DESCRIPTION_MAX]. */
const char *option_describe(const struct option *option, char *buf);

/* For OPTION_LISTENERS: addresses into out[CONFIG_LISTENERS_MAX]; returns as option_set(). */
int option_parse_listeners(const struct option *option, const char *value, struct net_address *out,
			   size_t *n, char *why);

/* The length of the word or prefix that begins a source, in any case; 0: none does. */
size_t option_source_word_len(const char *source);
/* What is wrong with a source that begins with one of them, or with a text of OPTION_URL_OPTIONS:
 * without a part of it, borrowed for ever. NULL: nothing. */
const char *option_source_wrong(const char *source);
const char *option_url_options_wrong(const char *text);

/* What a word of other programs is called here, for messages; NULL: not known.
 * Borrowed for ever. */
/* The key, quoted, and perhaps with its value; *belongs: the section that it is a key of. */
const char *synonym_of_key(enum option_section section, const char *key,
			   enum option_section *belongs);
/* The value; *note: a sentence that explains it, or NULL. */
const char *synonym_of_value(const char *key, const char *value, const char **note);

#endif
