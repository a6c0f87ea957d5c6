/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/user.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/diag.h"

#define GROUPS_MAX 64

static const char *const device_groups[] = {"video", "render"};
#define DEVICE_GROUPS (sizeof device_groups / sizeof device_groups[0])

static int set_groups(const struct passwd *user)
{
	gid_t groups[GROUPS_MAX + DEVICE_GROUPS];
	int n = GROUPS_MAX;

	if (getgrouplist(user->pw_name, user->pw_gid, groups, &n) < 0)
		n = GROUPS_MAX; /* it is in more: the first ones */
	for (size_t i = 0; i < DEVICE_GROUPS; i++) {
		const struct group *group = getgrnam(device_groups[i]);

		if (group)
			groups[n++] = group->gr_gid;
	}
	return setgroups((size_t)n, groups) < 0 ? -errno : 0;
}

static int change(const struct passwd *user)
{
	int err = set_groups(user);

	if (err < 0)
		return err;
	if (setresgid(user->pw_gid, user->pw_gid, user->pw_gid) < 0 ||
	    setresuid(user->pw_uid, user->pw_uid, user->pw_uid) < 0)
		return -errno;
	return 0;
}

int user_become(const char *name)
{
	const struct passwd *user;
	int err;

	if (name[0] == '\0') {
		if (geteuid() == 0)
			diag_warn("camcastd and its workers run as root; set user = NAME in "
				  "[daemon], or start camcastd as a service");
		return 0;
	}
	errno = 0;
	user = getpwnam(name);
	if (!user) {
		diag_error("user = %s in [daemon]: %s", name,
			   errno ? strerror(errno) : "there is no such user");
		return -ENOENT;
	}
	if (user->pw_uid == geteuid())
		return 0;
	if (geteuid() != 0) {
		diag_error("user = %s in [daemon]: only root can change its user", name);
		return -EPERM;
	}
	err = change(user);
	if (err < 0)
		diag_error("user = %s in [daemon]: %s", name, strerror(-err));
	else
		diag_info("running as user %s", name);
	return err;
}
