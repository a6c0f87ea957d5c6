// Shows one stream in a box: chooses the way of transport, connects, and comes back after every loss.
//
// A transport is a class with a constructor (box, path, on, extra), `element`, and stop(). Its events:
//   on.bytes(n)                        something came
//   on.received(time)                  a picture came; returns the time between two of them, in s
//   on.shown(time, count, when)        a picture is shown; see stats.js
//   on.fail(reason, unfit)             it has ended; unfit: this browser cannot play it at all
//   on.gesture(play)                   the browser wants a click before it plays

import { draw, el } from './dom.js';
import { NativeHls } from './hls.js';
import { FetchedJpeg, ImageJpeg, Snapshots } from './jpeg.js';
import { Mse, mseClass } from './mse.js';
import { openMp4, openWebSocket } from './pieces.js';
import { Stats } from './stats.js';
import { WebCodecs } from './webcodecs.js';

const SILENCE_MS = 5000;
const RETRY_MIN_MS = 250, RETRY_MAX_MS = 5000;
const FAILURES_MAX = 3; // in a row without a picture, before the next transport is offered
// Streams of a page over HTTP: a browser opens six connections to a host, and the page needs some.
const STREAMS_MAX = 4;
const SNAPSHOT_MS = 1000;

let streams = 0; // of all players, over HTTP

function canMse(stream) {
	const codec = stream.codec_string || 'avc1.42e01e';

	return Boolean(mseClass()?.isTypeSupported(`video/mp4; codecs="${codec}"`));
}

function canHls() {
	return el('video').canPlayType('application/vnd.apple.mpegurl') !== '';
}

// In the order of preference; `url` names the address in the answer of /api/cameras.
const TRANSPORTS = {
	webcodecs: { url: 'ws', can: () => 'VideoDecoder' in window && isSecureContext,
		Class: WebCodecs, extra: openWebSocket },
	mse: { url: 'ws', can: canMse, Class: Mse, extra: openWebSocket },
	mse_http: { url: 'mp4', can: canMse, Class: Mse, extra: openMp4, stream: true },
	hls: { url: 'hls', can: canHls, Class: NativeHls },
	mjpeg: { url: 'mjpeg', can: () => 'createImageBitmap' in window, Class: FetchedJpeg, stream: true },
	img: { url: 'mjpeg', can: () => true, Class: ImageJpeg, stream: true },
	snapshots: { url: 'jpeg', can: () => true, Class: Snapshots, extra: SNAPSHOT_MS },
};

// Those that can show the stream here, best first, without `webcodecs`, which is a wish.
export function transportsOf(stream) {
	return Object.keys(TRANSPORTS).filter((name) => stream.urls[TRANSPORTS[name].url] &&
		TRANSPORTS[name].can(stream));
}

export class Player {
	stats = new Stats();
	state = 'off'; // connecting, live, lost, failed (nothing can play the stream)
	transport = null; // the name of the one in use
	reason = ''; // why the last one ended
	gesture = null; // a function to call at a click
	#box;
	#changed;
	stream = null; // as /api/cameras describes it
	#wish = 'auto';
	#wanted = false;
	#running = null;
	// The last picture, while there is no new one.
	#still = el('canvas', { className: 'still', hidden: true });
	#unfit = new Set();
	#failures = 0;
	#retry = RETRY_MIN_MS;
	#timer = 0;
	#silence = 0;
	#lastBytes = 0;

	// changed() is called when the state or the transport changes.
	constructor(box, changed) {
		this.#box = box;
		this.#changed = changed;
		box.append(this.#still);
	}

	// wish: the transport that the user wants, or 'auto'.
	set(stream, wish) {
		const same = this.stream?.name === stream.name && this.#wish === wish;

		this.stream = stream;
		if (same)
			return;
		this.#wish = wish;
		this.#unfit.clear();
		this.restart();
	}

	// Whether it should play.
	want(wanted) {
		if (wanted === this.#wanted)
			return;
		this.#wanted = wanted;
		if (!wanted)
			this.#end('off');
		this.restart();
	}

	restart() {
		if (!this.#wanted)
			return;
		this.#end('connecting');
		this.#failures = 0;
		this.#retry = RETRY_MIN_MS;
		this.#begin();
	}

	// The transports that could be next, best first.
	#choices() {
		const able = transportsOf(this.stream).filter((name) => !this.#unfit.has(name));
		const at = able.indexOf(this.#wish);

		return at >= 0 ? able.slice(at) : able.filter((name) => name !== 'webcodecs');
	}

	// The simpler transport to offer; null: this one does not fail, or is the last.
	get offer() {
		return this.#failures < FAILURES_MAX ? null :
			this.#choices()[this.#choices().indexOf(this.transport) + 1] || null;
	}

	#begin() {
		const choices = this.#choices();
		const name = streams < STREAMS_MAX || !TRANSPORTS[choices[0]]?.stream ? choices[0] :
			choices.find((choice) => !TRANSPORTS[choice].stream);

		if (!name)
			return this.#setState('failed');
		const transport = TRANSPORTS[name];

		this.transport = name;
		this.#lastBytes = performance.now();
		this.stats.begin(this.stream.framerate);
		const events = this.#events();
		const running = { streams: transport.stream ? 1 : 0, events };

		streams += running.streams;

		this.#running = running;
		this.#silence = setInterval(() => this.#checkSilence(), 500);
		running.player = new transport.Class(this.#box, this.stream.urls[transport.url], events,
			transport.extra);
		if (this.#running !== running) // it failed at once
			running.player.stop();
		this.#changed();
	}

	#events() {
		const actions = {
			bytes: (count) => {
				this.#lastBytes = performance.now();
				this.stats.noteBytes(count);
			},
			received: (time) => this.stats.noteReceived(time),
			shown: (...shown) => {
				this.stats.noteShown(...shown);
				if (this.state !== 'live')
					this.#live();
			},
			fail: (reason, unfit) => this.#fail(reason, unfit),
			gesture: (play) => {
				this.gesture = play;
				this.#changed();
			},
		};
		const events = {};

		// A transport that has ended has no say any more.
		for (const [name, action] of Object.entries(actions))
			events[name] = (...values) => this.#running?.events === events && action(...values);
		return events;
	}

	#live() {
		this.#failures = 0;
		this.#retry = RETRY_MIN_MS;
		this.reason = '';
		this.gesture = null;
		this.#still.hidden = true;
		this.#setState('live');
	}

	#checkSilence() {
		const limit = Math.max(SILENCE_MS, 4000 / (this.stream.framerate || 30));

		if (this.transport !== 'img' && performance.now() - this.#lastBytes > limit)
			this.#fail('silent');
	}

	#fail(reason, unfit) {
		this.reason = reason;
		this.#end('lost');
		if (unfit) {
			this.#unfit.add(this.transport);
			return this.#begin();
		}
		this.#failures++;
		this.stats.reconnects++;
		this.#timer = setTimeout(() => this.#begin(), this.#retry);
		this.#retry = Math.min(RETRY_MAX_MS, 2 * this.#retry);
		this.#changed();
	}

	// Ends the connection; its last picture stays.
	#end(state) {
		const running = this.#running;

		clearTimeout(this.#timer);
		clearInterval(this.#silence);
		this.#running = null;
		this.gesture = null;
		if (running) {
			streams -= running.streams;
			if (this.state === 'live')
				this.#still.hidden = !copyPicture(running.player.element, this.#still);
			running.player?.stop();
		}
		this.#setState(state);
	}

	// A copy of what is shown now, as a canvas; null: nothing is.
	picture() {
		const copy = el('canvas');
		const from = this.element && this.state === 'live' ? this.element : this.#still;

		return copyPicture(from, copy) ? copy : null;
	}

	get element() {
		return this.#running?.player?.element || null;
	}

	facts() {
		const { state, transport, reason, stats: { fps, lag, lags, dropped, reconnects } } = this;
		const waiting = this.#running?.player?.waiting ?? 0;

		return { state, transport, reason, fps, lag, lags, dropped, reconnects, waiting };
	}

	#setState(state) {
		if (this.state === state)
			return;
		this.state = state;
		this.#changed();
	}
}

// Whether there was a picture to copy.
function copyPicture(element, canvas) {
	const width = element.videoWidth || element.naturalWidth || element.width;
	const height = element.videoHeight || element.naturalHeight || element.height;

	if (width && height)
		draw(canvas.getContext('2d'), element, width, height);
	return Boolean(width && height);
}
