/* SPDX-License-Identifier: BSD-2-Clause */
/* What a request says about who sends it, in all three places, and files with passwords: what is
 * read stays within its bounds, and what is no name or secret is not taken for one. The input is a
 * head of HTTP, a zero byte, and the content of a file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/secret.h"
#include "daemon/auth/credentials.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void check_head(const char *text, size_t len)
{
	static struct message head;
	struct credentials credentials;
	size_t taken;

	message_init(&head);
	if (message_push(&head, text, len, &taken) != MESSAGE_COMPLETE)
		return;
	credentials_read(&credentials, &head, "camcast-8080");
	require(memchr(credentials.name, '\0', sizeof credentials.name) != NULL);
	require(memchr(credentials.secret, '\0', sizeof credentials.secret) != NULL);
	require(!credentials.in_query || credentials.kind == CREDENTIALS_TOKEN);
	switch (credentials.kind) {
	case CREDENTIALS_NONE:
	case CREDENTIALS_BAD:
		require(!credentials.name[0] && !credentials.secret[0]);
		break;
	case CREDENTIALS_TOKEN:
		require(credentials_is_token(credentials.secret));
		break;
	case CREDENTIALS_PASSWORD:
		require(!strchr(credentials.name, ':'));
		break;
	case CREDENTIALS_LOGIN:
		break;
	}
}

static void check_file(const uint8_t *data, size_t size)
{
	char path[64], out[16], why[SECRET_WHY_MAX];
	int fd = memfd_create("secret", MFD_CLOEXEC);

	require(fd >= 0 && fchmod(fd, 0600) == 0);
	require(write(fd, data, size) == (ssize_t)size);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	if (secret_read(path, out, sizeof out, why) == 0)
		require(out[0] && strlen(out) < sizeof out && !strpbrk(out, "\r\n") &&
			memcmp(out, data, strlen(out)) == 0);
	else
		require(out[0] == '\0' && memchr(why, '\0', sizeof why));
	close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *end = size > 0 ? memchr(data, '\0', size) : NULL;
	size_t head = end ? (size_t)(end - data) : size;

	check_head((const char *)data, head);
	if (end)
		check_file(end + 1, size - head - 1);
	return 0;
}
