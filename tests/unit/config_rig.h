/* SPDX-License-Identifier: BSD-2-Clause */
/* What tests of configurations share. */
#ifndef TESTS_UNIT_CONFIG_RIG_H
#define TESTS_UNIT_CONFIG_RIG_H

#include <stddef.h>

#include "config/config.h"

/* A camera and a stream that are right, in lines 1 to 5; what follows belongs to the stream. */
#define GOOD "[camera front]\nsource = pattern\n[stream main]\ncamera = front\nannexb = 8888\n"

#define ALL_KEYS "; \"camcastd --help-config\" lists all keys\n"

/* The mistakes of the text that was parsed last. */
extern char messages[65536];

/* Parses text as c.ini; its mistakes are in `messages` afterwards. NULL: refused. */
struct config *parse_bytes(const char *text, size_t len);
struct config *parse(const char *text);
/* The test fails if it is refused. */
struct config *parse_good(const char *text);

struct mistake_case {
	const char *text, *message; /* all of the output */
};
void check_mistakes(const struct mistake_case *cases, size_t n);
#define CHECK_MISTAKES(cases) check_mistakes(cases, sizeof(cases) / sizeof *(cases))

/* A key with values that are refused, with one message for line 2, and values that are taken. */
struct value_case {
	const char *key;
	const char *bad[12];
	const char *good[12];
};
/* format: of the text, with the key and the value in line 2. */
void check_values(const struct value_case *cases, size_t n, const char *format);
#define CHECK_VALUES(cases, format) check_values(cases, sizeof(cases) / sizeof *(cases), format)

/* start, and format for the numbers 0 to n - 1. To be freed. */
char *repeat(const char *start, const char *format, size_t n);

#endif
