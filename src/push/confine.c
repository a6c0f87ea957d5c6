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
	struct sandbox sandbox = {
		.tcp_port = url->host.port,
		.udp = strcmp(url->scheme, "srt") == 0,
	};
	char state[SANDBOX_STATE_MAX];

	sandbox_raise_oom_score();
	sandbox_limit_memory(DATA_MAX);
	if (off)
		return;
	sandbox_allow_base(&sandbox);
	/* Links to /usr. */
	sandbox_allow(&sandbox, "/etc/ssl/certs", SANDBOX_READ);
	if (net_host_family(url->host.host) == AF_UNSPEC)
		sandbox_allow_names(&sandbox);
	if (!sandbox_enter(&sandbox, state))
		diag_info("a part of this process's sandbox is missing: %s", state);
}
