/* SPDX-License-Identifier: BSD-2-Clause */
#include "wrapper/camera.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdarg>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <vector>

#include <glob.h>
#include <strings.h>
#include <unistd.h>

#include <libcamera/libcamera.h>
#if __has_include(<libcamera/orientation.h>)
#include <libcamera/orientation.h>
#define HAVE_ORIENTATION 1
#else
#define HAVE_ORIENTATION 0
#endif

#include "wrapper/controls.h"

using namespace libcamera;

namespace
{

thread_local std::string last_error;

int fail(int error, const char *format, ...) __attribute__((format(printf, 2, 3)));

int fail(int error, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	last_error = text;
	return error;
}

/* Runs code that may throw, and converts exceptions into an errno. */
template <typename F> int guarded(F &&function) noexcept
{
	try {
		return function();
	} catch (const std::bad_alloc &) {
		return -ENOMEM;
	} catch (const std::exception &e) {
		try {
			last_error = e.what();
		} catch (...) {
		}
		return -EIO;
	} catch (...) {
		return -EIO;
	}
}

/* libcamera and its IPA modules start threads, which must not receive our signals. */
class signals_blocked
{
      public:
	signals_blocked()
	{
		sigset_t all;

		sigfillset(&all);
		pthread_sigmask(SIG_SETMASK, &all, &before_);
	}
	~signals_blocked()
	{
		pthread_sigmask(SIG_SETMASK, &before_, nullptr);
	}
	signals_blocked(const signals_blocked &) = delete;
	signals_blocked &operator=(const signals_blocked &) = delete;

      private:
	sigset_t before_;
};

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

struct camera_manager {
	CameraManager manager;
};

struct camera {
	std::shared_ptr<Camera> device;
	std::string id, model;
	std::unique_ptr<CameraConfiguration> config;
	std::unique_ptr<FrameBufferAllocator> allocator;
	std::vector<std::unique_ptr<FrameBuffer>> imported;
	std::vector<FrameBuffer *> buffers;
	std::vector<std::unique_ptr<Request>> requests; /* request i always holds buffer i */
	struct camera_events events = {};
	bool acquired = false, started = false;
	std::atomic<bool> stopping{false}; /* requests are cancelled by the stop */
	std::atomic<bool> gone{false};	   /* unplugged */

	/* Guards the fields below; held around queueRequest(), never while a callback runs. */
	std::mutex lock;
	bool running = false;
	std::map<unsigned int, ControlValue> pending; /* for the start or the next request */

	Stream *stream() const
	{
		return config->at(0).stream();
	}
	int queue(unsigned index);
	int drop_buffers();
	int make_requests();
	void handle_completed(Request *request);
	void handle_disconnected();
};

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

/* --- format and buffers --- */

static bool pick_format(StreamConfiguration &stream, const struct camera_request *request)
{
	const std::vector<PixelFormat> offered = stream.formats().pixelformats();

	for (unsigned i = 0; i < request->n_fourccs; i++)
		for (const PixelFormat &format : offered)
			/* a modifier is a tiling or a compression that no CPU reads */
			if (format.fourcc() == request->fourccs[i] && !format.modifier()) {
				stream.pixelFormat = format;
				return true;
			}
	return false;
}

static bool wanted(const struct camera_request *request, uint32_t fourcc)
{
	return std::find(request->fourccs, request->fourccs + request->n_fourccs, fourcc) !=
	       request->fourccs + request->n_fourccs;
}

/* Requests the flips; validate() may remove them. */
static void set_flips(CameraConfiguration &config, bool hflip, bool vflip)
{
#if HAVE_ORIENTATION
	config.orientation = hflip && vflip ? Orientation::Rotate180
			     : hflip	    ? Orientation::Rotate0Mirror
			     : vflip	    ? Orientation::Rotate180Mirror
					    : Orientation::Rotate0;
#else
	config.transform = (hflip ? Transform::HFlip : Transform::Identity) |
			   (vflip ? Transform::VFlip : Transform::Identity);
#endif
}

static int colour_of(const std::optional<ColorSpace> &space)
{
	if (!space)
		return 0;
	if (space->ycbcrEncoding == ColorSpace::YcbcrEncoding::Rec709)
		return 2;
	if (space->ycbcrEncoding == ColorSpace::YcbcrEncoding::Rec2020)
		return 4;
	if (space->ycbcrEncoding != ColorSpace::YcbcrEncoding::Rec601)
		return 0;
	return space->range == ColorSpace::Range::Full ? 3 : 1;
}

static int configure(struct camera *camera, const struct camera_request *request,
		     struct camera_format *got)
{
	int rc = camera->drop_buffers();
	if (rc)
		return rc;
	camera->config = camera->device->generateConfiguration({StreamRole::VideoRecording});
	if (!camera->config || camera->config->empty())
		return fail(-ENOTSUP, "camera %s offers no video", camera->id.c_str());

	StreamConfiguration &stream = camera->config->at(0);
	if (!pick_format(stream, request)) {
		std::string offered;

		for (const PixelFormat &format : stream.formats().pixelformats())
			offered += " " + format.toString();
		return fail(-ENOTSUP,
			    "camera %s offers no pixel format that camcast supports, only%s",
			    camera->id.c_str(), offered.c_str());
	}
	stream.size = Size(request->width, request->height);
	stream.bufferCount = request->buffers;
	set_flips(*camera->config, request->hflip, request->vflip);
#if HAVE_ORIENTATION
	const auto asked = camera->config->orientation;
#else
	const auto asked = camera->config->transform;
#endif
	if (camera->config->validate() == CameraConfiguration::Invalid ||
	    !wanted(request, stream.pixelFormat.fourcc()))
		return fail(-EINVAL, "camera %s has no configuration near %ux%u",
			    camera->id.c_str(), request->width, request->height);
#if HAVE_ORIENTATION
	got->cannot_flip = camera->config->orientation != asked;
#else
	got->cannot_flip = camera->config->transform != asked;
#endif
	rc = camera->device->configure(camera->config.get());
	if (rc)
		return fail(rc, "camera %s refuses %s: %s", camera->id.c_str(),
			    stream.toString().c_str(), strerror(-rc));
	got->width = stream.size.width;
	got->height = stream.size.height;
	got->stride = stream.stride;
	got->size = stream.frameSize;
	got->fourcc = stream.pixelFormat.fourcc();
	got->buffers = stream.bufferCount;
	got->colour = colour_of(stream.colorSpace);
	got->full_range = stream.colorSpace && stream.colorSpace->range == ColorSpace::Range::Full;
	return 0;
}

int camera_configure(struct camera *camera, const struct camera_request *request,
		     struct camera_format *got)
{
	return guarded([&] {
		signals_blocked blocked;

		return configure(camera, request, got);
	});
}

/* libcamera does not stop a camera that was unplugged: its thread may still handle a queued
 * request. Therefore the memory of such a camera is never freed. Returns -ENODEV for it. */
int camera::drop_buffers()
{
	if (gone)
		return fail(-ENODEV, "camera %s was unplugged", id.c_str());
	requests.clear();
	buffers.clear();
	imported.clear();
	allocator.reset();
	return 0;
}

int camera::make_requests()
{
	for (size_t i = 0; i < buffers.size(); i++) {
		std::unique_ptr<Request> request = device->createRequest(i);
		int rc = request ? request->addBuffer(stream(), buffers[i]) : -ENOMEM;

		if (rc) {
			requests.clear();
			return fail(rc, "camera %s refuses requests: %s", id.c_str(),
				    strerror(-rc));
		}
		requests.push_back(std::move(request));
	}
	return 0;
}

/* The colour planes are consecutive in one dmabuf. The last one extends to the end of the buffer,
 * because V4L2 refuses a dmabuf that is shorter than its sizeimage. */
static std::vector<FrameBuffer::Plane> planes_of(const StreamConfiguration &stream, int fd)
{
	std::vector<unsigned int> lengths;
	const unsigned int luma = stream.stride * stream.size.height;

	switch (stream.pixelFormat.fourcc()) {
	case 0x3231564e: /* NV12 */
		lengths = {luma, 0};
		break;
	case 0x32315559: /* YUV420 */
		lengths = {luma, luma / 4, 0};
		break;
	default: /* packed, coded */
		lengths = {0};
		break;
	}

	std::vector<FrameBuffer::Plane> planes;
	const SharedFD shared(fd); /* a duplicate */
	unsigned int offset = 0;
	for (unsigned int length : lengths) {
		FrameBuffer::Plane plane;

		plane.fd = shared;
		plane.offset = offset;
		plane.length = length ? length : stream.frameSize - offset;
		offset += plane.length;
		planes.push_back(plane);
	}
	return planes;
}

int camera_import(struct camera *camera, const int *fds, unsigned n)
{
	return guarded([&] {
		int rc = camera->drop_buffers();

		if (rc)
			return rc;
		for (unsigned i = 0; i < n; i++) {
			camera->imported.push_back(std::make_unique<FrameBuffer>(
				planes_of(camera->config->at(0), fds[i])));
			camera->buffers.push_back(camera->imported.back().get());
		}
		return camera->make_requests();
	});
}

int camera_allocate(struct camera *camera, unsigned *n)
{
	return guarded([&] {
		int rc = camera->drop_buffers();
		if (rc)
			return rc;
		camera->allocator = std::make_unique<FrameBufferAllocator>(camera->device);
		rc = camera->allocator->allocate(camera->stream());
		if (rc < 0)
			return fail(rc, "libcamera cannot allocate buffers for camera %s: %s",
				    camera->id.c_str(), strerror(-rc));
		for (auto const &buffer : camera->allocator->buffers(camera->stream()))
			camera->buffers.push_back(buffer.get());
		*n = (unsigned)camera->buffers.size();
		return camera->make_requests();
	});
}

int camera_buffer(struct camera *camera, unsigned index, struct camera_plane planes[3],
		  unsigned *n_planes)
{
	return guarded([&] {
		unsigned n = 0;

		for (auto const &plane : camera->buffers.at(index)->planes()) {
			if (n == 3)
				return fail(-EINVAL, "a picture of more than three planes");
			planes[n++] = {plane.fd.get(), plane.offset, plane.length};
		}
		*n_planes = n;
		return 0;
	});
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
