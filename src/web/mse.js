// Plays fragmented MP4 through Media Source Extensions, at the live edge.
//
// The playhead is kept where edge.js says. Deviations are corrected by the playback rate, which nobody
// sees; only a gap in the stream, or more than half a second of delay, makes a jump. The declared
// duration of a picture is longer than its real one, so that playback goes on when the next picture is
// late, or was left out.

import { addVideo, playVideo, removeVideo } from './dom.js';
import { Edge } from './edge.js';
import { isInit, join, readInit, readFragment } from './mp4.js';

const KEEP_S = 8; // of played pictures
const JUMP_S = 0.5;
const JUMP_START_S = 0.15; // in the first second
const JUMP_MS = 2000; // until a jump is thought to have failed

export function mseClass() {
	return window.MediaSource || window.ManagedMediaSource;
}

// open: a function of pieces.js. on: the events of player.js.
export class Mse {
	#on;
	element; // video
	#source;
	#buffer = null; // SourceBuffer
	#queue = []; // bytes to append, and functions to call in between
	#url;
	#close;
	#timescale = 0;
	#base = null; // subtracted from the times of the stream, in s
	#newest = 0; // when the newest picture begins, in s of the video
	#edge = new Edge();
	#started = 0;
	#jumped = 0; // when the last jump began
	#stopped = false;

	constructor(box, path, on, open) {
		const Source = mseClass();

		this.#on = on;
		this.#source = new Source();
		this.#source.addEventListener('sourceopen', () => {
			if (!this.#stopped)
				this.#close = open(path, {
					piece: (buffer) => this.#piece(buffer),
					end: on.fail,
				});
		}, { once: true });
		this.#url = URL.createObjectURL(this.#source);
		this.element = addVideo(box, {
			src: this.#url,
			onerror: () => on.fail(this.element.error?.message || 'video'),
		});
		this.#watch();
	}

	// Pieces that have come, and are not appended yet.
	get waiting() {
		return this.#queue.length;
	}

	stop() {
		this.#stopped = true;
		this.#close?.();
		removeVideo(this.element);
		URL.revokeObjectURL(this.#url);
	}

	#piece(buffer) {
		this.#on.bytes(buffer.byteLength);
		if (isInit(buffer))
			this.#init(buffer);
		else if (this.#buffer)
			this.#fragment(buffer);
		this.#append();
	}

	#init(buffer) {
		const init = readInit(buffer);
		const type = `video/mp4; codecs="${init.codec}"`;

		if (!mseClass().isTypeSupported(type)) {
			this.#on.fail(init.codec, true);
			return;
		}
		this.#timescale = init.timescale;
		if (!this.#buffer) {
			this.#buffer = this.#source.addSourceBuffer(type);
			this.#buffer.onupdateend = () => {
				try {
					this.#appended();
				} catch (error) { // no room, say
					this.#on.fail(error.message);
				}
			};
		} else {
			this.#queue.push(() => this.#buffer.changeType?.(type));
		}
		this.#queue.push(new Uint8Array(buffer));
	}

	#fragment(buffer) {
		const fragment = readFragment(buffer);
		const time = fragment.time / this.#timescale;

		if (this.#base === null) {
			const base = Math.floor(time);

			this.#base = base;
			this.#queue.push(() => { this.#buffer.timestampOffset = -base; });
		}
		const step = this.#on.received(time);

		if (fragment.durationAt)
			new DataView(buffer).setUint32(fragment.durationAt, Math.max(fragment.duration,
				Math.round(3 * step * this.#timescale)));
		this.#newest = time - this.#base;
		this.#queue.push(new Uint8Array(buffer));
	}

	// One append at a time: pieces that wait for it are joined.
	#append() {
		const buffer = this.#buffer;
		const joined = [];

		if (!buffer || buffer.updating || this.#source.readyState !== 'open')
			return;
		while (typeof this.#queue[0] === 'function')
			this.#queue.shift()();
		while (this.#queue.length > 0 && typeof this.#queue[0] !== 'function')
			joined.push(this.#queue.shift());
		if (joined.length > 0)
			buffer.appendBuffer(joined[1] ? join(joined) : joined[0]);
	}

	#appended() {
		const { buffered } = this.#buffer;
		const before = this.element.currentTime - KEEP_S;

		this.#follow(buffered);
		if (this.#queue.length > 0)
			this.#append();
		else if (buffered.length > 0 && before > buffered.start(0) + KEEP_S)
			this.#buffer.remove(0, before);
	}

	// Corrects the playhead after an append.
	#follow(ranges) {
		const video = this.element;
		const last = ranges.length - 1;

		/* On a busy machine a jump takes long: another one before its end would begin the decoding
		 * at the key picture again, so that nothing was ever shown. One that does not end at all
		 * leads to where there is no picture any more. While the newest picture is not appended, a
		 * jump would lead in front of it, where nothing is. */
		if (last < 0 || !this.#newest || this.#newest >= ranges.end(last) ||
			(video.seeking && performance.now() - this.#jumped < JUMP_MS))
			return;
		const start = ranges.start(last);
		const now = performance.now();

		if (!this.#started) {
			this.#started = now;
			playVideo(video, this.#on.gesture);
		}
		this.#edge.note(this.#newest, now / 1000);
		const behind = this.#edge.behind(video.currentTime, now / 1000);

		if (video.currentTime < start ||
		    behind > (now - this.#started < 1000 ? JUMP_START_S : JUMP_S)) {
			/* A browser rounds times, and would wait for ever before the first picture. */
			video.currentTime = Math.max(start + 1e-3, this.#edge.jump(this.#newest));
			video.playbackRate = 1;
			this.#jumped = now;
			return;
		}
		const rate = this.#edge.rate(behind, video.playbackRate);

		if (rate !== video.playbackRate)
			video.playbackRate = rate;
	}

	#watch() {
		const video = this.element;

		if (!video.requestVideoFrameCallback) {
			video.ontimeupdate = () =>
				this.#on.shown(null, video.getVideoPlaybackQuality?.().totalVideoFrames);
			return;
		}
		const callback = (now, data) => {
			if (this.#stopped)
				return;
			this.#on.shown(this.#base === null ? null : this.#base + data.mediaTime,
				data.presentedFrames, data.expectedDisplayTime);
			video.requestVideoFrameCallback(callback);
		};

		video.requestVideoFrameCallback(callback);
	}
}
