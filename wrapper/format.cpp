/* SPDX-License-Identifier: BSD-2-Clause */
/* The format of a camera's pictures, and the buffers that it fills. */
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <libcamera/libcamera.h>
#if __has_include(<libcamera/orientation.h>)
#include <libcamera/orientation.h>
#define HAVE_ORIENTATION 1
#else
#define HAVE_ORIENTATION 0
#endif

#include "wrapper/device.h"

using namespace libcamera;
using wrapper::fail;
using wrapper::guarded;
using wrapper::signals_blocked;

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
