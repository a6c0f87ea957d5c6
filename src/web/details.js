// The second view of a camera: what it does, who watches, what can be changed, and how to use its
// streams elsewhere.

import { getJson, postJson } from './api.js';
import { el, iconButton, setText } from './dom.js';
import { transportsOf } from './player.js';
import { language, t } from './text.js';

const VIEWERS_MAX = 50; // in the list

function section(title, ...children) {
	return el('section', {}, el('h2', {}, title), children);
}

function fps(n) {
	return t('fps', { n: Math.round(10 * n) / 10 });
}

function bits(n) {
	return n >= 1e6 ? `${(n / 1e6).toFixed(1)} Mbit/s` : `${Math.round(n / 1e3)} kbit/s`;
}

// Lines of a name and a value that changes.
class Facts {
	element = el('dl');
	#values = new Map();

	set(facts) {
		for (const [key, text] of Object.entries(facts)) {
			let value = this.#values.get(key);

			if (!value) {
				value = el('dd');
				this.element.append(el('dt', {}, t(key)), value);
				this.#values.set(key, value);
			}
			setText(value, String(text));
		}
	}
}

function table(keys, rows) {
	return el('table', {},
		el('thead', {}, el('tr', {}, keys.map((key) => el('th', { scope: 'col' }, t(key))))),
		el('tbody', {}, rows.map((row) => el('tr', {}, row.map((cell) => el('td', {}, cell))))));
}

function row(...children) {
	return el('label', { className: 'row' }, children);
}

function choice(label, names, value, onchange) {
	const select = el('select', { onchange: () => onchange(select.value) },
		names.map(([name, text = name]) => el('option', { value: name }, text)));

	select.value = value;
	return row(label, select);
}

// text(value) is shown while the slider moves, set(value) is called at its end.
function slider(label, props, now, text, set) {
	const shown = el('output', {}, now);

	return row(label, el('input', { type: 'range', ...props,
		oninput: (event) => setText(shown, text(event.target.value)),
		onchange: (event) => set(Number(event.target.value)) }), shown);
}

function hint(key) {
	return el('p', { className: 'hint' }, t(key));
}

// --- ways to use a stream in other programs ---

const LOW = '-fflags nobuffer -flags low_delay', MPV = 'mpv --profile=low-latency --untimed URL';
const PROBE = '-probesize 32 -analyzeduration 0', CV = 'cv2.VideoCapture("URL")';
const DRAW = 'avdec_h264 ! videoconvert ! autovideosink sync=false';
// The lines of docs/PLAYERS.md for H.264 over HTTP and RTSP, each with how old a picture is there, in
// ms (docs/BENCHMARKS.md). tests/docs.py compares them.
const PLAYERS = [
	['VLC', 'vlc --network-caching=100 URL', 158, 'vlc --live-caching=100 URL', 107],
	['ffplay', `ffplay ${LOW} -i URL`, 65, `ffplay ${LOW} -rtsp_transport tcp -i URL`, 269],
	['ffmpeg', `ffmpeg ${LOW} ${PROBE} -i URL OUTPUT`, 74,
		`ffmpeg ${LOW} ${PROBE} -rtsp_transport tcp -i URL OUTPUT`, 73],
	['mpv', MPV, 48, MPV, 47],
	['GStreamer',
		`gst-launch-1.0 souphttpsrc location=URL is-live=true ! tsdemux ! h264parse ! ${DRAW}`, 40,
		`gst-launch-1.0 rtspsrc location=URL latency=0 protocols=tcp ! rtph264depay ! ${DRAW}`, 6],
	['OpenCV', CV, 73, CV, 73],
	['motion', '', 0, 'netcam_url URL', 721],
];

function recipes({ urls, tcp, rtsp }) {
	const at = ({ scheme, port, path = '' }) => `${scheme}://${location.hostname}:${port}${path}`;
	const inPlayers = (url, place, way = '') => PLAYERS.filter((row) => urls.ts && row[place])
		.map((row) => [way + row[0], row[place].replace('URL', () => url), row[place + 1]]);

	return inPlayers(location.origin + urls.ts, 1).concat([
		['Home Assistant, OBS', urls.ts],
		['OctoPrint, Mainsail', urls.mjpeg],
		['JPEG', urls.jpeg, 'curl -o picture.jpg '],
		['MP4', urls.mp4, 'ffmpeg -i ', ' -c copy -t 60 recording.mp4'],
		['HLS', urls.hls],
		['H.264', urls.h264],
	].filter(([, path]) => path)
		.map(([name, path, before = '', after = '']) => [name, before + location.origin + path + after]),
	tcp.map((one) => [`TCP ${one.framing}`, at(one)]),
	rtsp ? [['RTSP', at(rtsp)]].concat(inPlayers(at(rtsp), 3, 'RTSP, ')
		.filter(([name]) => rtsp.scheme === 'rtsp' || !name.endsWith('VLC'))) : []); // it has no TLS there
}

async function copy(text) {
	try {
		await navigator.clipboard.writeText(text);
	} catch { // an insecure context has no clipboard
		const area = el('textarea', { value: text, className: 'hidden' });

		document.body.append(area);
		area.select();
		document.execCommand('copy');
		area.remove();
	}
	page.notify(t('copied'));
}

function recipe([name, text, age]) {
	return el('div', { className: 'recipe' },
		el('span', {}, age ? `${name} · ${t('latency')} ${t('lag', { n: age })}` : name),
		el('code', {}, text),
		iconButton('copy', `${t('copy')}: ${name}`, () => copy(text)));
}

// --- the panel ---

export const panel = el('aside', { 'aria-label': t('camera') });
const advice = el('p', { className: 'advice', role: 'status' });
const streamList = el('div'), viewerList = el('div'), pushList = el('div');
const controlList = el('div');
let page; // notify(text), showDetails(name), server as /api/cameras says
let tile = null; // whose camera is shown; null: none
let playback, state; // Facts
let pushes; // the section
let timer = 0;

export function begin(thePage) {
	page = thePage;
}

// Shows the camera of a tile; null: none.
export function show(next) {
	if (next === tile)
		return;
	tile = next;
	clearInterval(timer);
	panel.replaceChildren();
	if (!tile)
		return;
	const { name, streams } = tile.camera;

	playback = new Facts();
	state = new Facts();
	viewerList.replaceChildren();
	pushes = section(t('pushes'), pushList);
	pushes.hidden = true;
	panel.append(
		el('div', { className: 'head' }, el('h1', {}, name),
			iconButton('close', t('close'), () => page.showDetails(null))),
		section(t('playback'), choices(), playback.element),
		section(t('camera'), advice, state.element, page.server.control && el('button',
			{ type: 'button', onclick: () => post(`${path()}/restart`, {}) }, t('restart'))),
		section(t('streams'), streamList),
		section(t('viewers_title'), viewerList),
		pushes,
		section(t('controls'), controlList),
		section(t('elsewhere'), streams.map((stream) =>
			[streams.length > 1 && el('h3', {}, stream.name), recipes(stream).map(recipe)]),
		recipe([t('embed'), `<iframe src="${location.origin}/?camera=${
			encodeURIComponent(name)}&embed=1" width="640" height="360"></iframe>`])));
	update();
	loadControls();
	load();
	timer = setInterval(load, 2000);
}

function choices() {
	const { player, camera, wish } = tile;
	const names = player.stream ? transportsOf(player.stream) : [];
	const playable = camera.streams.filter((one) => transportsOf(one).length > 0);
	const box = el('div');

	if (playable.length > 1)
		box.append(choice(t('stream'), playable.map((one) => [one.name]), player.stream?.name,
			(one) => {
				tile.choose('stream', one);
				box.replaceWith(choices());
			}));
	if (names.length > 0)
		box.append(choice(t('transport'), ['auto', ...names].map((one) => [one, t(one)]), wish,
			(one) => tile.choose('transport', one)));
	if (!isSecureContext && player.stream?.codec === 'h264')
		box.append(hint('lowest_no'));
	return box;
}

// Of the camera in the API.
function path() {
	return `/api/cameras/${encodeURIComponent(tile.camera.name)}`;
}

async function post(to, body) {
	try {
		await postJson(to, body);
		page.notify(t('done'));
	} catch (error) {
		page.notify(t('control_off', { text: error.message }));
	}
}

// Draws what changes. Called often.
export function draw() {
	if (!tile)
		return;
	const { stats, state: doing, transport } = tile.player;
	const off = tile.paused || doing === 'off';

	playback.set({
		state: off ? t('paused') : `${t(doing)}, ${transport ? t(transport) : ''}`,
		latency: stats.lag === null ? '–' : t('latency_value', { n: Math.round(stats.lag) }),
		rate: fps(stats.fps),
		dropped: stats.dropped,
		received: bits(stats.bitsPerSecond),
		reconnects: stats.reconnects,
	});
}

// The camera's state has come from the server.
export function update() {
	if (!tile)
		return;
	const { camera } = tile;
	const text = [camera.problem, camera.state === 'running' ? '' :
		t(`do_${camera.state}`, { n: Math.ceil((camera.retry_in_ms || 0) / 1000) })]
		.filter(Boolean).join(' — ');

	draw();
	advice.hidden = !text;
	setText(advice, text);
	state.set({
		state: t(`camera_${camera.state}`),
		source: camera.source || '–',
		size: camera.width ? `${camera.width}×${camera.height}` : '–',
		rate: fps(camera.fps),
		restarts: camera.restarts,
	});
	if (!streamList.contains(document.activeElement))
		streamList.replaceChildren(...camera.streams.map(describe));
}

function describe(stream) {
	const facts = new Facts();

	facts.set({
		codec: stream.codec.toUpperCase(),
		encoder: [stream.encoder, stream.detail].filter(Boolean).join(', ') || '–',
		rate: stream.active ? fps(stream.fps) : t('idle'),
		...stream.active && { bitrate: bits(stream.bitrate),
			encode: `${(stream.encode_us / 1000).toFixed(1)} ms` },
		viewers_title: stream.viewers,
	});
	return el('div', {}, el('h3', {}, stream.name), facts.element,
		page.server.control && stream.can_set_bitrate && bitrate(stream));
}

function bitrate({ name, target_bitrate: now }) {
	return slider(t('bitrate'), { min: 50, max: 20000, step: 50, value: now / 1000 }, bits(now),
		(value) => bits(value * 1000), (value) =>
			post(`/api/streams/${encodeURIComponent(name)}/bitrate`, { bitrate: value * 1000 }));
}

function time(text) {
	return new Date(text).toLocaleTimeString(language, { hour: '2-digit', minute: '2-digit' });
}

async function load() {
	const of = tile;
	const [viewers, sent] = await Promise.all(['viewers', 'pushes'].map((what) =>
		getJson(`/api/${what}`).catch(() => null)));
	const own = ({ stream }) => of.camera.streams.some(({ name }) => name === stream);

	if (tile !== of || !viewers || !sent) // the page says that the server does not answer
		return;
	// A push is in the list of its own.
	showViewers(viewers.viewers.filter((one) => own(one) && one.transport !== 'push'),
		viewers.omitted);
	const list = sent.pushes.filter(own);

	pushes.hidden = list.length === 0;
	pushList.replaceChildren(...list.map(describePush));
}

function describePush({ stream, url, state: doing, since, dropped, error }) {
	const facts = new Facts();

	facts.set({
		state: t(doing === 'waiting' ? 'camera_backoff' : doing), since: time(since),
		dropped, ...error && { last_error: error },
	});
	return el('div', {}, el('h3', {}, `${stream} → ${url}`), facts.element);
}

function showViewers(viewers, omitted) {
	const more = viewers.length - VIEWERS_MAX + omitted;

	viewerList.replaceChildren(viewers.length === 0 ? t('nobody') :
		table(['address', 'transport', 'latency', 'dropped', 'since'],
			viewers.slice(0, VIEWERS_MAX).map((viewer) => [viewer.address,
				`${viewer.stream}, ${viewer.transport}`, t('lag', { n: viewer.lag_ms }),
				viewer.dropped + viewer.shed,
				time(viewer.since)])),
	more > 0 ? el('p', {}, t('more', { n: more })) : '');
}

// --- controls ---

async function loadControls() {
	const to = `${path()}/controls`;
	const { controls } = await getJson(to).catch(() => ({ controls: [] }));

	controlList.replaceChildren(...controls.length === 0 ? [t('no_controls')] :
		!page.server.control ? [hint('no_control')] :
			controls.map((control) => change(control, (value) => post(to, { [control.name]: value }))));
}

function change({ name, type, words, value, usual, min, max, unit = '', help }, set) {
	if (type === 'word')
		return choice(name, [['', t('unchanged')], ...words.map((word) => [word])], value ?? '', set);
	if (type !== 'number')
		return row(name, el('input', { type: 'text', value: value ?? '', title: help,
			placeholder: usual, onchange: (event) => set(event.target.value) }));
	const most = Math.min(max, Math.max(4 * usual, 1));

	return slider(name, { min, max: most, step: most - min > 100 ? 1 : 0.05, value: value ?? usual,
		title: help }, value ?? t('unchanged'), (wanted) => `${wanted} ${unit}`, set);
}
