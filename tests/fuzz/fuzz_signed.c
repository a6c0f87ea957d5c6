/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Signed announcements and files of trusted servers: whatever is read lies within its bounds, and
 * nothing counts as signed but what this program has signed. The first byte chooses: an even one is
 * followed by a text to check, an odd one by a file. A text that begins with '{' is signed, too,
 * then changed at one place.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "client/find/trust.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t seed[SIGNED_KEY_BYTES] = {1};

static void require(bool holds)
{
	if (!holds)
		abort();
}

/* In memory of exactly its size. */
static enum signed_state check(const char *text, size_t len, struct signed_by *by)
{
	char *copy = malloc(len ? len : 1);

	require(copy != NULL);
	memcpy(copy, text, len);
	signed_check(by, copy, len);
	free(copy);
	require(by->number.start <= SIGNED_NUMBER_MAX && by->number.count <= SIGNED_NUMBER_MAX);
	return by->state;
}

static void sign_and_change(const char *json, unsigned at)
{
	const struct signed_number number = {at, 3};
	struct signer *signer;
	struct signed_by by;
	char *text;

	require(signer_create(&signer, seed) == 0);
	text = signer_sign(signer, json, &number);
	if (text) {
		const size_t len = strlen(text);

		require(len <= strlen(json) + SIGNED_EXTRA_MAX);
		require(check(text, len, &by) == SIGNED_RIGHT);
		require(memcmp(by.key, signer_key(signer), sizeof by.key) == 0);
		require(signed_compare(&by.number, &number) == 0);
		text[at % len] ^= 1;
		require(check(text, len, &by) != SIGNED_RIGHT);
	}
	free(text);
	signer_destroy(signer);
}

static void check_text(const char *text, size_t len)
{
	char *json = strndup(text, len);
	struct signed_by by;

	require(json != NULL);
	check(text, len, &by);
	if (len > 2 && json[0] == '{')
		sign_and_change(json, (unsigned char)json[1] * 7u);
	free(json);
}

static void check_file(const char *text, size_t len)
{
	char *copy = malloc(len ? len : 1), clean[256];
	struct trust_list list;
	unsigned line;
	int err;

	require(copy != NULL);
	memcpy(copy, text, len);
	err = trust_list_parse(&list, copy, len, &line);
	free(copy);
	require(err == 0 || (err == -EINVAL && line > 0 && list.n == 0 && !list.entries));
	require(list.n <= TRUST_MAX);
	for (size_t i = 0; i < list.n; i++) {
		const struct trust_entry *entry = &list.entries[i];

		require(server_id_valid(entry->id));
		text_clean(clean, sizeof clean, entry->name);
		require(strcmp(clean, entry->name) == 0);
		require(entry->number.start <= SIGNED_NUMBER_MAX);
	}
	trust_list_finish(&list);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0 || size > TRUST_FILE_MAX)
		return 0;
	if (data[0] & 1)
		check_file((const char *)data + 1, size - 1);
	else
		check_text((const char *)data + 1, size - 1);
	return 0;
}
