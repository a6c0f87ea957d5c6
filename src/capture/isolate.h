/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libcamera runs a module without a valid signature in a process of its own, in namespaces. In the
 * sandbox of a worker there are none: the new process inherits the sandbox, which leaves it less
 * than namespaces would. libcamera 0.0.3 calls unshare(), which the filter answers with success.
 * libcamera 0.7 (src/libcamera/process.cpp) calls syscall(SYS_clone3), whose flags no filter can
 * read. The program therefore has a syscall() of its own, which the dynamic linker prefers to
 * glibc's, and which starts that process by clone() without namespaces if the filter refuses
 * clone3.
 */
#ifndef CAPTURE_ISOLATE_H
#define CAPTURE_ISOLATE_H

/* From now on this process is in the sandbox. Before, and without this call, syscall() is glibc's
 * in effect. Call it before threads start. */
void isolate_in_sandbox(void);

#endif
