/* SPDX-License-Identifier: BSD-2-Clause */
/* Cameras: the list of them, opening, controls, and the pictures while they run. */
#include "wrapper/camera.h"

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <glob.h>
#include <strings.h>
#include <unistd.h>

#include <libcamera/libcamera.h>

#include "wrapper/controls.h"
#include "wrapper/device.h"

using namespace libcamera;
using wrapper::fail;
using wrapper::guarded;
using wrapper::signals_blocked;

namespace
{

thread_local std::string last_error;

std::string model_of(const Camera &camera)
{
	auto model = camera.properties().get(properties::Model);

	return model ? std::string(*model) : std::string();
}

bool contains(const std::string &text, const char *part)
{
	return strcasestr(text.c_str(), part) != nullptr;
}

/* The first device node of a camera that this process may not open, or "". libcamera silently skips
 * such devices. */
std::string forbidden_device()
{
	std::string found;
	glob_t nodes = {};

	if (!glob("/dev/media*", 0, nullptr, &nodes)) {
		glob("/dev/video*", GLOB_APPEND, nullptr, &nodes);
		for (size_t i = 0; i < nodes.gl_pathc && found.empty(); i++)
			if (access(nodes.gl_pathv[i], R_OK | W_OK) &&
			    (errno == EACCES || errno == EPERM))
				found = nodes.gl_pathv[i];
	}
	globfree(&nodes);
	return found;
}

} // namespace

int wrapper::fail(int error, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	last_error = text;
	return error;
}

const char *camera_error(void)
{
	return last_error.c_str();
}

int camera_manager_open(struct camera_manager **out)
{
	/* By default libcamera logs a lot, and in colours. */
	setenv("LIBCAMERA_LOG_LEVELS", "*:WARN", 0);
	setenv("LIBCAMERA_LOG_NO_COLOR", "1", 0);
	return guarded([&] {
		signals_blocked blocked;
		auto manager = std::make_unique<camera_manager>();
		int rc = manager->manager.start();

		if (rc)
			return fail(rc, "libcamera cannot start: %s", strerror(-rc));
		*out = manager.release();
		return 0;
	});
}

void camera_manager_close(struct camera_manager *manager)
{
	guarded([&] {
		if (manager)
			manager->manager.stop();
		delete manager;
		return 0;
	});
}

/* --- --list-cameras --- */

static void print_formats(Camera &camera, FILE *out)
{
	auto config = camera.generateConfiguration({StreamRole::VideoRecording});

	if (!config || config->empty()) {
		fprintf(out, "  formats: none for video\n");
		return;
	}
	const StreamFormats &formats = config->at(0).formats();
	for (const PixelFormat &format : formats.pixelformats()) {
		const SizeRange range = formats.range(format);

		fprintf(out, "  %s:", format.toString().c_str());
		if (range.hStep && range.min != range.max)
			fprintf(out, " %s to %s in steps of %ux%u;", range.min.toString().c_str(),
				range.max.toString().c_str(), range.hStep, range.vStep);
		for (const Size &size : formats.sizes(format))
			fprintf(out, " %s", size.toString().c_str());
		fputc('\n', out);
	}
}

int camera_manager_print(struct camera_manager *manager, FILE *out)
{
	return guarded([&] {
		int n = 0;

		for (auto const &camera : manager->manager.cameras()) {
			fprintf(out, "%d: %s\n  model: %s\n", n++, camera->id().c_str(),
				model_of(*camera).c_str());
			print_formats(*camera, out);
			controls_print(camera->controls(), out);
		}
		if (!n) {
			std::string node = forbidden_device();

			if (!node.empty())
				return fail(-EACCES, "no permission to open %s", node.c_str());
			fprintf(out, "libcamera finds no camera\n");
		}
		return n;
	});
}

/* --- opening --- */

static int open_device(struct camera *camera, struct camera_manager *manager, const char *id)
{
	std::string others;

	for (auto const &device : manager->manager.cameras()) {
		if (!*id || device->id() == id) {
			camera->device = device;
			break;
		}
		if (!camera->device &&
		    (contains(device->id(), id) || contains(model_of(*device), id)))
			camera->device = device; /* unless an exact match follows */
		others += (others.empty() ? "" : ", ") + device->id();
	}
	if (!camera->device) {
		std::string node = forbidden_device();

		if (!node.empty())
			return fail(-EACCES,
				    "no permission to open %s: run as a member of its group "
				    "(usually `video`), install the udev rule, or add it to "
				    "DeviceAllow= of the service",
				    node.c_str());
		if (others.empty())
			return fail(-ENODEV, "libcamera finds no camera");
		return fail(-ENODEV, "no camera's id or model contains \"%s\"; there are: %s", id,
			    others.c_str());
	}
	camera->id = camera->device->id();
	camera->model = model_of(*camera->device);

	int rc = camera->device->acquire();
	if (rc == -EBUSY)
		return fail(rc,
			    "camera %s is in use by another program; `fuser -v /dev/media* "
			    "/dev/video*` tells which",
			    camera->id.c_str());
	if (rc)
		return fail(rc, "camera %s cannot be opened: %s", camera->id.c_str(),
			    strerror(-rc));
	camera->acquired = true;
	camera->device->requestCompleted.connect(camera, &camera::handle_completed);
	camera->device->disconnected.connect(camera, &camera::handle_disconnected);
	return 0;
}

int camera_open(struct camera **out, struct camera_manager *manager, const char *id)
{
	return guarded([&] {
		signals_blocked blocked;
		auto opened = std::make_unique<camera>();
		int rc = open_device(opened.get(), manager, id);

		if (!rc)
			*out = opened.release();
		return rc;
	});
}

void camera_close(struct camera *camera)
{
	if (!camera)
		return;
	camera_stop(camera);
	guarded([&] {
		if (camera->drop_buffers())
			return 0;
		if (camera->acquired) {
			camera->device->requestCompleted.disconnect(camera);
			camera->device->disconnected.disconnect(camera);
			camera->device->release();
		}
		delete camera;
		return 0;
	});
}

const char *camera_id(const struct camera *camera)
{
	return camera->id.c_str();
}

const char *camera_model(const struct camera *camera)
{
	return camera->model.c_str();
}

/* --- controls --- */

int camera_set_control(struct camera *camera, const char *name, const char *value)
{
	return guarded([&] {
		const ControlInfoMap &infos = camera->device->controls();
		ControlValue parsed;
		std::string why;
		auto it = std::find_if(infos.begin(), infos.end(), [&](auto const &entry) {
			return entry.first->name() == name;
		});

		if (it == infos.end())
			return fail(-ENOENT, "camera %s has no control %s", camera->id.c_str(),
				    name);
		int rc = control_parse(*it->first, it->second, value, parsed, why);
		if (rc)
			return fail(rc, "control %s: %s", name, why.c_str());

		std::lock_guard<std::mutex> hold(camera->lock);
		camera->pending[it->first->id()] = parsed;
		return 0;
	});
}

bool camera_has_control(const struct camera *camera, const char *name)
{
	for (auto const &entry : camera->device->controls())
		if (entry.first->name() == name)
			return true;
	return false;
}

void camera_control_names(const struct camera *camera, char *out, size_t size)
{
	guarded([&] {
		std::vector<std::string> names;
		size_t len = 0;

		for (auto const &entry : camera->device->controls())
			names.push_back(entry.first->name());
		std::sort(names.begin(), names.end());
		*out = '\0';
		for (auto const &name : names)
			if (len + name.size() + 2 <= size)
				len += (size_t)snprintf(out + len, size - len, "%s%s",
							len ? " " : "", name.c_str());
		return 0;
	});
}

int camera_crop_area(const struct camera *camera, int32_t area[4])
{
	return guarded([&] {
		Rectangle crop;
		const ControlInfoMap &infos = camera->device->controls();
		auto info = infos.find(&controls::ScalerCrop);

		/* The control's maximum follows the mode in use; the property is the older place.
		 */
		if (info != infos.end() && info->second.max().type() == ControlTypeRectangle)
			crop = info->second.max().get<Rectangle>();
		if (crop.isNull())
			crop = camera->device->properties()
				       .get(properties::ScalerCropMaximum)
				       .value_or(Rectangle());
		if (crop.isNull())
			return fail(-ENOENT, "camera %s does not report the area of its sensor",
				    camera->id.c_str());
		area[0] = crop.x;
		area[1] = crop.y;
		area[2] = (int32_t)crop.width;
		area[3] = (int32_t)crop.height;
		return 0;
	});
}

/* --- running --- */

/* With the lock held. */
int camera::queue(unsigned index)
{
	Request *request = requests.at(index).get();

	for (auto const &[control, value] : pending)
		request->controls().set(control, value);
	int rc = device->queueRequest(request);
	if (!rc)
		pending.clear();
	return rc;
}

int camera_start(struct camera *camera, const struct camera_events *events)
{
	return guarded([&] {
		signals_blocked blocked;
		ControlList controls(camera->device->controls());

		camera->events = *events;
		camera->stopping = false;
		{
			std::lock_guard<std::mutex> hold(camera->lock);

			for (auto const &[control, value] : camera->pending)
				controls.set(control, value);
			camera->pending.clear();
		}
		int rc = camera->device->start(&controls);
		if (rc)
			return fail(rc, "camera %s does not start: %s", camera->id.c_str(),
				    strerror(-rc));
		camera->started = true;

		std::unique_lock<std::mutex> hold(camera->lock);
		camera->running = true;
		for (unsigned i = 0; i < camera->requests.size() && !rc; i++) {
			camera->requests[i]->reuse(Request::ReuseBuffers);
			rc = camera->queue(i);
		}
		hold.unlock();
		if (rc) {
			camera_stop(camera);
			return fail(rc, "camera %s refuses buffers: %s", camera->id.c_str(),
				    strerror(-rc));
		}
		return 0;
	});
}

int camera_requeue(struct camera *camera, unsigned index)
{
	return guarded([&] {
		std::lock_guard<std::mutex> hold(camera->lock);

		if (!camera->running)
			return -ESHUTDOWN;
		camera->requests.at(index)->reuse(Request::ReuseBuffers);
		return camera->queue(index);
	});
}

void camera_stop(struct camera *camera)
{
	guarded([&] {
		if (!camera->started)
			return 0;
		camera->stopping = true;
		{
			std::lock_guard<std::mutex> hold(camera->lock);

			camera->running = false;
		}
		camera->device->stop();
		camera->started = false;
		return 0;
	});
}

void camera::handle_completed(Request *request)
{
	guarded([&] {
		struct camera_frame frame = {};

		if (stopping)
			return 0;
		frame.index = (unsigned)request->cookie();

		const FrameMetadata &meta = buffers.at(frame.index)->metadata();
		auto const &metadata = request->metadata();
		const int64_t sensor_ns = metadata.get(controls::SensorTimestamp).value_or(0);

		/* Statuses were added over time: what is neither success nor cancelled is not a
		 * picture. */
		frame.status = request->status() == Request::RequestCancelled ||
					       meta.status == FrameMetadata::FrameCancelled
				       ? CAMERA_FRAME_CANCELLED
			       : meta.status == FrameMetadata::FrameSuccess ? CAMERA_FRAME_OK
									    : CAMERA_FRAME_ERROR;
		frame.sequence = meta.sequence;
		frame.sensor_us = (sensor_ns ? sensor_ns : (int64_t)meta.timestamp) / 1000;
		for (auto const &plane : meta.planes())
			frame.bytes_used += plane.bytesused;
		events.frame(events.user, &frame);
		return 0;
	});
}

void camera::handle_disconnected()
{
	gone = true;
	if (events.gone && !stopping)
		events.gone(events.user);
}
