/* SPDX-License-Identifier: BSD-2-Clause */
/* Answers to a challenge of Digest: any header is read within its bounds, an answer that was read
 * has all of its parts, and none is right by chance. The input is a head of RTSP. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/auth/challenge.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
	if (!holds)
		abort();
}

static bool ends(const char *text, size_t size)
{
	return memchr(text, '\0', size) != NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct message head;
	const struct digest_key key = {{1}};
	const struct net_peer peer = {.port = 1};
	struct challenge_answer answer;
	size_t taken;
	int err;

	message_init(&head);
	if (message_push(&head, (const char *)data, size, &taken) != MESSAGE_COMPLETE)
		return 0;
	err = challenge_read(&answer, &head);
	require(err == 0 || err == -ENOENT || err == -EBADMSG);
	require(ends(answer.name, sizeof answer.name) && ends(answer.nonce, sizeof answer.nonce) &&
		ends(answer.uri, sizeof answer.uri) &&
		ends(answer.response, sizeof answer.response));
	if (err < 0)
		return 0;
	require(strlen(answer.response) == (answer.digest == CONFIG_DIGEST_MD5 ? 32 : 64));
	require(!strchr(answer.name, ':'));
	require(!challenge_is_fresh(&answer, &key, &peer, 1, 1000000));
	require(!challenge_fits(&answer, "DESCRIBE", "a password that nobody has"));
	return 0;
}
