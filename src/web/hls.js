// HLS by the browser itself: iPhones before iOS 17.1 have nothing better.

import { addVideo, playVideo, removeVideo } from './dom.js';

export class NativeHls {
	constructor(box, path, on) {
		let fits = false; // Chromium says "not supported" of what it has just played, too
		const video = addVideo(box, {
			src: location.origin + path,
			onloadedmetadata: () => { fits = true; },
			onerror: () => on.fail(video.error?.message || 'video',
				!fits && video.error?.code === MediaError.MEDIA_ERR_SRC_NOT_SUPPORTED),
			onended: () => on.fail('closed'),
			onprogress: () => on.bytes(0),
			ontimeupdate: () => {
				on.bytes(0);
				on.shown(null, video.getVideoPlaybackQuality?.().totalVideoFrames);
			},
		});

		this.element = video;
		playVideo(video, on.gesture);
	}

	stop() {
		removeVideo(this.element);
	}
}
