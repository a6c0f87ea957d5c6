// Decodes H.264 with WebCodecs, and draws each picture at once: the lowest delay, where the page is in
// a secure context.

import { el } from './dom.js';
import { isInit, readInit, readFragment } from './mp4.js';
import { Painter } from './painter.js';

const BEHIND_MAX = 8; // pictures in the decoder, before all up to the next key picture are left out

export class WebCodecs {
	#on;
	#close;
	element = el('canvas');
	#painter = new Painter(this.element);
	#decoder = null;
	#timescale = 0;
	#waitsForKey = true;
	#drawn = 0;

	constructor(box, path, on, open) {
		this.#on = on;
		box.append(this.element);
		this.#close = open(path, {
			piece: (buffer) => this.#piece(buffer),
			end: on.fail,
		});
	}

	stop() {
		this.#close();
		this.#closeDecoder();
		this.element.remove();
	}

	#closeDecoder() {
		if (this.#decoder?.state !== 'closed')
			this.#decoder?.close();
		this.#decoder = null;
	}

	#piece(buffer) {
		this.#on.bytes(buffer.byteLength);
		if (isInit(buffer))
			this.#init(buffer);
		else if (this.#decoder)
			this.#fragment(buffer);
	}

	#init(buffer) {
		const { codec, description, timescale } = readInit(buffer);

		this.#closeDecoder();
		this.#timescale = timescale;
		this.#waitsForKey = true;
		this.#decoder = new VideoDecoder({
			output: (frame) => this.#painter.paint(frame,
				() => this.#on.shown(frame.timestamp / 1e6, ++this.#drawn)),
			error: (error) => this.#on.fail(error.message, error.name === 'NotSupportedError'),
		});
		this.#decoder.configure({ codec, description, optimizeForLatency: true });
	}

	#fragment(buffer) {
		const { time, data, key } = readFragment(buffer);

		this.#on.received(time / this.#timescale);
		if (this.#decoder.decodeQueueSize > BEHIND_MAX)
			this.#waitsForKey = true;
		if (this.#waitsForKey && !key)
			return;
		this.#waitsForKey = false;
		this.#decoder.decode(new EncodedVideoChunk({ type: key ? 'key' : 'delta',
			timestamp: Math.round(time / this.#timescale * 1e6), data }));
	}
}
