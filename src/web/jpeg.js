// Motion JPEG, in three ways: read by fetch() and drawn, in an <img>, and picture by picture.

import { monotonicTime } from './api.js';
import { draw, el } from './dom.js';
import { join } from './mp4.js';
import { openFetch } from './pieces.js';

const HEAD_MAX = 4096;
const text = new TextDecoder('latin1');

// Cuts multipart/x-mixed-replace (RFC 2046) into its parts: part(headers, bytes).
class Parts {
	#rest = new Uint8Array(0);

	push(bytes, part) {
		this.#rest = join([this.#rest, bytes]);
		while (this.#take(part))
			;
	}

	#take(part) {
		const head = text.decode(this.#rest.subarray(0, HEAD_MAX));
		const end = head.indexOf('\r\n\r\n');
		const length = /content-length: *(\d+)/i.exec(head.slice(0, end + 2));

		if (end < 0 || !length) {
			if (this.#rest.length > HEAD_MAX)
				throw new Error('a part has no length');
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
	canvas = el('canvas');
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

				draw(this.#context, bitmap);
				bitmap.close();
				this.#on.shown(picture.captured, ++this.#drawn);
			} catch (error) {
				this.#on.fail(error.message);
				break;
			}
		}
		this.#busy = false;
	}
}

export class FetchedJpeg {
	#close;

	constructor(box, path, on) {
		const parts = new Parts();
		const drawing = new Drawing(on);

		this.element = drawing.canvas;
		box.append(this.element);
		this.#close = openFetch(path, { end: on.fail }, (bytes) => {
			on.bytes(bytes.length);
			parts.push(bytes, (headers, jpeg) => {
				const time = /x-timestamp: *([\d.]+)/i.exec(headers)?.[1];
				const captured = monotonicTime(time);

				on.received(captured);
				drawing.draw(jpeg, captured);
			});
		});
	}

	stop() {
		this.#close();
		this.element.remove();
	}
}

// No browser says when a picture in such an <img> changes, nor when the stream ends.
export class ImageJpeg {
	constructor(box, path, on) {
		this.element = el('img', { alt: '', onload: () => on.shown(null, 1),
			onerror: () => on.fail('img'), src: `${location.origin}${path}?advance_headers=1` });
		box.append(this.element);
	}

	stop() {
		this.element.src = 'data:,'; // ends the request; without it some browsers go on
		this.element.remove();
	}
}

export class Snapshots {
	#drawing;
	#timer = 0;

	constructor(box, path, on, period) {
		this.#drawing = new Drawing(on);
		this.element = this.#drawing.canvas;
		box.append(this.element);
		this.#next(path, on, period);
	}

	async #next(path, on, period) {
		const began = performance.now();

		try {
			const response = await fetch(location.origin + path,
				{ cache: 'no-store', signal: AbortSignal.timeout(8000) });

			if (!response.ok)
				throw new Error(`HTTP ${response.status}`);
			const jpeg = new Uint8Array(await response.arrayBuffer());

			on.bytes(jpeg.length);
			on.received(null);
			await this.#drawing.draw(jpeg, monotonicTime(response.headers.get('x-timestamp')));
		} catch (error) {
			on.fail(error.message);
			return;
		}
		if (this.element.isConnected)
			this.#timer = setTimeout(() => this.#next(path, on, period),
				Math.max(0, began + period - performance.now()));
	}

	stop() {
		clearTimeout(this.#timer);
		this.element.remove();
	}
}
