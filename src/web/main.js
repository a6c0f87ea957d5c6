// The page: all cameras in a grid, or one alone, with details.

import { getJson, postJson } from './api.js';
import * as details from './details.js';
import { el, icon, iconButton, setText } from './dom.js';
import { count, language, t } from './text.js';
import { Tile } from './tile.js';

const POLL_MS = 3000, DRAW_MS = 500;
const HIDDEN_MS = 5000; // a hidden page plays on for this long
const TILE_MIN = 300; // CSS pixels of width, below which the grid scrolls
const GAP = 8;
const RATIO = 16 / 9;
const NOTICE_MS = 4000;
const OPEN = { local: 'open_local', listed: 'open_listed', all: 'open_all' };
const KEYS = { Enter: 'key_open', Esc: 'back', '← →': 'key_move', '1 – 9': 'key_number', F: 'full',
	S: 'snapshots', P: 'key_pause', I: 'key_info' };

const parameter = (name) => new URLSearchParams(location.search).get(name);
const embedded = parameter('embed') !== null;

const [main, bar, notice] = ['main', 'bar', 'notice'].map((id) => document.getElementById(id));
const title = el('h1');
const summary = el('span', { className: 'summary' });
const back = iconButton('back', t('back'), () => open(null), { hidden: true });
const door = el('a', { href: '/login', hidden: true });
const grid = el('div', { className: 'grid' });
const keys = el('dialog', { 'aria-label': t('keys') },
	el('h2', {}, t('keys')),
	el('dl', {}, Object.entries(KEYS).map(([key, what]) =>
		[el('dt', {}, el('kbd', {}, key)), el('dd', {}, t(what))])),
	el('form', { method: 'dialog' }, el('button', {}, t('close'))));
const seen = new IntersectionObserver(see, { rootMargin: '100px' });
const tiles = new Map(); // by name, in the order of the server
// What tiles and details may ask for.
const page = { server: null, open, arrange, notify, showDetails };
let alone = parameter('camera');
let detailed = false;
let awake = true;
let reachable = true;
let sleep = 0, noticeTimer = 0;

function notify(text) {
	setText(notice, text);
	clearTimeout(noticeTimer);
	noticeTimer = setTimeout(() => setText(notice, ''), NOTICE_MS);
}

// --- the news of the server ---

async function poll() {
	if (awake) {
		try {
			update(await getJson('/api/cameras'));
		} catch ({ status }) {
			if (status === 401 && !embedded) {
				location.replace(`/login${location.search}`);
				return;
			}
			reachable = false;
			clearTimeout(noticeTimer);
			setText(notice, t('no_server'));
		}
	}
	setTimeout(poll, reachable ? POLL_MS : 1000);
}

function update({ server, cameras }) {
	if (!reachable)
		setText(notice, '');
	reachable = true;
	page.server = server;
	document.title = server.name;
	setText(title, server.name);
	setText(summary, `${count('cameras', cameras.length)} · ${
		count('viewers', cameras.reduce((sum, camera) => sum + camera.viewers, 0))}`);
	showDoor(server);
	for (const camera of cameras) {
		if (tiles.has(camera.name))
			tiles.get(camera.name).update(camera);
		else
			add(camera);
	}
	for (const [name, tile] of tiles)
		if (!cameras.some((camera) => camera.name === name))
			remove(name, tile);
	if (cameras.length === 0)
		setText(notice, t('no_cameras'));
	else if (alone !== null && !tiles.has(alone))
		setText(notice, t('no_camera', { name: alone }));
	arrange();
	details.update();
}

// Who is logged in, and the way in or out; and a word where no password is needed.
function showDoor({ user, users, open_to: openTo }) {
	const open = OPEN[openTo];

	door.hidden = !users && !open || embedded;
	setText(door, user ? t('log_out', { name: user }) : users ? t('log_in') : open ? t(open) : '');
	door.classList.toggle('open', !users);
	if (users)
		door.href = '/login';
	else
		door.removeAttribute('href');
	door.onclick = user ? logOut : null;
}

async function logOut(event) {
	event.preventDefault();
	await postJson('/api/logout', {}).catch(() => {});
	location.replace('/login');
}

function add(camera) {
	const tile = new Tile(camera, page);

	tiles.set(camera.name, tile);
	grid.append(tile.element);
	seen.observe(tile.element);
}

function remove(name, tile) {
	seen.unobserve(tile.element);
	tile.run(false);
	tile.element.remove();
	tiles.delete(name);
}

// --- what is shown ---

// One camera alone, or all of them: null.
function open(name) {
	if (embedded || alone === name)
		return;
	detailed &&= name !== null;
	alone = name;
	history.pushState(null, '', name === null ? '/' : `/?camera=${encodeURIComponent(name)}`);
	arrange();
	const element = tiles.get(name)?.element;

	if (!element?.contains(document.activeElement))
		element?.focus();
}

// The details of one camera; a second time, or for null: none.
function showDetails(name) {
	detailed = name !== null && !(detailed && alone === name);
	if (name !== null)
		open(name);
	arrange();
}

function arrange() {
	const only = tiles.get(alone) || null;

	for (const tile of tiles.values()) {
		tile.element.hidden = alone !== null && tile !== only;
		tile.run(awake && !tile.element.hidden);
	}
	back.hidden = alone === null || embedded;
	main.classList.toggle('detailed', detailed && only !== null);
	details.show(detailed ? only : null);
	fit();
}

// The number of columns with which the tiles are largest.
function fit() {
	const shown = alone === null ? Math.max(1, tiles.size) : 1;
	const width = grid.clientWidth - 2 * GAP, height = grid.clientHeight - GAP;
	const part = (space, n) => (space - (n - 1) * GAP) / n;
	let columns = 1, size = 0;

	for (let n = 1; n <= shown; n++) {
		const fits = Math.min(part(width, n), part(height, Math.ceil(shown / n)) * RATIO);

		if (fits > size) {
			size = fits;
			columns = n;
		}
	}
	if (shown > 1 && size < Math.min(TILE_MIN, width)) { // the grid scrolls
		columns = Math.max(1, Math.floor((width + GAP) / (TILE_MIN + GAP)));
		size = part(width, columns);
	}
	grid.classList.toggle('one', shown === 1);
	grid.style.setProperty('--columns', columns);
	grid.style.setProperty('--size', `${Math.floor(size)}px`);
}

function see(entries) {
	for (const { target, isIntersecting } of entries) {
		const tile = tiles.get(target.dataset.camera);

		if (tile)
			tile.visible = isIntersecting || target.hidden;
	}
	arrange();
}

function draw() {
	if (document.hidden)
		return;
	for (const tile of tiles.values())
		if (!tile.element.hidden)
			tile.draw();
	details.draw();
}

// --- events ---

function handleVisibility() {
	clearTimeout(sleep);
	if (!document.hidden)
		wake();
	else
		sleep = setTimeout(() => {
			awake = false;
			arrange();
		}, HIDDEN_MS);
}

function wake() {
	awake = true;
	for (const { player } of tiles.values())
		if (player.state !== 'live')
			player.restart();
	arrange();
}

function current() {
	return tiles.get(document.activeElement?.closest?.('.tile')?.dataset.camera) || tiles.get(alone);
}

function move(step) {
	const list = [...tiles.values()];
	const at = list.indexOf(current());
	const next = list[at < 0 ? 0 : (at + step + list.length) % list.length];

	if (alone !== null)
		open(next.camera.name);
	next.element.focus();
}

function handleKey(event) {
	const { key } = event;
	const tile = current();
	const inButton = event.target.closest('button, input, select, a, dialog');

	if (event.ctrlKey || event.altKey || event.metaKey || inButton && key !== 'Escape' ||
	    tiles.size === 0 || keys.open)
		return;
	const next = () => move(1), previous = () => move(-1), toggle = () => tile?.toggle();
	const actions = {
		Enter: () => tile && open(alone === null ? tile.camera.name : null),
		Escape: () => !document.fullscreenElement && open(null),
		ArrowRight: next, ArrowDown: next, ArrowLeft: previous, ArrowUp: previous,
		f: () => tile?.full(), s: () => tile?.snapshot(), p: toggle, ' ': toggle,
		i: () => tile && showDetails(tile.camera.name), '?': () => keys.showModal(),
	};
	const number = /^[1-9]$/.test(key) && [...tiles.keys()][key - 1];

	if (number)
		open(number);
	else if (actions[key])
		actions[key]();
	else
		return;
	event.preventDefault();
}

document.documentElement.lang = language;
document.body.classList.toggle('embedded', embedded);
bar.append(back, icon('camera'), title, summary, door, iconButton('help', t('keys'), () => keys.showModal()));
details.begin(page);
main.append(grid, details.panel);
document.body.append(keys);
new ResizeObserver(fit).observe(grid);
document.addEventListener('visibilitychange', handleVisibility);
document.addEventListener('keydown', handleKey);
window.addEventListener('online', wake);
window.addEventListener('popstate', () => {
	alone = parameter('camera');
	detailed &&= alone !== null;
	arrange();
});
setInterval(draw, DRAW_MS);
poll();
