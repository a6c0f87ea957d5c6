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

function bits(n) {
	return n >= 1e6 ? `${(n / 1e6).toFixed(1)} Mbit/s` : `${Math.round(n / 1e3)} kbit/s`;
}

// Lines of a name and a value that changes.
class Facts {
	element = el('dl');
	#values = new Map();

	set(key, text) {
		let value = this.#values.get(key);

		if (!value) {
			value = el('dd');
			this.element.append(el('dt', {}, t(key)), value);
			this.#values.set(key, value);
		}
		setText(value, text);
	}
}

function table(keys, rows) {
	return el('table', {},
		el('thead', {}, el('tr', {}, keys.map((key) => el('th', { scope: 'col' }, t(key))))),
		el('tbody', {}, rows.map((row) => el('tr', {}, row.map((cell) => el('td', {}, cell))))));
}

function choice(key, names, label, value, onchange) {
	const select = el('select', { onchange: () => onchange(select.value) },
		names.map((name) => el('option', { value: name, selected: name === value }, label(name))));

	return el('label', { className: 'row' }, t(key), select);
}

// --- ways to use a stream in other programs ---

function recipes(stream, origin, host) {
	const { ts, mp4, mjpeg, jpeg, hls, h264 } = stream.urls;
	const url = (path) => origin + path;
	const list = [];
	const add = (name, text) => list.push([name, text]);

	if (ts) {
		add('VLC', `vlc --network-caching=100 ${url(ts)}`);
		add('ffplay', `ffplay -fflags nobuffer -flags low_delay ${url(ts)}`);
		add('mpv', `mpv --profile=low-latency --untimed ${url(ts)}`);
		add('OpenCV', `cv2.VideoCapture("${url(ts)}")`);
		add('Home Assistant, OBS', url(ts));
	}
	if (mjpeg)
		add('OctoPrint, Mainsail', url(mjpeg));
	if (jpeg)
		add('JPEG', `curl -o picture.jpg ${url(jpeg)}`);
	if (mp4)
		add('ffmpeg', `ffmpeg -i ${url(mp4)} -c copy -t 60 recording.mp4`);
	if (hls)
		add('HLS', url(hls));
	if (h264)
		add('H.264', url(h264));
	for (const feed of stream.tcp)
		add(`TCP ${feed.framing}`, `tcp://${host}:${feed.port}`);
	return list;
}

async function copy(text, notify) {
	try {
		await navigator.clipboard.writeText(text);
	} catch { // an insecure context has no clipboard
		const area = el('textarea', { value: text, className: 'hidden' });

		document.body.append(area);
		area.select();
		document.execCommand('copy');
		area.remove();
	}
	notify(t('copied'));
}

function recipe([name, text], notify) {
	return el('div', { className: 'recipe' }, el('span', {}, name), el('code', {}, text),
		iconButton('copy', `${t('copy')}: ${name}`, () => copy(text, notify)));
}

// --- the panel ---

export class Details {
	element = el('aside', { 'aria-label': t('camera') });
	#tile = null;
	#page;
	#playback = new Facts();
	#camera = new Facts();
	#advice = el('p', { className: 'advice', role: 'status' });
	#streams = el('div');
	#viewers = el('div');
	#controls = el('div');
	#timer = 0;

	// page: notify(text), server() as /api/cameras says, closeDetails()
	constructor(page) {
		this.#page = page;
	}

	// Shows the camera of a tile; null: none.
	show(tile) {
		if (tile === this.#tile)
			return;
		this.#tile = tile;
		clearInterval(this.#timer);
		this.element.replaceChildren();
		if (!tile)
			return;
		const name = tile.camera.name;

		this.#playback = new Facts();
		this.#camera = new Facts();
		this.#viewers.replaceChildren();
		this.element.append(
			el('div', { className: 'head' }, el('h1', {}, name),
				iconButton('close', t('close'), () => this.#page.closeDetails())),
			section(t('playback'), this.#choices(), this.#playback.element),
			section(t('camera'), this.#advice, this.#camera.element, this.#restart()),
			section(t('streams'), this.#streams),
			section(t('viewers_title'), this.#viewers),
			section(t('controls'), this.#controls),
			section(t('elsewhere'), tile.camera.streams.map((stream) => [
				tile.camera.streams.length > 1 && el('h3', {}, stream.name),
				recipes(stream, location.origin, location.hostname)
					.map((one) => recipe(one, this.#page.notify))]),
			recipe([t('embed'), `<iframe src="${location.origin}/?camera=${
				encodeURIComponent(name)}&embed=1" width="640" height="360"></iframe>`],
			this.#page.notify)));
		this.update();
		this.#loadControls();
		this.#loadViewers();
		this.#timer = setInterval(() => this.#loadViewers(), 2000);
	}

	#choices() {
		const tile = this.#tile;
		const stream = tile.player.stream;
		const names = stream ? transportsOf(stream) : [];
		const playable = tile.camera.streams.filter((one) => transportsOf(one).length > 0);
		const box = el('div');

		if (playable.length > 1)
			box.append(choice('stream', playable.map((one) => one.name), (one) => one,
				stream?.name, (one) => {
					tile.chooseStream(one);
					box.replaceWith(this.#choices());
				}));
		if (names.length > 0)
			box.append(choice('transport', ['auto', ...names], t, tile.wish,
				(one) => tile.chooseTransport(one)));
		if (names.includes('webcodecs'))
			box.append(el('label', { className: 'row' }, t('lowest'), el('input',
				{ type: 'checkbox', role: 'switch', checked: tile.wish === 'webcodecs',
					onchange: (event) => {
						tile.chooseTransport(event.target.checked ? 'webcodecs' : 'auto');
						box.replaceWith(this.#choices());
					} })));
		else if (!isSecureContext && stream?.codec === 'h264')
			box.append(el('p', { className: 'hint' }, t('lowest_no')));
		return box;
	}

	#restart() {
		const name = this.#tile.camera.name;

		return this.#page.server().control && el('button', { type: 'button',
			onclick: () => this.#post(`/api/cameras/${encodeURIComponent(name)}/restart`, {}) },
		t('restart'));
	}

	async #post(path, body) {
		try {
			await postJson(path, body);
			this.#page.notify(t('done'));
		} catch (error) {
			this.#page.notify(t('control_off', { text: error.message }));
		}
	}

	// Draws what changes. Called often.
	draw() {
		const tile = this.#tile;

		if (!tile)
			return;
		const { stats, state, transport } = tile.player;
		const facts = this.#playback;

		facts.set('state', `${t(tile.paused ? 'paused' : state)}${
			transport && state !== 'off' ? `, ${t(transport)}` : ''}`);
		facts.set('latency', stats.lag === null ? '–'
			: t('latency_value', { n: Math.round(stats.lag) }));
		facts.set('rate', t('fps', { n: stats.fps }));
		facts.set('dropped', String(stats.dropped));
		facts.set('received', bits(stats.bitsPerSecond));
		facts.set('reconnects', String(stats.reconnects));
	}

	// The camera's state has come from the server.
	update() {
		if (!this.#tile)
			return;
		const camera = this.#tile.camera;
		const facts = this.#camera;
		const wrong = camera.state !== 'running' || camera.problem;

		this.draw();
		this.#advice.hidden = !wrong;
		setText(this.#advice, !wrong ? '' : [camera.problem, camera.state === 'running' ? '' :
			t(`do_${camera.state}`, { n: Math.ceil((camera.retry_in_ms || 0) / 1000) })]
			.filter(Boolean).join(' — '));
		facts.set('state', t(`camera_${camera.state}`));
		facts.set('source', camera.source || '–');
		facts.set('size', camera.width ? `${camera.width}×${camera.height}` : '–');
		facts.set('rate', t('fps', { n: camera.fps.toFixed(1) }));
		facts.set('restarts', String(camera.restarts));
		if (!this.#streams.contains(document.activeElement))
			this.#streams.replaceChildren(...camera.streams.map((stream) => this.#stream(stream)));
	}

	#stream(stream) {
		const facts = new Facts();

		facts.set('codec', stream.codec.toUpperCase());
		facts.set('encoder', [stream.encoder, stream.detail].filter(Boolean).join(', ') || '–');
		facts.set('rate', stream.active ? t('fps', { n: stream.fps.toFixed(1) }) : t('idle'));
		if (stream.active) {
			facts.set('bitrate', bits(stream.bitrate));
			facts.set('encode', `${(stream.encode_us / 1000).toFixed(1)} ms`);
		}
		facts.set('viewers_title', String(stream.viewers));
		return el('div', {}, el('h3', {}, stream.name), facts.element,
			this.#page.server().control && stream.can_set_bitrate && this.#bitrate(stream));
	}

	#bitrate(stream) {
		const slider = el('input', { type: 'range', min: 50, max: 20000, step: 50,
			value: stream.target_bitrate / 1000 });
		const shown = el('output', {}, bits(stream.target_bitrate));

		slider.oninput = () => setText(shown, bits(slider.value * 1000));
		slider.onchange = () => this.#post(
			`/api/streams/${encodeURIComponent(stream.name)}/bitrate`,
			{ bitrate: slider.value * 1000 });
		return el('label', { className: 'row' }, t('bitrate'), slider, shown);
	}

	async #loadViewers() {
		const names = this.#tile.camera.streams.map((stream) => stream.name);
		let body;

		try {
			body = await getJson('/api/viewers');
		} catch {
			return; // the page says that the server does not answer
		}
		const viewers = body.viewers.filter((viewer) => names.includes(viewer.stream));
		const more = viewers.length - VIEWERS_MAX + body.omitted;

		this.#viewers.replaceChildren(viewers.length === 0 ? t('nobody') :
			table(['address', 'transport', 'latency', 'dropped', 'since'],
				viewers.slice(0, VIEWERS_MAX).map((viewer) => [viewer.address,
					`${viewer.stream}, ${viewer.transport}`,
					t('lag', { n: viewer.lag_ms }), String(viewer.dropped + viewer.shed),
					new Date(viewer.since).toLocaleTimeString(language)])),
		more > 0 ? el('p', {}, t('more', { n: more })) : '');
	}

	// --- controls ---

	async #loadControls() {
		const path = `/api/cameras/${encodeURIComponent(this.#tile.camera.name)}/controls`;
		const allowed = this.#page.server().control;
		let controls;

		try {
			({ controls } = await getJson(path));
		} catch (error) {
			controls = [];
		}
		this.#controls.replaceChildren(...controls.length === 0 ? [t('no_controls')] :
			!allowed ? [el('p', { className: 'hint' }, t('no_control'))] :
				controls.map((control) => this.#control(path, control)));
	}

	#control(path, control) {
		const post = (value) => this.#post(path, { [control.name]: value });
		const props = { title: control.help };
		let input;

		if (control.type === 'word') {
			input = el('select', props, el('option', { value: '', disabled: true }, t('unchanged')),
				control.words.map((word) => el('option', { value: word }, word)));
			input.value = control.value ?? '';
			input.onchange = () => post(input.value);
			return el('label', { className: 'row' }, control.name, input);
		}
		if (control.type !== 'number') {
			input = el('input', { ...props, type: 'text', value: control.value ?? '',
				placeholder: control.usual, onchange: () => post(input.value) });
			return el('label', { className: 'row' }, control.name, input);
		}
		const usual = Number(control.usual);
		const value = control.value ?? usual;
		const shown = el('output', {}, control.value ?? t('unchanged'));
		const max = Math.min(control.max, Math.max(4 * usual, 1));

		input = el('input', { ...props, type: 'range', min: control.min, max,
			step: max - control.min > 100 ? 1 : 0.05 });
		input.value = value;
		input.oninput = () => setText(shown, `${input.value}${control.unit ? ` ${control.unit}` : ''}`);
		input.onchange = () => post(Number(input.value));
		return el('label', { className: 'row' }, control.name, input, shown);
	}
}
