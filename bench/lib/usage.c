/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench/lib/usage.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

/* The text after the first `word` in a file, without blanks or quotes around; -ENOENT. */
static int text_after(const char *path, const char *word, char *text, size_t size)
{
	FILE *file = fopen(path, "re");
	char line[1024];
	int result = -ENOENT;

	while (file && result < 0 && fgets(line, sizeof(line), file)) {
		char *at = strstr(line, word);

		if (!at)
			continue;
		at += strlen(word);
		at += strspn(at, " \t:\"");
		at[strcspn(at, "\n\"")] = '\0';
		snprintf(text, size, "%s", at);
		result = 0;
	}
	if (file)
		fclose(file);
	return result;
}

static long number_after(const char *path, const char *word)
{
	char text[64];

	return text_after(path, word, text, sizeof(text)) == 0 ? strtol(text, NULL, 10) : -1;
}

static int cpu_ns(clockid_t clock, int64_t *ns)
{
	struct timespec ts;

	if (clock_gettime(clock, &ts) < 0)
		return -errno;
	*ns = (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
	return 0;
}

static void count_switches(pid_t pid, struct usage *usage)
{
	char path[320];
	struct dirent *entry;
	DIR *tasks;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	tasks = opendir(path);
	while (tasks && (entry = readdir(tasks))) {
		long waits, forced;

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%s/status", (int)pid, entry->d_name);
		/* "voluntary" comes first, and its line has no other before the word. */
		waits = number_after(path, "voluntary_ctxt_switches");
		forced = number_after(path, "nonvoluntary_ctxt_switches");
		usage->waits += waits > 0 ? (uint64_t)waits : 0;
		usage->preemptions += forced > 0 ? (uint64_t)forced : 0;
	}
	if (tasks)
		closedir(tasks);
}

int usage_read(struct usage *usage, pid_t pid)
{
	clockid_t clock;
	char path[64];
	long pages;
	int result;

	memset(usage, 0, sizeof(*usage));
	usage->wall_us = clock_now_us();
	result = cpu_ns(CLOCK_PROCESS_CPUTIME_ID, &usage->own_cpu_ns);
	pages = number_after("/proc/net/sockstat", " mem ");
	usage->tcp_kb = pages < 0 ? -1 : pages * (sysconf(_SC_PAGESIZE) / 1024);
	if (result < 0 || pid == 0)
		return result;
	result = -clock_getcpuclockid(pid, &clock);
	if (result == 0)
		result = cpu_ns(clock, &usage->server_cpu_ns);
	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	usage->rss_kb = number_after(path, "VmRSS:");
	usage->rss_anon_kb = number_after(path, "RssAnon:");
	usage->rss_shmem_kb = number_after(path, "RssShmem:");
	usage->threads = number_after(path, "Threads:");
	count_switches(pid, usage);
	return result;
}

static void add_file(cJSON *object, const char *name, const char *path)
{
	char text[256];

	if (text_after(path, "", text, sizeof(text)) == 0)
		cJSON_AddStringToObject(object, name, text);
}

cJSON *usage_environment(void)
{
	cJSON *object = cJSON_CreateObject();
	struct utsname system;
	double load[3] = {0};
	char text[256];

	if (uname(&system) == 0) {
		cJSON_AddStringToObject(object, "kernel", system.release);
		cJSON_AddStringToObject(object, "machine", system.machine);
	}
	if (text_after("/etc/os-release", "PRETTY_NAME=", text, sizeof(text)) == 0)
		cJSON_AddStringToObject(object, "os", text);
	if (text_after("/proc/cpuinfo", "model name", text, sizeof(text)) == 0)
		cJSON_AddStringToObject(object, "cpu", text);
	cJSON_AddNumberToObject(object, "cores", (double)sysconf(_SC_NPROCESSORS_ONLN));
	cJSON_AddNumberToObject(object, "memory_kb",
				(double)number_after("/proc/meminfo", "MemTotal:"));
	if (getloadavg(load, 3) == 3)
		cJSON_AddNumberToObject(object, "load", load[0]);
	add_file(object, "governor", "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
	add_file(object, "tcp_mem", "/proc/sys/net/ipv4/tcp_mem");
	add_file(object, "tcp_wmem", "/proc/sys/net/ipv4/tcp_wmem");
	add_file(object, "tcp_rmem", "/proc/sys/net/ipv4/tcp_rmem");
	add_file(object, "congestion_control", "/proc/sys/net/ipv4/tcp_congestion_control");
	add_file(object, "somaxconn", "/proc/sys/net/core/somaxconn");
	return object;
}
