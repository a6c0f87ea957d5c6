// Reads the boxes of fragmented MP4 (ISO/IEC 14496-12) that camcast makes: an initialization segment
// (ftyp, moov) with one H.264 track, and fragments (moof, mdat) of one picture each.

// Bytes between the header of a box and the boxes in it.
const FIELDS = { moov: 0, trak: 0, mdia: 0, minf: 0, stbl: 0, stsd: 8, avc1: 78, avc3: 78, moof: 0,
	traf: 0 };

function boxType(view, at) {
	return String.fromCharCode(...[4, 5, 6, 7].map((i) => view.getUint8(at + i)));
}

// Every box in [from, to), and the boxes in them: calls found(type, body, end).
function walk(view, from, to, found) {
	while (from + 8 <= to) {
		const size = view.getUint32(from);
		const type = boxType(view, from);
		const end = from + size;

		if (size < 8 || end > to)
			throw new Error('damaged MP4');
		found(type, from + 8, end);
		if (type in FIELDS)
			walk(view, from + 8 + FIELDS[type], end, found);
		from = end;
	}
}

export function isInit(buffer) {
	return buffer.byteLength >= 8 && boxType(new DataView(buffer), 0) === 'ftyp';
}

// {timescale, codec: "avc1.640028", description: avcC}
export function readInit(buffer) {
	const view = new DataView(buffer);
	const init = {};

	walk(view, 0, buffer.byteLength, (type, body, end) => {
		if (type === 'mdhd') {
			init.timescale = view.getUint32(body + (view.getUint8(body) ? 20 : 12));
		} else if (type === 'avc1' || type === 'avc3') {
			init.entry = type;
		} else if (type === 'avcC') {
			const profile = 0x1000000 + (view.getUint32(body) & 0xffffff); // and level

			init.codec = `${init.entry}.${profile.toString(16).slice(1)}`;
			init.description = new Uint8Array(buffer, body, end - body);
		}
	});
	if (!init.codec || !init.timescale)
		throw new Error('not H.264 in MP4');
	return init;
}

function isKey(view, at, end) {
	while (at + 5 <= end) {
		if ((view.getUint8(at + 4) & 31) === 5)
			return true;
		at += 4 + view.getUint32(at);
	}
	return false;
}

// {time (of decoding) and duration in units of the timescale, durationAt: the offset of the duration
// in the buffer, data: the picture (NAL units behind 32-bit lengths), key}
export function readFragment(buffer) {
	const view = new DataView(buffer);
	const fragment = { time: 0, duration: 0, durationAt: 0 };

	walk(view, 0, buffer.byteLength, (type, body, end) => {
		if (type === 'tfhd') {
			const flags = view.getUint32(body) & 0xffffff;

			if (flags & 8) {
				fragment.durationAt = body + 8 + (flags & 1 ? 8 : 0) + (flags & 2 ? 4 : 0);
				fragment.duration = view.getUint32(fragment.durationAt);
			}
		} else if (type === 'tfdt') {
			fragment.time = view.getUint8(body) ? Number(view.getBigUint64(body + 4))
				: view.getUint32(body + 4);
		} else if (type === 'mdat') {
			fragment.data = new Uint8Array(buffer, body, end - body);
			fragment.key = isKey(view, body, end);
		}
	});
	if (!fragment.data)
		throw new Error('a fragment has no picture');
	return fragment;
}

export function join(parts) {
	const joined = new Uint8Array(parts.reduce((sum, one) => sum + one.byteLength, 0));
	let at = 0;

	for (const one of parts) {
		joined.set(one, at);
		at += one.byteLength;
	}
	return joined;
}

// Cuts a byte stream into pieces: [ftyp moov] and [moof mdat], each as an ArrayBuffer.
export class Cutter {
	#rest = new Uint8Array(0);
	#boxes = 0; // bytes of complete boxes at the beginning of #rest

	push(bytes, piece) {
		this.#rest = join([this.#rest, bytes]);
		while (this.#boxes + 8 <= this.#rest.length) {
			const view = new DataView(this.#rest.buffer, this.#rest.byteOffset);
			const size = view.getUint32(this.#boxes);
			const type = boxType(view, this.#boxes);

			if (size < 8 || size > 1 << 25)
				throw new Error('damaged MP4');
			if (this.#boxes + size > this.#rest.length)
				return;
			this.#boxes += size;
			if (type === 'moov' || type === 'mdat') {
				piece(this.#rest.slice(0, this.#boxes).buffer);
				this.#rest = this.#rest.subarray(this.#boxes);
				this.#boxes = 0;
			}
		}
	}
}
