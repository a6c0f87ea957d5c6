// Where the pieces of a stream in MP4 come from: messages of a WebSocket, or the body of a fetch.
// Each opens url and returns a function that closes it; then on.piece(ArrayBuffer) follows, and
// on.end(reason) at most once, never after the close.

import { Cutter } from './mp4.js';

export function openWebSocket(path, on) {
	const url = new URL(path, location.origin);

	url.protocol = url.protocol.replace('http', 'ws');
	const socket = new WebSocket(url);
	let opened = false;

	socket.binaryType = 'arraybuffer';
	socket.onopen = () => { opened = true; };
	socket.onmessage = (event) => {
		try {
			on.piece(event.data);
		} catch (error) {
			on.end(error.message);
		}
	};
	socket.onclose = () => { on.end(opened ? 'closed' : 'refused'); };
	return () => {
		socket.onmessage = socket.onclose = null;
		socket.close();
	};
}

// Reads a body in chunks: chunk(Uint8Array).
export function openFetch(path, on, chunk) {
	const abort = new AbortController();

	(async () => {
		try {
			const response = await fetch(location.origin + path,
				{ cache: 'no-store', signal: abort.signal });

			if (!response.ok) {
				response.body?.cancel();
				throw new Error(`HTTP ${response.status}`);
			}
			const reader = response.body.getReader();

			for (;;) {
				const { done, value } = await reader.read();

				if (done || abort.signal.aborted)
					break;
				chunk(value);
			}
			if (!abort.signal.aborted)
				on.end('closed');
		} catch (error) {
			if (!abort.signal.aborted)
				on.end(error.message);
		}
		abort.abort();
	})();
	return () => abort.abort();
}

export function openMp4(path, on) {
	const cutter = new Cutter();

	return openFetch(path, on, (bytes) => cutter.push(bytes, on.piece));
}
