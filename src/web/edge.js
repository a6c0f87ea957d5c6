// Where the playhead of a live stream should be: as close to the newest picture as the pictures'
// delays allow. Times are in s; those of pictures and of the playhead are of the video.
//
// The delay of a picture is read on the page's clock, whose zero does not matter, and not from the
// playhead, so that corrections do not count as delays. One picture in LATE may come too late, so that
// a single one does not delay all others.

const PICTURES = 100; // the newest ones, whose delays count
const LATE = 50;
const LEAD = 0.02; // before the playhead comes: a decoder, and a refresh of the screen, take it
const SPREAD_MAX = 0.1; // from the usual delay to the one that is waited for
const SLOWEST = 0.95, FASTEST = 1.15; // of the playback rate
const STEP = 0.01, CLOSE = 0.01;
const SMOOTH = 8; // pictures: Firefox moves the time of a video in steps

export class Edge {
	#delays = [];
	#behind = 0; // smoothed

	// A picture is ready to be decoded.
	note(time, now) {
		if (this.#delays.push(now - time) > PICTURES)
			this.#delays.shift();
	}

	// The playhead jumps; the delays until now, which a backlog had, do not count. Returns its place.
	jump(newest) {
		this.#delays = [];
		this.#behind = 0;
		return newest - LEAD;
	}

	// How far the playhead is behind its place; at least one picture is noted.
	behind(playhead, now) {
		const sorted = [...this.#delays].sort((a, b) => a - b);
		const late = sorted[sorted.length - 1 - (sorted.length / LATE | 0)];

		return now - playhead - LEAD - Math.min(late, sorted[sorted.length >> 1] + SPREAD_MAX);
	}

	// The playback rate that corrects this in a second or two; rate: the one before. It is 1 while the
	// place is close: at any other rate there are pictures that the screen shows for one refresh more
	// than others, or not at all.
	rate(behind, rate) {
		const smooth = this.#behind += (behind - this.#behind) / SMOOTH;

		if (Math.abs(smooth) < CLOSE)
			return (rate - 1) * smooth > 0 ? 1 + STEP * Math.sign(smooth) : 1;
		return 1 + STEP * Math.round(Math.min(FASTEST - 1, Math.max(SLOWEST - 1, smooth)) / STEP);
	}
}
