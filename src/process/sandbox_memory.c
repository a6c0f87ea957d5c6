/* SPDX-License-Identifier: BSD-2-Clause */
/* Apart, as camcastd needs only this, and no libseccomp. */
#include <sys/prctl.h>

#include "process/sandbox.h"

void sandbox_hide_memory(void)
{
	(void)prctl(PR_SET_DUMPABLE, 0);
}
