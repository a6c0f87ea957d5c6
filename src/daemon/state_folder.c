/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/state_folder.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* NULL: unset, or no absolute path, which the XDG Base Directory Specification has ignored. */
static const char *get_path(const char *name)
{
	const char *path = getenv(name);

	return path && path[0] == '/' ? path : NULL;
}

char *state_folder(char out[PATH_MAX])
{
	const char *given = get_path("STATE_DIRECTORY"), *state = get_path("XDG_STATE_HOME");
	const char *home = get_path("HOME");
	int len;

	if (given) /* the first of several */
		len = snprintf(out, PATH_MAX, "%.*s", (int)strcspn(given, ":"), given);
	else if (geteuid() != 0 && state)
		len = snprintf(out, PATH_MAX, "%s/camcast", state);
	else if (geteuid() != 0 && home)
		len = snprintf(out, PATH_MAX, "%s/.local/state/camcast", home);
	else
		len = -1;
	if (len < 0 || len >= PATH_MAX)
		strcpy(out, "/var/lib/camcast");
	return out;
}

int state_folder_make(const char *path)
{
	char copy[PATH_MAX];
	int len = snprintf(copy, sizeof copy, "%s", path);

	if (len <= 0 || len >= PATH_MAX)
		return -ENAMETOOLONG;
	for (char *slash = copy + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		/* One that cannot be made shows below. */
		(void)mkdir(copy, 0700);
		*slash = '/';
	}
	return mkdir(copy, 0700) == 0 || errno == EEXIST ? 0 : -errno;
}
