// The page: all cameras in a grid, or one alone, with details.

import { getJson } from './api.js';
import { Details } from './details.js';
import { el, icon, iconButton, setText } from './dom.js';
import { count, language, t } from './text.js';
import { Tile } from './tile.js';

const POLL_MS = 3000, DRAW_MS = 500;
const HIDDEN_MS = 5000; // a hidden page plays on for this long
const TILE_MIN = 300; // CSS pixels of width, below which the grid scrolls
const GAP = 8;
const RATIO = 16 / 9;
const NOTICE_MS = 4000;

const query = new URLSearchParams(location.search);
const embedded = query.has('embed');

class Page {
	#main = document.getElementById('main');
	#bar = document.getElementById('bar');
	#notice = document.getElementById('notice');
	#title = el('h1');
	#summary = el('span', { className: 'summary' });
	#back = iconButton('back', t('back'), () => this.open(null), { hidden: true });
	#grid = el('div', { className: 'grid' });
	#details = new Details(this);
	#keys = keysDialog();
	#tiles = new Map(); // by name, in the order of the server
	#server = { name: '', control: false };
	#alone = query.get('camera');
	#detailed = false;
	#awake = true;
	#sleep = 0;
	#noticeTimer = 0;
	#reachable = true;
	#seen = new IntersectionObserver((entries) => this.#see(entries), { rootMargin: '100px' });

	constructor() {
		document.documentElement.lang = language;
		document.body.classList.toggle('embedded', embedded);
		this.#bar.append(this.#back, icon('camera'), this.#title, this.#summary,
			iconButton('help', t('help'), () => this.#keys.showModal()));
		this.#main.append(this.#grid, this.#details.element);
		document.body.append(this.#keys);
		new ResizeObserver(() => this.#fit()).observe(this.#grid);
		document.addEventListener('visibilitychange', () => this.#handleVisibility());
		document.addEventListener('keydown', (event) => this.#handleKey(event));
		window.addEventListener('online', () => this.#wake());
		window.addEventListener('popstate', () => {
			this.#alone = new URLSearchParams(location.search).get('camera');
			this.#detailed &&= this.#alone !== null;
			this.arrange();
		});
		setInterval(() => this.#draw(), DRAW_MS);
		this.#poll();
	}

	server() {
		return this.#server;
	}

	notify(text) {
		const notice = document.getElementById('notice');

		setText(notice, text);
		clearTimeout(this.#noticeTimer);
		this.#noticeTimer = setTimeout(() => setText(notice, ''), NOTICE_MS);
	}

	// --- the news of the server ---

	async #poll() {
		if (this.#awake) {
			try {
				this.#update(await getJson('/api/cameras'));
			} catch {
				this.#reachable = false;
				clearTimeout(this.#noticeTimer);
				setText(this.#notice, t('no_server'));
			}
		}
		setTimeout(() => this.#poll(), this.#reachable ? POLL_MS : 1000);
	}

	#update({ server, cameras }) {
		if (!this.#reachable)
			setText(this.#notice, '');
		this.#reachable = true;
		this.#server = server;
		document.title = server.name;
		setText(this.#title, server.name);
		setText(this.#summary, `${count('cameras', cameras.length)} · ${
			count('viewers', cameras.reduce((sum, camera) => sum + camera.viewers, 0))}`);
		for (const camera of cameras) {
			const tile = this.#tiles.get(camera.name);

			if (tile)
				tile.update(camera);
			else
				this.#add(camera);
		}
		for (const [name, tile] of this.#tiles)
			if (!cameras.some((camera) => camera.name === name))
				this.#remove(name, tile);
		if (cameras.length === 0)
			setText(this.#notice, t('no_cameras'));
		else if (this.#alone !== null && !this.#tiles.has(this.#alone))
			setText(this.#notice, t('no_camera', { name: this.#alone }));
		this.arrange();
		this.#details.update();
	}

	#add(camera) {
		const tile = new Tile(camera, this);

		this.#tiles.set(camera.name, tile);
		this.#grid.append(tile.element);
		this.#seen.observe(tile.element);
	}

	#remove(name, tile) {
		this.#seen.unobserve(tile.element);
		tile.run(false);
		tile.element.remove();
		this.#tiles.delete(name);
	}

	// --- what is shown ---

	// One camera alone, or all of them: null.
	open(name) {
		if (embedded || this.#alone === name)
			return;
		if (name === null)
			this.#detailed = false;
		this.#alone = name;
		history.pushState(null, '', name === null ? '/' : `/?camera=${encodeURIComponent(name)}`);
		this.arrange();
		const tile = this.#tiles.get(name)?.element;

		if (tile && !tile.contains(document.activeElement))
			tile.focus();
	}

	details(name) {
		this.#detailed = !(this.#detailed && this.#alone === name);
		this.open(name);
		this.arrange();
	}

	closeDetails() {
		this.#detailed = false;
		this.arrange();
	}

	arrange() {
		const alone = this.#tiles.get(this.#alone) || null;

		for (const tile of this.#tiles.values()) {
			tile.element.hidden = this.#alone !== null && tile !== alone;
			tile.run(this.#awake && !tile.element.hidden);
		}
		this.#back.hidden = this.#alone === null || embedded;
		this.#main.classList.toggle('detailed', this.#detailed && alone !== null);
		this.#details.show(this.#detailed ? alone : null);
		this.#fit();
	}

	// The number of columns with which the tiles are largest.
	#fit() {
		const shown = this.#alone === null ? Math.max(1, this.#tiles.size) : 1;
		const { clientWidth, clientHeight } = this.#grid;
		const width = clientWidth - 2 * GAP, height = clientHeight - GAP;
		let columns = 1, size = 0;

		for (let n = 1; n <= shown; n++) {
			const rows = Math.ceil(shown / n);
			const fits = Math.min((width - (n - 1) * GAP) / n,
				(height - (rows - 1) * GAP) / rows * RATIO);

			if (fits > size) {
				size = fits;
				columns = n;
			}
		}
		const scrolls = shown > 1 && size < Math.min(TILE_MIN, width);

		if (scrolls) {
			columns = Math.max(1, Math.floor((width + GAP) / (TILE_MIN + GAP)));
			size = (width - (columns - 1) * GAP) / columns;
		}
		this.#grid.classList.toggle('one', shown === 1);
		this.#grid.style.setProperty('--columns', columns);
		this.#grid.style.setProperty('--size', `${Math.floor(size)}px`);
	}

	#see(entries) {
		for (const entry of entries) {
			const tile = this.#tiles.get(entry.target.dataset.camera);

			if (tile)
				tile.visible = entry.isIntersecting || entry.target.hidden;
		}
		this.arrange();
	}

	#draw() {
		if (document.hidden)
			return;
		for (const tile of this.#tiles.values())
			if (!tile.element.hidden)
				tile.draw();
		this.#details.draw();
	}

	// --- events ---

	#handleVisibility() {
		clearTimeout(this.#sleep);
		if (!document.hidden)
			this.#wake();
		else
			this.#sleep = setTimeout(() => {
				this.#awake = false;
				this.arrange();
			}, HIDDEN_MS);
	}

	#wake() {
		this.#awake = true;
		for (const tile of this.#tiles.values())
			if (tile.player.state !== 'live')
				tile.player.restart();
		this.arrange();
	}

	#current() {
		return this.#tiles.get(document.activeElement?.closest?.('.tile')?.dataset.camera) ||
			this.#tiles.get(this.#alone) || null;
	}

	#move(step) {
		const tiles = [...this.#tiles.values()];
		const at = tiles.indexOf(this.#current());
		const next = tiles[at < 0 ? 0 : (at + step + tiles.length) % tiles.length];

		if (this.#alone !== null)
			this.open(next.camera.name);
		next.element.focus();
	}

	#handleKey(event) {
		const tile = this.#current();
		const inButton = event.target.closest('button, input, select, a, dialog');

		if (event.ctrlKey || event.altKey || event.metaKey || inButton && event.key !== 'Escape' ||
		    this.#tiles.size === 0 || this.#keys.open)
			return;
		const actions = {
			Enter: () => tile && this.open(this.#alone === null ? tile.camera.name : null),
			Escape: () => !document.fullscreenElement && this.open(null),
			ArrowRight: () => this.#move(1), ArrowDown: () => this.#move(1),
			ArrowLeft: () => this.#move(-1), ArrowUp: () => this.#move(-1),
			f: () => tile?.full(), s: () => tile?.snapshot(), p: () => tile?.toggle(),
			' ': () => tile?.toggle(), i: () => tile && this.details(tile.camera.name),
			'?': () => this.#keys.showModal(),
		};
		const number = /^[1-9]$/.test(event.key) && [...this.#tiles.keys()][Number(event.key) - 1];

		if (number)
			this.open(number);
		else if (actions[event.key])
			actions[event.key]();
		else
			return;
		event.preventDefault();
	}
}

function keysDialog() {
	const keys = [['Enter', 'key_open'], ['Esc', 'key_back'], ['← →', 'key_move'],
		['1 – 9', 'key_number'], ['F', 'key_full'], ['S', 'key_snapshot'], ['P', 'key_pause'],
		['I', 'key_info']];
	const dialog = el('dialog', { 'aria-label': t('keys') },
		el('h2', {}, t('keys')),
		el('dl', {}, keys.map(([key, text]) =>
			[el('dt', {}, el('kbd', {}, key)), el('dd', {}, t(text))])),
		el('form', { method: 'dialog' }, el('button', {}, t('close'))));

	return dialog;
}

new Page();
