/* SPDX-License-Identifier: BSD-2-Clause */
#include "process/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/text.h"
#include "process/sandbox_parts.h"

void sandbox_allow(struct sandbox *sandbox, const char *path, unsigned rights)
{
	int fd;

	if (sandbox->n_paths == SANDBOX_PATHS_MAX)
		return;
	fd = open(path, O_PATH | O_CLOEXEC);
	if (fd >= 0)
		sandbox->paths[sandbox->n_paths++] = (struct sandbox_path){fd, rights};
}

size_t sandbox_allow_matches(struct sandbox *sandbox, const char *pattern, unsigned rights)
{
	glob_t found;
	size_t n;

	if (glob(pattern, 0, NULL, &found) != 0)
		return 0;
	n = found.gl_pathc;
	for (size_t i = 0; i < n; i++)
		sandbox_allow(sandbox, found.gl_pathv[i], rights);
	globfree(&found);
	return n;
}

void sandbox_allow_base(struct sandbox *sandbox)
{
	static const char *const readable[] = {
		"/usr",		  "/lib",	   "/lib32",
		"/lib64",	  "/libx32",	   "/etc/ld.so.cache",
		"/etc/localtime", "/etc/timezone", "/sys",
		"/proc/self",	  "/proc/cpuinfo", "/proc/meminfo",
		"/proc/stat",	  "/proc/version", "/proc/sys/kernel",
		"/proc/sys/vm",
	};
	static const char *const devices[] = {"/dev/null", "/dev/zero", "/dev/full", "/dev/random",
					      "/dev/urandom"};

	for (size_t i = 0; i < sizeof readable / sizeof readable[0]; i++)
		sandbox_allow(sandbox, readable[i], SANDBOX_READ);
	for (size_t i = 0; i < sizeof devices / sizeof devices[0]; i++)
		sandbox_allow(sandbox, devices[i], SANDBOX_DEVICE);
}

void sandbox_allow_names(struct sandbox *sandbox)
{
	/* Whole folders, as the files in them are replaced when the network changes. */
	static const char *const readable[] = {
		"/etc/resolv.conf",    "/etc/hosts",	"/etc/nsswitch.conf",	"/etc/gai.conf",
		"/etc/host.conf",      "/etc/services", "/run/systemd/resolve", "/run/resolvconf",
		"/run/NetworkManager", "/run/connman"};

	sandbox->names = true;
	for (size_t i = 0; i < sizeof readable / sizeof readable[0]; i++)
		sandbox_allow(sandbox, readable[i], SANDBOX_READ);
}

/* Drops all capabilities except those that make files of others accessible, which Landlock
 * restricts: root may play a recording that only its owner can read. Other users have none. */
static void drop_capabilities(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
	const uint32_t keep = 1u << CAP_DAC_OVERRIDE | 1u << CAP_DAC_READ_SEARCH;

	if (syscall(SYS_capget, &header, data) < 0)
		return;
	data[0].effective &= keep;
	data[0].permitted &= keep;
	data[0].inheritable = 0;
	data[1] = (struct __user_cap_data_struct){0};
	(void)syscall(SYS_capset, &header, data);
}

/* Appends "name" or "no name: why". */
static void tell(char state[SANDBOX_STATE_MAX], const char *name, int err)
{
	if (state[0])
		text_append(state, SANDBOX_STATE_MAX, ", ");
	if (err < 0)
		text_append(state, SANDBOX_STATE_MAX, "no ");
	text_append(state, SANDBOX_STATE_MAX, name);
	if (err < 0) {
		text_append(state, SANDBOX_STATE_MAX, ": ");
		text_append(state, SANDBOX_STATE_MAX, strerror(-err));
	}
}

bool sandbox_enter(struct sandbox *sandbox, char state[SANDBOX_STATE_MAX])
{
	char landlock[32] = "landlock";
	int abi, err;

	state[0] = '\0';
	sandbox_hide_memory();
	drop_capabilities();
	err = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;
	abi = err < 0 ? err : sandbox_restrict_files(sandbox);
	for (size_t i = 0; i < sandbox->n_paths; i++)
		close(sandbox->paths[i].fd);
	sandbox->n_paths = 0;
	if (err == 0)
		err = sandbox_restrict_calls(sandbox, abi >= LANDLOCK_ABI_SCOPE);
	if (abi >= 0)
		snprintf(landlock, sizeof landlock, "landlock %d", abi);
	tell(state, "seccomp", err);
	tell(state, landlock, abi);
	if (abi < 0)
		text_append(state, SANDBOX_STATE_MAX,
			    sandbox->programs || err < 0 ? "; files and programs are not restricted"
							 : "; files are not restricted");
	return err == 0 && abi >= 0;
}
