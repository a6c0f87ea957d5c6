// Plays fragmented MP4 through Media Source Extensions, at the live edge.
//
// The playhead is kept `target` seconds behind the newest picture when that arrives. Deviations are
// corrected by the playback rate, which nobody sees; only a gap in the stream, or more than half a
// second of delay, makes a jump. The declared duration of a picture is longer than its real one, so
// that playback goes on when the next picture is late, or was left out.

import { addVideo, playVideo, removeVideo } from './dom.js';
import { isInit, join, readInit, readFragment } from './mp4.js';

const KEEP_S = 8; // of played pictures
const JUMP_S = 0.5;
const JUMP_MS = 2000; // until a jump is thought to have failed
const TARGET_MIN_S = 0.01, TARGET_MAX_S = 0.1;
const LEADS = 30;
const STALL_MS = 10; // a shorter one is not seen
const CALM_MS = 3000; // without a stall, before less delay is tried

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
	#target = TARGET_MIN_S;
	#leads = []; // of the newest pictures: how far they were ahead of the playhead
	#started = 0;
	#jumped = 0; // when the last jump began
	#stopped = false;
	#calm = 0; // since when there was no stall, or less delay

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
			onwaiting: () => this.#stalled(),
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
		const lead = this.#newest - video.currentTime;

		if (!this.#started) {
			this.#started = this.#calm = performance.now();
			playVideo(video, this.#on.gesture);
		}
		const max = performance.now() - this.#started < 1000 ? .15 : JUMP_S;

		if (video.currentTime < start || lead > this.#target + max) {
			/* A browser rounds times, and would wait for ever before the first picture. */
			video.currentTime = Math.max(start + 1e-3, this.#newest - this.#target);
			video.playbackRate = 1;
			this.#jumped = performance.now();
			this.#leads = [];
			return;
		}
		if (this.#leads.push(lead) > LEADS)
			this.#leads.shift();
		this.#steer();
	}

	// One picture in ten may come too late for the playhead, so that a few late ones, such as key
	// pictures, do not delay all others.
	#steer() {
		const video = this.element;
		const low = [...this.#leads].sort((a, b) => a - b)[this.#leads.length / 10 | 0];
		const over = low - this.#target;
		let rate = video.playbackRate;

		if (over > 0.1)
			rate = 1.15;
		else if (over > 0.02)
			rate = 1.05;
		else if (over < -0.03)
			rate = 0.95;
		else if ((rate - 1) * over <= 0)
			rate = 1;
		if (rate !== video.playbackRate)
			video.playbackRate = rate;
		if (performance.now() - this.#calm > CALM_MS) {
			this.#calm = performance.now();
			this.#target = Math.max(TARGET_MIN_S, this.#target - 0.01);
		}
	}

	// The next picture comes too late: from now on there is as much more delay as was missing.
	#stalled() {
		const began = performance.now();

		this.element.onplaying = () => {
			const now = performance.now();

			this.element.onplaying = null;
			if (now - began < STALL_MS || now - this.#started < 2000)
				return;
			this.#calm = now;
			this.#target = Math.min(TARGET_MAX_S, this.#target + Math.min(0.03, (now - began) / 1000));
		};
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
