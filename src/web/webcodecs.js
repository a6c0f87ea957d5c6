// Decodes H.264 with WebCodecs, and draws each picture at once: the lowest delay, where the page is in
// a secure context.

import { isInit, readInit, readFragment } from './mp4.js';

const BEHIND_MAX = 8; // pictures in the decoder, before all up to the next key picture are left out

export class WebCodecs {
	#on;
	#close;
	#canvas = document.createElement('canvas');
	#context = this.#canvas.getContext('2d', { alpha: false, desynchronized: true });
	#decoder = null;
	#config = null;
	#timescale = 0;
	#waitsForKey = true;
	#stopped = false;
	#drawn = 0;

	constructor(box, path, open, on) {
		this.#on = on;
		box.append(this.#canvas);
		this.#close = open(path, {
			piece: (buffer) => {
				try {
					this.#piece(buffer);
				} catch (error) {
					this.#fail(error.message);
				}
			},
			end: (reason) => this.#fail(reason),
		});
	}

	get element() {
		return this.#canvas;
	}

	stop() {
		this.#stopped = true;
		this.#close();
		this.#closeDecoder();
		this.#canvas.remove();
	}

	#closeDecoder() {
		if (this.#decoder && this.#decoder.state !== 'closed')
			this.#decoder.close();
		this.#decoder = null;
	}

	#fail(reason, unfit = false) {
		if (!this.#stopped)
			this.#on.fail(reason, unfit);
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
		this.#config = { codec, description, optimizeForLatency: true };
		this.#decoder = new VideoDecoder({
			output: (frame) => this.#draw(frame),
			error: (error) => this.#fail(error.message, error.name === 'NotSupportedError'),
		});
		this.#decoder.configure(this.#config);
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

	#draw(frame) {
		if (!this.#stopped) {
			const canvas = this.#canvas;

			if (canvas.width !== frame.displayWidth || canvas.height !== frame.displayHeight) {
				canvas.width = frame.displayWidth;
				canvas.height = frame.displayHeight;
			}
			this.#context.drawImage(frame, 0, 0, canvas.width, canvas.height);
			this.#on.shown(frame.timestamp / 1e6, ++this.#drawn);
		}
		frame.close();
	}
}
