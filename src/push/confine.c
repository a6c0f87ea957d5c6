/* SPDX-License-Identifier: BSD-2-Clause */
#include "push/confine.h"

#include <string.h>
#include <sys/socket.h>

#include "base/diag.h"
#include "process/sandbox.h"

/* A unit twice, what libraries hold, and the stacks of libsrt's threads. */
#define DATA_MAX (UINT64_C(256) << 20)

void confine_push(const struct push_url *url, bool off)
{
	/* Whole folders, as the files in them are replaced when the network changes. Certificates
	 * are links from /etc/ssl/certs to /usr. */
	static const char *const readable[] = {
		"/etc/ssl/certs",  "/etc/resolv.conf",	  "/etc/hosts",	   "/etc/nsswitch.conf",
		"/etc/gai.conf",   "/etc/host.conf",	  "/etc/services", "/run/systemd/resolve",
		"/run/resolvconf", "/run/NetworkManager", "/run/connman"};
	struct sandbox sandbox = {
		.tcp_port = url->host.port,
		.names = net_host_family(url->host.host) == AF_UNSPEC,
		.udp = strcmp(url->scheme, "srt") == 0,
	};
	char state[SANDBOX_STATE_MAX];

	sandbox_raise_oom_score();
	sandbox_limit_memory(DATA_MAX);
	if (off)
		return;
	sandbox_allow_base(&sandbox);
	for (size_t i = 0; i < sizeof readable / sizeof *readable; i++)
		sandbox_allow(&sandbox, readable[i], SANDBOX_READ);
	if (!sandbox_enter(&sandbox, state))
		diag_info("a part of this process's sandbox is missing: %s", state);
}
