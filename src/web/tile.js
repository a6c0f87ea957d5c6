// One camera on the page: its picture, its name, what it does, and its buttons.

import { el, iconButton, setIconButton, setText } from './dom.js';
import { Player, transportsOf } from './player.js';
import { t } from './text.js';

// A choice of the user, set first if there is a value. A browser without storage forgets it.
function stored(key, value) {
	try {
		if (value)
			localStorage.setItem(key, value);
		return localStorage.getItem(key);
	} catch {
		return null;
	}
}

// The stream to show: the one that the user chose, else the first that this browser can play best.
function chooseStream(camera) {
	const wish = stored(`stream ${camera.name}`);
	const able = camera.streams.filter((stream) => transportsOf(stream).length > 0);

	return able.find((stream) => stream.name === wish) ||
		able.find((stream) => stream.codec === 'h264') || able[0] || null;
}

function canFull() {
	return document.fullscreenEnabled || document.webkitFullscreenEnabled ||
		HTMLVideoElement.prototype.webkitEnterFullscreen;
}

export class Tile {
	paused = false;
	visible = true; // within the window
	camera;
	#page;
	#figures = el('span', { className: 'figures' });
	#message = el('p', { className: 'message', role: 'status' });
	#offer = el('button', { type: 'button', hidden: true });
	#box = el('div', { className: 'picture' });
	#pause;

	// page: open(name), showDetails(name), arrange(), notify(text)
	constructor(camera, page) {
		this.camera = camera;
		this.#page = page;
		this.player = new Player(this.#box, () => this.draw());
		this.#pause = iconButton('pause', t('pause', camera), () => this.toggle());
		this.#offer.onclick = () => (this.player.gesture ? this.player.gesture() :
			this.choose('transport', this.player.offer));
		this.element = el('article', { className: 'tile', tabIndex: 0,
			'aria-label': t('tile', camera) },
		this.#box,
		el('div', { className: 'notice' }, this.#message, this.#offer),
		el('div', { className: 'top' }, el('span', { className: 'dot' }),
			el('span', { className: 'name' }, camera.name), this.#figures),
		el('div', { className: 'buttons' }, this.#pause,
			iconButton('snapshot', t('snapshot', camera), () => this.snapshot()),
			iconButton('info', t('info', camera), () => page.showDetails(camera.name)),
			iconButton('full', t('full'), () => this.full(), { hidden: !canFull() })));
		this.element.dataset.camera = camera.name;
		this.element.facts = () => this.player.facts(); // for the console
		this.#box.onclick = () => page.open(camera.name);
		this.element.ondblclick = () => this.full();
		this.update(camera);
	}

	get wish() {
		return stored(`transport ${this.camera.name}`) || 'auto';
	}

	// New news of the camera.
	update(camera) {
		const stream = chooseStream(camera);

		this.camera = camera;
		if (stream)
			this.player.set(stream, this.wish);
		this.draw();
	}

	// what: 'stream' or 'transport'.
	choose(what, name) {
		stored(`${what} ${this.camera.name}`, name);
		this.update(this.camera);
	}

	// watched: whether the page shows this tile to anybody.
	run(watched) {
		this.player.want(Boolean(watched && this.visible && !this.paused && chooseStream(this.camera)));
	}

	toggle() {
		this.paused = !this.paused;
		this.#page.arrange();
		this.draw();
	}

	full() {
		if (document.fullscreenElement)
			document.exitFullscreen();
		else if (this.element.requestFullscreen)
			this.element.requestFullscreen().catch(() => {});
		else // an iPhone
			this.player.element?.webkitEnterFullscreen?.();
	}

	// A picture from the server has the full quality; what is shown is the second choice.
	async snapshot() {
		const path = this.camera.streams.map((stream) => stream.urls.jpeg).find(Boolean);
		const picture = this.player.picture();
		const blob = path && await fetch(location.origin + path, { cache: 'no-store' })
			.then((response) => response.ok && response.blob()).catch(() => null) ||
			picture && await new Promise((done) => picture.toBlob(done, 'image/jpeg', 0.95));

		if (!blob) {
			this.#page.notify(t('no_snapshot'));
			return;
		}
		const url = URL.createObjectURL(blob);
		const time = new Date().toISOString().slice(0, 19).replace(/:/g, '-');

		el('a', { href: url, download: `${this.camera.name}-${time}.jpg` }).click();
		setTimeout(() => URL.revokeObjectURL(url), 10000);
	}

	// What a person should know: of the camera first, then of the connection.
	#trouble() {
		const { state, problem } = this.camera;
		const { gesture, state: playing } = this.player;

		if (this.paused)
			return t('paused');
		if (gesture || playing === 'live')
			return '';
		if (state !== 'running')
			return t(`camera_${state}`) + (problem && `: ${problem}`);
		return playing === 'off' ? '' : t(playing);
	}

	draw() {
		const { player, paused } = this;
		const { lag, fps } = player.stats;
		const offer = player.gesture ? t('click') :
			player.offer && !paused ? t('use', { name: t(player.offer) }) : '';

		const action = paused ? 'play' : 'pause';

		setText(this.#message, this.#trouble());
		setText(this.#offer, offer);
		this.#offer.hidden = !offer;
		this.element.dataset.state = paused ? 'paused' : player.state;
		setText(this.#figures, player.state !== 'live' || player.transport === 'img' ? '' :
			(lag === null ? '' : `${t('lag', { n: Math.round(lag) })} · `) + t('fps', { n: fps }));
		setIconButton(this.#pause, action, t(action, this.camera));
	}
}
