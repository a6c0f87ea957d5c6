/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <linux/landlock.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "process/sandbox_parts.h"

/* Of newer headers than Debian 12's. */
#define ACCESS_TRUNCATE (UINT64_C(1) << 14)  /* ABI 3 */
#define ACCESS_IOCTL_DEV (UINT64_C(1) << 15) /* ABI 5 */
#define ACCESS_BIND_TCP (UINT64_C(1) << 0)   /* ABI 4 */
#define ACCESS_CONNECT_TCP (UINT64_C(1) << 1)
#define SCOPE_ABSTRACT_UNIX_SOCKET (UINT64_C(1) << 0) /* ABI 6 */
#define SCOPE_SIGNAL (UINT64_C(1) << 1)
#define RULE_NET_PORT 2

#define ABI_REFER 2
#define ABI_TRUNCATE 3
#define ABI_NET 4
#define ABI_IOCTL_DEV 5

#define DNS_PORT 53

struct ruleset_attr {
	uint64_t handled_access_fs;
	uint64_t handled_access_net; /* ABI 4 */
	uint64_t scoped;	     /* ABI 6 */
};

struct net_port_attr {
	uint64_t allowed_access;
	uint64_t port;
};

#define ACCESS_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
/* Rights that a rule for a file, not a folder, may have. */
#define ACCESS_FILE                                                                                \
	(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE |                              \
	 LANDLOCK_ACCESS_FS_READ_FILE | ACCESS_TRUNCATE | ACCESS_IOCTL_DEV)

static uint64_t access_of(unsigned rights)
{
	uint64_t access = 0;

	if (rights & SANDBOX_READ)
		access |= ACCESS_READ;
	if (rights & SANDBOX_LIST)
		access |= LANDLOCK_ACCESS_FS_READ_DIR;
	if (rights & SANDBOX_DEVICE)
		access |= ACCESS_READ | LANDLOCK_ACCESS_FS_WRITE_FILE | ACCESS_IOCTL_DEV;
	if (rights & SANDBOX_EXECUTE)
		access |= ACCESS_READ | LANDLOCK_ACCESS_FS_EXECUTE;
	return access;
}

/* All rights that this ABI knows: what is not handled would be allowed. */
static struct ruleset_attr handled(int abi)
{
	struct ruleset_attr attr = {
		/* ABI 1: EXECUTE, the lowest bit, up to MAKE_SYM */
		.handled_access_fs = LANDLOCK_ACCESS_FS_MAKE_SYM * 2 - 1,
	};

	if (abi >= ABI_REFER)
		attr.handled_access_fs |= LANDLOCK_ACCESS_FS_REFER;
	if (abi >= ABI_TRUNCATE)
		attr.handled_access_fs |= ACCESS_TRUNCATE;
	if (abi >= ABI_NET)
		attr.handled_access_net = ACCESS_BIND_TCP | ACCESS_CONNECT_TCP;
	if (abi >= ABI_IOCTL_DEV)
		attr.handled_access_fs |= ACCESS_IOCTL_DEV;
	if (abi >= LANDLOCK_ABI_SCOPE)
		attr.scoped = SCOPE_ABSTRACT_UNIX_SOCKET | SCOPE_SIGNAL;
	return attr;
}

static size_t size_for(int abi)
{
	if (abi >= LANDLOCK_ABI_SCOPE)
		return sizeof(struct ruleset_attr);
	return abi >= ABI_NET ? offsetof(struct ruleset_attr, scoped)
			      : offsetof(struct ruleset_attr, handled_access_net);
}

static int add_path(int ruleset, const struct sandbox_path *path, uint64_t handled_access)
{
	struct landlock_path_beneath_attr rule = {
		.allowed_access = access_of(path->rights) & handled_access,
		.parent_fd = path->fd,
	};
	struct stat st;

	if (fstat(path->fd, &st) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode))
		rule.allowed_access &= ACCESS_FILE;
	if (!rule.allowed_access)
		return 0;
	if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0)
		return 0;
	/* A pipe, a socket or a memfd, which stands in no folder: Landlock neither takes a rule for
	 * such a file nor restricts it. */
	return errno == EBADFD ? 0 : -errno;
}

static int add_port(int ruleset, uint16_t port)
{
	struct net_port_attr rule = {.allowed_access = ACCESS_CONNECT_TCP, .port = port};

	if (syscall(SYS_landlock_add_rule, ruleset, RULE_NET_PORT, &rule, 0) < 0)
		return -errno;
	return 0;
}

static int add_rules(int ruleset, const struct sandbox *sandbox, const struct ruleset_attr *attr)
{
	int err = 0;

	for (size_t i = 0; i < sandbox->n_paths && err == 0; i++)
		err = add_path(ruleset, &sandbox->paths[i], attr->handled_access_fs);
	if (err == 0 && attr->handled_access_net && sandbox->tcp_port)
		err = add_port(ruleset, sandbox->tcp_port);
	if (err == 0 && attr->handled_access_net && sandbox->names)
		err = add_port(ruleset, DNS_PORT);
	return err;
}

int sandbox_restrict_files(const struct sandbox *sandbox)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	struct ruleset_attr attr;
	int ruleset, err;

	if (abi < 0)
		return -errno;
	attr = handled((int)abi);
	ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, size_for((int)abi), 0);
	if (ruleset < 0)
		return -errno;
	err = add_rules(ruleset, sandbox, &attr);
	if (err == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		err = -errno;
	close(ruleset);
	return err < 0 ? err : (int)abi;
}
