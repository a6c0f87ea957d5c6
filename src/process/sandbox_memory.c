/* SPDX-License-Identifier: BSD-2-Clause */
/* Apart, as camcastd needs only this, and no libseccomp. */
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "process/sandbox.h"

#define OOM_SCORE_ADJ "500"

void sandbox_hide_memory(void)
{
	(void)prctl(PR_SET_DUMPABLE, 0);
}

void sandbox_limit_memory(uint64_t bytes)
{
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	const struct rlimit data = {bytes, bytes}, core = {0, 0};

	(void)setrlimit(RLIMIT_DATA, &data);
	(void)setrlimit(RLIMIT_CORE, &core);
#else
	(void)bytes;
#endif
}

void sandbox_raise_oom_score(void)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	(void)!write(fd, OOM_SCORE_ADJ, sizeof OOM_SCORE_ADJ - 1);
	close(fd);
}
