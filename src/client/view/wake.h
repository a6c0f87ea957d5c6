/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Wakes the main thread from SDL_WaitEvent(): a bell that any thread may ring, and a thread that
 * waits for the server list's descriptor and for signals.
 */
#ifndef CLIENT_VIEW_WAKE_H
#define CLIENT_VIEW_WAKE_H

#include <stdbool.h>

struct view_wake;

/* Blocks SIGINT, SIGTERM and SIGHUP in the calling thread, and so in all that it starts later; they
 * become SDL_QUIT. First thing in main(). */
int view_wake_block_signals(void);

/* After SDL_Init(). fd: borrowed, readable at each change (eventfd); -1: none. */
int view_wake_create(struct view_wake **out, int fd);
void view_wake_destroy(struct view_wake *wake);

/* Any thread. The main thread gets one event however often this is called before it answers. */
void view_wake_ring(struct view_wake *wake);
/* Main thread: later events ring again. Call it before checking for news. */
void view_wake_answer(struct view_wake *wake);
/* Main thread: whether fd has become readable since the last call. */
bool view_wake_fd_readable(struct view_wake *wake);

#endif
