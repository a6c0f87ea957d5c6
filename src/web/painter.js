// Draws decoded pictures (VideoFrame) into a canvas, one after the other, in the faster of two ways.
// drawImage() is best where a graphics card holds the picture. Without a card, Chromium takes three times
// as long for it as for converting the picture to pixels first, and Firefox half as long. So the first
// pictures are drawn in both ways, which are timed.

import { draw } from './dom.js';

const TRIES = 12; // pictures

export class Painter {
	#context;
	#pixels = null; // ImageData of the picture's size
	#best = [Infinity, Infinity]; // ms, for a picture as it is, and for one as pixels
	#tries = 0;
	#last = Promise.resolve();

	constructor(canvas) {
		this.#context = canvas.getContext('2d', { alpha: false, desynchronized: true });
	}

	// Draws a picture when the ones before it are drawn, calls drawn(), and closes it. In a browser that
	// cannot make such pixels, a few of the first pictures are not drawn.
	paint(frame, drawn) {
		this.#last = this.#last.then(() => this.#draw(frame)).then(drawn).catch(() => {})
			.then(() => frame.close());
	}

	async #draw(frame) {
		const { visibleRect, displayWidth: width, displayHeight: height } = frame;
		const began = performance.now();
		let way = 0;

		// Pixels may be no squares.
		if (visibleRect.width === width && visibleRect.height === height)
			way = this.#tries < TRIES ? this.#tries++ % 2 : +(this.#best[1] < this.#best[0]);
		if (way) {
			if (this.#pixels?.width !== width || this.#pixels.height !== height)
				this.#pixels = new ImageData(width, height);
			await frame.copyTo(this.#pixels.data, { format: 'RGBA' });
		}
		draw(this.#context, way ? this.#pixels : frame, width, height);
		this.#best[way] = Math.min(this.#best[way], performance.now() - began);
	}
}
