// SPDX-License-Identifier: BSD-2-Clause
// Drives a browser for ../lib/browser.py: one command a line on standard input, as JSON, and one
// answer a line on standard output, {"value": ...} or {"error": "..."}. The browser ends with the
// standard input.
//
//   driver.mjs chromium|firefox MODULES [TRUST]
//
// MODULES: the folder in which `npm ci` has run. TRUST: see Browser in ../lib/browser.py.

import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

const [name, modules, trust] = process.argv.slice(2);
const puppeteer = createRequire(`${modules}/`)('puppeteer-core');
const pages = new Map(); // by the name that the test gives
const messages = []; // what the console and the pages complained of

function launch() {
	if (name === 'chromium')
		return puppeteer.launch({ browser: 'chrome', executablePath: '/usr/bin/chromium',
			headless: true, env: { ...process.env, ...trust && { HOME: trust } }, args: ['--no-sandbox', '--mute-audio',
				'--host-resolver-rules=MAP cam.test 127.0.0.1'] });
	return puppeteer.launch({ browser: 'firefox', executablePath: '/usr/bin/firefox-esr',
		headless: true, ...trust && { userDataDir: `${trust}/firefox` }, extraPrefsFirefox: { 'network.dns.localDomains': 'cam.test' } });
}

const browser = await launch();

async function open({ page: key, url, width = 1280, height = 720, phone = false, languages, scheme }) {
	const page = await browser.newPage();

	pages.set(key, page);
	page.on('console', (message) => {
		if (['error', 'warn', 'warning'].includes(message.type()))
			messages.push(message.text());
	});
	page.on('pageerror', (error) => messages.push(error.message));
	await page.setViewport({ width, height, ...phone && name === 'chromium' &&
		{ isMobile: true, hasTouch: true, deviceScaleFactor: 2 } });
	if (languages)
		await page.evaluateOnNewDocument((list) => {
			Object.defineProperty(navigator, 'languages', { get: () => list });
		}, languages);
	if (scheme && name === 'chromium')
		await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }]);
	await page.goto(url, { waitUntil: 'load' });
}

const commands = {
	open,
	evaluate: ({ page, script }) => pages.get(page).evaluate(script),
	reload: ({ page }) => pages.get(page).reload({ waitUntil: 'load' }),
	press: ({ page, key }) => pages.get(page).keyboard.press(key),
	click: ({ page, selector }) => pages.get(page).click(selector),
	screenshot: ({ page, path }) => pages.get(page).screenshot({ path }),
	show: ({ page }) => pages.get(page).bringToFront(),
	close: async ({ page }) => {
		await pages.get(page).close();
		pages.delete(page);
	},
	messages: () => messages.splice(0),
};

console.log(JSON.stringify({ value: await browser.version() }));
for await (const line of createInterface({ input: process.stdin })) {
	const command = JSON.parse(line);

	try {
		const value = await commands[command.do](command);

		console.log(JSON.stringify({ value: value === undefined || command.do === 'screenshot'
			? null : value }));
	} catch (error) {
		console.log(JSON.stringify({ error: String(error) }));
	}
}
await browser.close();
