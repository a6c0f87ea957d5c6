// Plays fragmented MP4 through Media Source Extensions, at the live edge.
//
// The playhead is kept `target` seconds behind the newest picture when that arrives. Deviations are
// corrected by the playback rate, which nobody sees; only a gap in the stream, or more than half a
// second of delay, makes a jump. The declared duration of a picture is longer than its real one, so
// that playback goes on when the next picture is late, or was left out.

import { isInit, readInit, readFragment } from './mp4.js';

const KEEP_S = 8; // of played pictures
const JUMP_S = 0.5;
const JUMP_MAX_MS = 2000; // until a jump is thought to have failed
const TARGET_MIN_S = 0.01, TARGET_MAX_S = 0.3;

export function mseClass() {
	return window.MediaSource || window.ManagedMediaSource;
}

// open: a function of pieces.js. on: the events of player.js.
export class Mse {
	#on;
	#video;
	#source;
	#buffer = null; // SourceBuffer
	#codec = '';
	#queue = []; // ArrayBuffers to append
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
	#quiet = 0; // since when there was no stall

	constructor(box, path, open, on) {
		const Source = mseClass();

		this.#on = on;
		this.#video = document.createElement('video');
		this.#video.muted = true;
		this.#video.playsInline = true;
		this.#video.disableRemotePlayback = true;
		this.#source = new Source();
		this.#source.addEventListener('sourceopen', () => {
			if (!this.#stopped)
				this.#close = open(path, {
					piece: (buffer) => this.#guard(() => this.#piece(buffer)),
					end: (reason) => this.#fail(reason),
				});
		}, { once: true });
		this.#video.onerror = () => this.#fail(this.#video.error?.message || 'video');
		this.#video.onwaiting = () => this.#stalled();
		this.#url = URL.createObjectURL(this.#source);
		this.#video.src = this.#url;
		box.append(this.#video);
		this.#watch();
	}

	get element() {
		return this.#video;
	}

	stop() {
		this.#stopped = true;
		this.#close?.();
		this.#video.onerror = this.#video.onwaiting = null;
		this.#video.removeAttribute('src');
		this.#video.load();
		this.#video.remove();
		URL.revokeObjectURL(this.#url);
	}

	#fail(reason, unfit = false) {
		if (!this.#stopped)
			this.#on.fail(reason, unfit);
	}

	#guard(action) {
		if (this.#stopped)
			return;
		try {
			action();
		} catch (error) {
			this.#fail(error.message);
		}
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
			this.#fail(init.codec, true);
			return;
		}
		this.#timescale = init.timescale;
		if (!this.#buffer) {
			this.#buffer = this.#source.addSourceBuffer(type);
			this.#buffer.onupdateend = () => this.#guard(() => this.#appended());
		} else if (init.codec !== this.#codec && this.#buffer.changeType) {
			this.#queue.push(() => this.#buffer.changeType(type));
		}
		this.#codec = init.codec;
		this.#queue.push(buffer);
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
		this.#queue.push(buffer);
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
		if (joined.length === 1)
			buffer.appendBuffer(joined[0]);
		else if (joined.length > 1)
			buffer.appendBuffer(join(joined));
	}

	#appended() {
		this.#follow();
		if (this.#queue.length > 0)
			this.#append();
		else if (this.#video.currentTime > this.#first() + 2 * KEEP_S)
			this.#buffer.remove(0, this.#video.currentTime - KEEP_S);
	}

	#first() {
		const ranges = this.#buffer.buffered;

		return ranges.length > 0 ? ranges.start(0) : Infinity;
	}

	// Corrects the playhead after an append.
	#follow() {
		const video = this.#video;
		const ranges = this.#buffer.buffered;

		/* On a busy machine a jump takes long: another one before its end would begin the decoding
		 * at the key picture again, so that nothing was ever shown. One that does not end at all
		 * leads to where there is no picture any more. */
		if (ranges.length === 0 || this.#newest === 0 ||
			(video.seeking && performance.now() - this.#jumped < JUMP_MAX_MS))
			return;
		const start = ranges.start(ranges.length - 1);
		const lead = this.#newest - video.currentTime;

		if (!this.#started) {
			this.#started = this.#quiet = performance.now();
			video.play().catch((error) => {
				if (error.name === 'NotAllowedError')
					this.#on.gesture(() => video.play());
			});
		}
		const young = performance.now() - this.#started < 1000;

		if (video.currentTime < start || lead > this.#target + (young ? 0.15 : JUMP_S)) {
			/* A browser rounds times, and would wait for ever before the first picture. */
			video.currentTime = Math.max(start + 0.001, this.#newest - this.#target);
			video.playbackRate = 1;
			this.#jumped = performance.now();
			this.#leads = [];
			return;
		}
		if (this.#leads.push(lead) > 15)
			this.#leads.shift();
		this.#steer();
	}

	#steer() {
		const low = Math.min(...this.#leads);
		const over = low - this.#target;
		let rate = this.#video.playbackRate;

		if (over > 0.15)
			rate = 1.15;
		else if (over > 0.025)
			rate = 1.05;
		else if (over < -0.05)
			rate = 0.95;
		else if (rate > 1 ? over < 0.01 : over > -0.01)
			rate = 1;
		if (rate !== this.#video.playbackRate)
			this.#video.playbackRate = rate;
		if (performance.now() - this.#quiet > 10000) {
			this.#quiet = performance.now();
			this.#target = Math.max(TARGET_MIN_S, this.#target - 0.02);
		}
	}

	// The next picture came too late. If that is frequent, some delay is better.
	#stalled() {
		if (performance.now() - this.#started < 2000 || this.#leads.length < 15)
			return;
		this.#quiet = performance.now();
		this.#target = Math.min(TARGET_MAX_S, this.#target + 0.03);
	}

	#watch() {
		const video = this.#video;

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

function join(buffers) {
	const joined = new Uint8Array(buffers.reduce((sum, one) => sum + one.byteLength, 0));
	let at = 0;

	for (const one of buffers) {
		joined.set(new Uint8Array(one), at);
		at += one.byteLength;
	}
	return joined;
}
