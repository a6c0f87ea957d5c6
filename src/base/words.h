/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A command line as a text, split into its words. Quotes are those of a shell (POSIX.1, 2.2): a
 * backslash, '...', and "..." in which a backslash stands before '"' and '\'. There are no
 * variables, patterns or redirections: no shell is involved. Any thread.
 */
#ifndef BASE_WORDS_H
#define BASE_WORDS_H

#define WORDS_MAX 256 /* of one command */

/* *out: a list that ends with NULL, in one piece of memory: free(*out). Returns the number of
 * words, which may be 0; -EINVAL, with what is wrong in *why (borrowed for ever: "a quote is not
 * closed"), or -ENOMEM. */
int words_split(char ***out, const char *text, const char **why);

/* The path of a program: of a name, which is looked for in PATH, or the path itself. path has
 * PATH_MAX bytes. 0, or -1 with errno: it cannot be executed. */
int words_find_program(const char *name, char *path);

#endif
