// Requests to /api, and the clock of the server.

// Pairs of (our time, the server's) with the time that the request took, newest last.
let samples = [];
const SAMPLES_MAX = 24;
let unixOffset = null; // Unix time minus CLOCK_MONOTONIC on the server, in s

// The server took its time between these two moments of ours. The browser's own measurement leaves
// out the connection's setup.
function requestTimes(url, before, after) {
	const entry = performance.getEntriesByName(url).pop();

	performance.clearResourceTimings();
	if (entry && entry.startTime >= before - 1 && entry.requestStart > 0 &&
	    entry.responseStart >= entry.requestStart)
		return [entry.requestStart, entry.responseStart];
	return [before, after];
}

function noteClock(clock, from, to) {
	const offset = clock.monotonic_us / 1000 - (from + to) / 2, took = to - from;

	unixOffset = (clock.realtime_us - clock.monotonic_us) / 1e6;
	// What contradicts this one is of before the server's machine was started again, or ours slept.
	samples = samples.filter((one) => Math.abs(one.offset - offset) < one.took + took + 100)
		.slice(1 - SAMPLES_MAX);
	samples.push({ offset, took });
}

// The server's CLOCK_MONOTONIC minus performance.now(), in ms; null before the first answer. The
// fastest request is the most exact one: its error is at most half of the time that it took.
export function clockOffset() {
	return samples.reduce((best, one) => best?.took < one.took ? best : one, null)?.offset ?? null;
}

// A Unix time of the server as its CLOCK_MONOTONIC, in s; null: not known.
export function monotonicTime(unix) {
	return unix && unixOffset ? unix - unixOffset : null;
}

// Never a relative URL: a page that was opened as http://user:password@host/ may not fetch those.
async function request(path, options) {
	const url = location.origin + path;
	const before = performance.now();
	const response = await fetch(url, { cache: 'no-store', signal: AbortSignal.timeout(8000),
		...options, headers: { 'X-Requested-With': 'camcast', ...options.headers } });
	const body = await response.json().catch(() => ({}));

	if (!response.ok)
		throw Object.assign(new Error(body.error || response.statusText),
			{ status: response.status });
	if (body.clock) {
		const [from, to] = requestTimes(url, before, performance.now());

		noteClock(body.clock, from, to);
	}
	return body;
}

export function getJson(path) {
	return request(path, {});
}

export function postJson(path, body, headers = {}) {
	return request(path, { method: 'POST', body: JSON.stringify(body),
		headers: { 'Content-Type': 'application/json', ...headers } });
}
