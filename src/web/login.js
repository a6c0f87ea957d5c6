// The login: the answer has a cookie, which pictures, videos and WebSockets send by themselves.

import { postJson } from './api.js';
import { el, setText } from './dom.js';
import { language, t } from './text.js';

const name = el('input', { type: 'text', name: 'username', autocomplete: 'username', required: true,
	autocapitalize: 'none' });
const password = el('input', { type: 'password', name: 'password',
	autocomplete: 'current-password', required: true });
const problem = el('p', { role: 'alert' });
const button = el('button', {}, t('log_in'));

// RFC 7617: UTF-8, then base64.
function basic(...parts) {
	const bytes = new TextEncoder().encode(parts.join(':'));

	return `Basic ${btoa(String.fromCharCode(...bytes))}`;
}

async function logIn(event) {
	event.preventDefault();
	button.disabled = true;
	setText(problem, '');
	try {
		await postJson('/api/login', {}, { Authorization: basic(name.value, password.value) });
		location.replace(`/${location.search}`);
	} catch ({ status }) {
		setText(problem, t({ 401: 'login_wrong', 403: 'login_wrong', 429: 'login_slow' }[status] ||
			'no_server'));
		password.select();
	}
	button.disabled = false;
}

document.documentElement.lang = language;
document.getElementById('login').append(el('form', { onsubmit: logIn },
	el('h1', {}, 'camcast'),
	el('label', {}, t('user'), name), el('label', {}, t('password'), password), problem, button));
name.focus();
