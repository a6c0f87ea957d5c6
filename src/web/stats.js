// What a player measures of its stream.

import { clockOffset } from './api.js';

const WINDOW_MS = 1000;
const SETTLED_MS = 1500; // pictures that a join skips are no drops
const LAGS_MAX = 1000;

function median(values) {
	return values.length === 0 ? null : [...values].sort((a, b) => a - b)[values.length >> 1];
}

export class Stats {
	reconnects = 0;
	dropped = 0; // left out by the server, or not shown by the browser
	lags = []; // of the newest pictures, in ms from capture to display
	#shown = []; // [when, lag] within the window
	#sizes = []; // [when, bytes] within the window
	#step; // the usual time between two pictures, in s
	#last = null; // time of the newest picture received, s
	#began = 0;
	#received = 0;
	#presented = null;

	// A connection begins to a stream of so many pictures a second; 0: not known.
	begin(framerate) {
		this.#step = 1 / (framerate || 30);
		this.#began = performance.now();
		this.#last = null;
		this.#received = 0;
		this.#presented = null;
	}

	noteBytes(count) {
		this.#sizes.push([performance.now(), count]);
		prune(this.#sizes);
	}

	// A picture came; time: of its capture, in s of the server's clock, or null. Returns the usual
	// time between two pictures.
	noteReceived(time) {
		this.#received++;
		if (time !== null && this.#last !== null) {
			const step = time - this.#last;

			if (step > 2.5 * this.#step && this.#settled())
				this.dropped += Math.min(1000, Math.round(step / this.#step) - 1);
			if (step > 0 && step < 5)
				this.#step += (step - this.#step) / (step < this.#step ? 4 : 16);
		}
		this.#last = time;
		return this.#step;
	}

	// A picture is shown. time: as above; count: pictures shown so far on this connection; when: on
	// the clock of performance.now().
	noteShown(time, count, when = performance.now()) {
		const offset = clockOffset();
		const lag = time === null || offset === null ? null : when + offset - time * 1000;

		this.#shown.push([when, lag]);
		prune(this.#shown);
		if (lag !== null && this.lags.push(Math.round(lag * 10) / 10) > LAGS_MAX)
			this.lags.shift();
		if (!this.#settled())
			return;
		if (this.#presented && this.#received - this.#presented.received >
		    count - this.#presented.count + 2) {
			this.dropped += this.#received - this.#presented.received -
				(count - this.#presented.count);
			this.#presented = null;
		}
		this.#presented ??= { received: this.#received, count };
	}

	#settled() {
		return performance.now() - this.#began > SETTLED_MS;
	}

	get fps() {
		prune(this.#shown);
		return this.#shown.length;
	}

	get bitsPerSecond() {
		prune(this.#sizes);
		return 8 * this.#sizes.reduce((sum, [, count]) => sum + count, 0);
	}

	// Of the last second, in ms; null: not known.
	get lag() {
		prune(this.#shown);
		return median(this.#shown.map(([, lag]) => lag).filter((lag) => lag !== null));
	}
}

function prune(list) {
	const from = performance.now() - WINDOW_MS;

	while (list.length > 0 && list[0][0] < from)
		list.shift();
}
