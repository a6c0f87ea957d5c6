/* SPDX-License-Identifier: BSD-2-Clause */
#include "capture/confine.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/text.h"
#include "base/words.h"
#include "capture/isolate.h"
#include "net/push_url.h"

/* Of a worker whose pictures strangers may send: an encoder and a decoder of the largest pictures,
 * and what waits for them. */
#define DATA_MAX (UINT64_C(2) << 30)
#define LIST_HEAD "ffconcat version"

/* An ffconcat file names other files, which lie in its folder: libavformat refuses others. */
static bool is_list(const char *path)
{
	char head[sizeof LIST_HEAD - 1];
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, head, sizeof head);
	close(fd);
	return n == sizeof head && memcmp(head, LIST_HEAD, sizeof head) == 0;
}

/* The recording alone or, of a list, the folder in which it and its parts lie. */
static void allow_recording(struct sandbox *sandbox, const char *path)
{
	const char *slash = strrchr(path, '/');
	char *folder;

	sandbox_allow(sandbox, path, SANDBOX_READ);
	if (!is_list(path))
		return;
	folder = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
	if (folder)
		sandbox_allow(sandbox, folder, SANDBOX_READ);
	free(folder);
}

/* Each absolute path of a list separated by colons. */
static void allow_list(struct sandbox *sandbox, const char *list, unsigned rights)
{
	while (*list) {
		size_t len = strcspn(list, ":");
		char *path = *list == '/' ? strndup(list, len) : NULL;

		if (path)
			sandbox_allow(sandbox, path, rights);
		free(path);
		list += len;
		list += *list == ':';
	}
}

/* Where libcamera and other libraries are, if the environment says so. */
static void allow_environment(struct sandbox *sandbox)
{
	static const char libcamera[] = "LIBCAMERA_",
			  proxies[] = "LIBCAMERA_IPA_PROXY_PATH=", libraries[] = "LD_LIBRARY_PATH=";

	for (char **entry = environ; *entry; entry++) {
		const char *value = strchr(*entry, '=');

		if (!value)
			continue;
		if (strncmp(*entry, proxies, sizeof proxies - 1) == 0)
			allow_list(sandbox, value + 1, SANDBOX_EXECUTE);
		else if (strncmp(*entry, libcamera, sizeof libcamera - 1) == 0 ||
			 strncmp(*entry, libraries, sizeof libraries - 1) == 0)
			allow_list(sandbox, value + 1, SANDBOX_READ);
	}
}

/* libcamera runs a module without a valid signature in a process of its own, the proxy. The kernel
 * opens the dynamic linker for execution, too: with it a captured worker can run any program that
 * it can read, but no program can do more than the worker itself. */
static void allow_proxies(struct sandbox *sandbox)
{
	static const char *const patterns[] = {
		"/usr/lib/libcamera/*_ipa_proxy",
		"/usr/lib/*/libcamera/*_ipa_proxy",
		"/usr/libexec/libcamera/*_ipa_proxy",
		"/usr/libexec/*/libcamera/*_ipa_proxy",
		"/usr/local/lib/libcamera/*_ipa_proxy",
		"/usr/local/lib/*/libcamera/*_ipa_proxy",
		"/usr/local/libexec/libcamera/*_ipa_proxy",
		"/usr/local/libexec/*/libcamera/*_ipa_proxy",
	};
	size_t n = getenv("LIBCAMERA_IPA_PROXY_PATH") ? 1 : 0;

	for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++)
		n += sandbox_allow_matches(sandbox, patterns[i], SANDBOX_EXECUTE);
	if (n == 0)
		return;
	sandbox->programs = true;
	sandbox_allow_matches(sandbox, "/lib*/ld-*.so*", SANDBOX_EXECUTE);
	sandbox_allow_matches(sandbox, "/lib/*/ld-*.so*", SANDBOX_EXECUTE);
}

/* tuning_file may be NULL. */
static void allow_libcamera(struct sandbox *sandbox, const char *tuning_file)
{
	static const char *const readable[] = {"/etc/libcamera", "/etc/udev", "/run/udev",
					       "/proc/device-tree"};

	for (size_t i = 0; i < sizeof readable / sizeof readable[0]; i++)
		sandbox_allow(sandbox, readable[i], SANDBOX_READ);
	sandbox_allow_matches(sandbox, "/dev/media[0-9]*", SANDBOX_DEVICE);
	sandbox_allow_matches(sandbox, "/dev/v4l-subdev[0-9]*", SANDBOX_DEVICE);
	if (tuning_file && *tuning_file)
		sandbox_allow(sandbox, tuning_file, SANDBOX_READ);
	sandbox->uevents = true;
	allow_proxies(sandbox);
}

/* What a library needs to allocate memory for pictures and to encode. */
static void allow_devices(struct sandbox *sandbox)
{
	/* The log names the group of a device that may not be opened. */
	sandbox_allow(sandbox, "/etc/group", SANDBOX_READ);
	sandbox_allow(sandbox, "/etc/nsswitch.conf", SANDBOX_READ);
	sandbox_allow(sandbox, "/dev", SANDBOX_LIST);
	sandbox_allow(sandbox, "/dev/dma_heap", SANDBOX_DEVICE);
	sandbox_allow(sandbox, "/dev/udmabuf", SANDBOX_DEVICE);
	sandbox_allow_matches(sandbox, "/dev/video[0-9]*", SANDBOX_DEVICE);
}

/* Those of the system, and a file that the options name. */
static void allow_authorities(struct sandbox *sandbox, const char *options)
{
	static const char name[] = "ca_file=";
	const char *wrong;
	char **words;
	int n = words_split(&words, options, &wrong);

	/* The usual file has links to /usr in its folder. */
	sandbox_allow(sandbox, "/etc/ssl/certs", SANDBOX_READ);
	for (int i = 0; i < n; i++)
		if (strncmp(words[i], name, sizeof name - 1) == 0)
			sandbox_allow(sandbox, words[i] + sizeof name - 1, SANDBOX_READ);
	if (n >= 0)
		free(words);
}

/* The server of the URL, and the look-up of its name. */
static void allow_url(struct sandbox *sandbox, const struct config_camera *camera, const char *text)
{
	struct push_url url;
	bool datagrams;

	if (source_url_parse(&url, text))
		return; /* the source reports it */
	datagrams = strcmp(url.scheme, "udp") == 0 || strcmp(url.scheme, "srt") == 0;
	if (!datagrams)
		sandbox->tcp_port = url.host.port;
	sandbox->udp = datagrams || strstr(camera->url_options, "udp");
	if (strcmp(url.scheme, "https") == 0)
		allow_authorities(sandbox, camera->url_options);
	if (url.host.host[0] && net_host_family(url.host.host) == AF_UNSPEC)
		sandbox_allow_names(sandbox);
}

void confine_worker(const struct config_camera *camera, bool off, char state[SANDBOX_STATE_MAX])
{
	struct sandbox sandbox = {0};
	const char *rest;

	if (config_source_is_live(camera->source))
		sandbox_limit_memory(DATA_MAX);
	if (off) {
		text_set(state, SANDBOX_STATE_MAX, "off");
		diag_warn("camera %s: the worker runs without a sandbox, because [daemon] has "
			  "sandbox = no",
			  camera->name);
		return;
	}
	sandbox_allow_base(&sandbox);
	allow_environment(&sandbox);
	allow_devices(&sandbox);
	switch (config_source_kind(camera->source, &rest)) {
	case CONFIG_SOURCE_FILE:
		allow_recording(&sandbox, rest);
		break;
	case CONFIG_SOURCE_AUTO:
	case CONFIG_SOURCE_LIBCAMERA:
		allow_libcamera(&sandbox, camera->tuning_file);
		break;
	case CONFIG_SOURCE_URL:
		allow_url(&sandbox, camera, rest);
		break;
	case CONFIG_SOURCE_PIPE:
		sandbox_allow(&sandbox, rest, SANDBOX_READ);
		break;
	case CONFIG_SOURCE_EXEC: /* the launcher, which is outside, starts the program */
	case CONFIG_SOURCE_PATTERN:
	case CONFIG_SOURCE_UNKNOWN:
		break;
	}
	isolate_in_sandbox();
	if (!sandbox_enter(&sandbox, state))
		diag_warn("camera %s: a part of the worker's sandbox is missing: %s", camera->name,
			  state);
}

/* --- the program of exec: --- */

static bool is_script(const char *path)
{
	char head[2];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool script;

	if (fd < 0)
		return false;
	script = read(fd, head, sizeof head) == sizeof head && memcmp(head, "#!", 2) == 0;
	close(fd);
	return script;
}

static void allow_execution(struct sandbox *sandbox, const char *path)
{
	static const char *const programs[] = {"/usr", "/bin", "/sbin", "/lib", "/lib64"};

	sandbox->programs = true;
	sandbox_allow(sandbox, path, SANDBOX_EXECUTE);
	sandbox_allow_matches(sandbox, "/lib*/ld-*.so*", SANDBOX_EXECUTE);
	sandbox_allow_matches(sandbox, "/lib/*/ld-*.so*", SANDBOX_EXECUTE);
	if (!is_script(path))
		return;
	/* Its interpreter, and what it is there to start. */
	for (size_t i = 0; i < sizeof programs / sizeof programs[0]; i++)
		sandbox_allow(sandbox, programs[i], SANDBOX_EXECUTE);
}

/* "/srv/a.mp4", "--tuning-file=/srv/a.json", "file:/srv/a.mp4": what stands in the configuration is
 * meant to be read. Not the root: that would be every file. */
static void allow_argument(struct sandbox *sandbox, const char *argument)
{
	const char *path = argument[0] == '/' ? argument : strpbrk(argument, "=:");

	if (path && path != argument)
		path++;
	if (path && path[0] == '/' && path[strspn(path, "/.")] != '\0')
		sandbox_allow(sandbox, path, SANDBOX_READ);
}

void confine_program(const char *path, char *const *argv)
{
	char state[SANDBOX_STATE_MAX];
	struct sandbox sandbox = {0};

	sandbox_allow_base(&sandbox);
	allow_environment(&sandbox);
	allow_devices(&sandbox);
	allow_libcamera(&sandbox, NULL);
	for (size_t i = 1; argv[i]; i++)
		allow_argument(&sandbox, argv[i]);
	allow_execution(&sandbox, path);
	if (!sandbox_enter(&sandbox, state))
		diag_warn("a part of the sandbox of %s is missing: %s", argv[0], state);
}
