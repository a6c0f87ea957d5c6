// HLS by the browser itself: iPhones before iOS 17.1 have nothing better.

export class NativeHls {
	element = document.createElement('video');
	#stopped = false;

	constructor(box, path, on) {
		const video = this.element;

		video.muted = true;
		video.playsInline = true;
		video.autoplay = true;
		video.src = location.origin + path;
		video.onerror = () => on.fail(video.error?.message || 'video',
			video.error?.code === MediaError.MEDIA_ERR_SRC_NOT_SUPPORTED);
		video.onended = () => on.fail('closed', false);
		video.onprogress = () => on.bytes(0);
		video.ontimeupdate = () => {
			on.bytes(0);
			on.shown(null, video.getVideoPlaybackQuality?.().totalVideoFrames);
		};
		box.append(video);
		video.play().catch((error) => {
			if (error.name === 'NotAllowedError' && !this.#stopped)
				on.gesture(() => video.play());
		});
	}

	stop() {
		const video = this.element;

		this.#stopped = true;
		video.onerror = video.onended = video.onprogress = video.ontimeupdate = null;
		video.removeAttribute('src');
		video.load();
		video.remove();
	}
}
