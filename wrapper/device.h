/* SPDX-License-Identifier: BSD-2-Clause */
/* Cameras and errors, which the files of the wrapper share. */
#ifndef WRAPPER_DEVICE_H
#define WRAPPER_DEVICE_H

#include <atomic>
#include <cerrno>
#include <csignal>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <vector>

#include <libcamera/libcamera.h>

#include "wrapper/camera.h"

namespace wrapper
{

/* Keeps the text for camera_error() in this thread. Returns error. */
int fail(int error, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Runs code that may throw, and converts exceptions into an errno. */
template <typename F> int guarded(F &&function) noexcept
{
	try {
		return function();
	} catch (const std::bad_alloc &) {
		return -ENOMEM;
	} catch (const std::exception &e) {
		try {
			return fail(-EIO, "%s", e.what());
		} catch (...) {
			return -EIO;
		}
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

} // namespace wrapper

struct camera_manager {
	libcamera::CameraManager manager;
};

struct camera {
	std::shared_ptr<libcamera::Camera> device;
	std::string id, model;
	std::unique_ptr<libcamera::CameraConfiguration> config;
	std::unique_ptr<libcamera::FrameBufferAllocator> allocator;
	std::vector<std::unique_ptr<libcamera::FrameBuffer>> imported;
	std::vector<libcamera::FrameBuffer *> buffers;
	/* Request i always holds buffer i. */
	std::vector<std::unique_ptr<libcamera::Request>> requests;
	struct camera_events events = {};
	bool acquired = false, started = false;
	std::atomic<bool> stopping{false}; /* requests are cancelled by the stop */
	std::atomic<bool> gone{false};	   /* unplugged */

	/* Guards the fields below; held around queueRequest(), never while a callback runs. */
	std::mutex lock;
	bool running = false;
	/* For the start or the next request. */
	std::map<unsigned int, libcamera::ControlValue> pending;

	libcamera::Stream *stream() const
	{
		return config->at(0).stream();
	}
	int queue(unsigned index);
	int drop_buffers();
	int make_requests();
	void handle_completed(libcamera::Request *request);
	void handle_disconnected();
};

#endif
