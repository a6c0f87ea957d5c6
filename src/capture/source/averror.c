/* SPDX-License-Identifier: BSD-2-Clause */
#include "capture/source/averror.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <libavutil/log.h>

#include "base/text.h"

static _Thread_local char said[AVERROR_SAID_MAX];

static void handle_log(void *context, int level, const char *format, va_list arguments)
{
	char line[AVERROR_SAID_MAX];

	if (level <= av_log_get_level()) {
		av_log_default_callback(context, level, format, arguments);
	} else if (level <= AV_LOG_ERROR) {
		vsnprintf(line, sizeof(line), format, arguments);
		line[strcspn(line, "\n")] = '\0';
		text_clean(said, sizeof(said), line);
	}
}

void averror_listen(void)
{
	av_log_set_callback(handle_log);
}

void averror_forget(void)
{
	said[0] = '\0';
}

const char *averror_said(void)
{
	return said;
}

int averror_errno(int averror)
{
	/* libav's own errors are tags, far below any errno. */
	return averror > -4096 ? averror : -EINVAL;
}

const char *averror_text(int averror, char text[AV_ERROR_MAX_STRING_SIZE])
{
	if (averror > -4096)
		return strerror(-averror);
	av_strerror(averror, text, AV_ERROR_MAX_STRING_SIZE);
	return text;
}
