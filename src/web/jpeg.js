// Motion JPEG, in three ways: read by fetch() and drawn, in an <img>, and picture by picture.

import { openFetch } from './pieces.js';

const HEAD_MAX = 4096;
const text = new TextDecoder('latin1');

// Cuts multipart/x-mixed-replace (RFC 2046) into its parts: part(headers, bytes).
class Parts {
	#rest = new Uint8Array(0);

	push(bytes, part) {
		const joined = new Uint8Array(this.#rest.length + bytes.length);

		joined.set(this.#rest);
		joined.set(bytes, this.#rest.length);
		this.#rest = joined;
		while (this.#take(part))
			;
	}

	#take(part) {
		const head = text.decode(this.#rest.subarray(0, HEAD_MAX));
		const end = head.indexOf('\r\n\r\n');
		const length = /content-length: *(\d+)/i.exec(head.slice(0, end + 2));

		if (end < 0 || !length) {
			if (this.#rest.length > HEAD_MAX)
				throw new Error('a part of the MJPEG stream has no length');
			return false;
		}
		const from = end + 4, to = from + Number(length[1]);

		if (this.#rest.length < to)
			return false;
		part(head.slice(0, end), this.#rest.slice(from, to));
		this.#rest = this.#rest.subarray(to);
		return true;
	}
}

// Draws JPEGs into a canvas. A picture that comes while one is decoded waits; only the newest does.
class Drawing {
	canvas = document.createElement('canvas');
	#context = this.canvas.getContext('2d', { alpha: false });
	#next = null;
	#busy = false;
	#drawn = 0;
	#on;

	constructor(on) {
		this.#on = on;
	}

	async draw(bytes, captured) {
		this.#next = { bytes, captured };
		if (this.#busy)
			return;
		this.#busy = true;
		while (this.#next) {
			const picture = this.#next;

			this.#next = null;
			try {
				const bitmap = await createImageBitmap(
					new Blob([picture.bytes], { type: 'image/jpeg' }));

				if (this.canvas.width !== bitmap.width || this.canvas.height !== bitmap.height) {
					this.canvas.width = bitmap.width;
					this.canvas.height = bitmap.height;
				}
				this.#context.drawImage(bitmap, 0, 0);
				bitmap.close();
				this.#on.shown(picture.captured, ++this.#drawn);
			} catch (error) {
				this.#on.fail(error.message, false);
				break;
			}
		}
		this.#busy = false;
	}
}

// The capture time of a part, in s of the server's CLOCK_MONOTONIC; null: not said.
function captureTime(headers) {
	const found = /x-capture-monotonic-us: *(\d+)/i.exec(headers);

	return found && Number(found[1]) / 1e6;
}

export class FetchedJpeg {
	#close;
	#drawing;

	constructor(box, path, on) {
		const parts = new Parts();

		this.#drawing = new Drawing(on);
		box.append(this.element);
		this.#close = openFetch(path, { end: (reason) => on.fail(reason, false) }, (bytes) => {
			on.bytes(bytes.length);
			parts.push(bytes, (headers, jpeg) => {
				const captured = captureTime(headers);

				on.received(captured);
				this.#drawing.draw(jpeg, captured);
			});
		});
	}

	get element() {
		return this.#drawing.canvas;
	}

	stop() {
		this.#close();
		this.element.remove();
	}
}

// No browser says when a picture in such an <img> changes, nor when the stream ends.
export class ImageJpeg {
	element = document.createElement('img');

	constructor(box, path, on) {
		this.element.alt = '';
		this.element.onload = () => on.shown(null, 1);
		this.element.onerror = () => on.fail('img', false);
		this.element.src = `${location.origin}${path}?advance_headers=1`;
		box.append(this.element);
	}

	stop() {
		this.element.onload = this.element.onerror = null;
		this.element.src = 'data:,'; // ends the request; without it some browsers go on
		this.element.remove();
	}
}

export class Snapshots {
	#drawing;
	#timer = 0;
	#stopped = false;

	constructor(box, path, on, period) {
		this.#drawing = new Drawing(on);
		box.append(this.element);
		this.#next(path, on, period);
	}

	get element() {
		return this.#drawing.canvas;
	}

	async #next(path, on, period) {
		const began = performance.now();

		try {
			const response = await fetch(location.origin + path,
				{ cache: 'no-store', signal: AbortSignal.timeout(8000) });

			if (!response.ok)
				throw new Error(`HTTP ${response.status}`);
			const jpeg = new Uint8Array(await response.arrayBuffer());

			if (this.#stopped)
				return;
			on.bytes(jpeg.length);
			on.received(null);
			await this.#drawing.draw(jpeg, null);
		} catch (error) {
			if (!this.#stopped)
				on.fail(error.message, false);
			return;
		}
		if (!this.#stopped)
			this.#timer = setTimeout(() => this.#next(path, on, period),
				Math.max(0, began + period - performance.now()));
	}

	stop() {
		this.#stopped = true;
		clearTimeout(this.#timer);
		this.element.remove();
	}
}
