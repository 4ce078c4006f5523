// Routes by the part of the URL after #, and keeps what is shown up to date.

import { h, render } from './dom.js';
import { language, languages, speak, t } from './words.js';
import * as apis from './apis.js';
import * as api from './detail.js';
import * as tokens from './tokens.js';
import * as cache from './cache.js';
import * as customers from './customers.js';

const sections = { apis, tokens, cache, customers };
const every = 5000; // ms between two looks
const main = document.getElementById('main');

let turn = 0; // counts navigations: late answers of an earlier page are dropped
let shown = null;

function place() {
	const [section = '', ...rest] = location.hash.replace(/^#\/?/, '').split('/').map(decode);
	if (section === 'apis' && rest[0]) return { section, page: api, args: rest };
	return { section: section || 'apis', page: sections[section || 'apis'], args: [] };
}

function decode(text) {
	try {
		return decodeURIComponent(text);
	} catch {
		return text;
	}
}

function header(section) {
	document.getElementById('skip').textContent = t('skip');
	render(
		document.getElementById('top'),
		h('a', { class: 'brand', href: '#/apis' }, h('img', { src: 'icon.svg', alt: '', width: 28, height: 28 }), ' Switchboard'),
		h('nav', { 'aria-label': t('navigation') },
			h('ul', null, Object.keys(sections).map((name) =>
				h('li', null, h('a', { href: '#/' + name, 'aria-current': name === section ? 'page' : null }, t(name)))))),
		h('div', { class: 'language' },
			h('label', { for: 'language', class: 'hidden' }, t('language')),
			h('select', { id: 'language', onchange: (e) => { speak(e.target.value); show(false); } },
				Object.entries(languages).map(([code, name]) => h('option', { value: code, lang: code, selected: code === language() }, name)))),
	);
}

// say tells a person, and a screen reader, how something went.
export function say(text) {
	document.getElementById('alert').textContent = '';
	document.getElementById('status').textContent = text;
}

export function complain(error) {
	document.getElementById('status').textContent = '';
	const text = error.status === 401 ? t('signed out') : error.status === 0 ? t('offline') : t('failed', error.message);
	document.getElementById('alert').textContent = text;
}

// show goes to the page that the URL names.
async function show(moved) {
	const mine = ++turn;
	const { section, page, args } = place();
	header(section);
	if (moved) {
		say('');
		main.replaceChildren();
	}
	shown = page ? { page, args, draw: (...children) => mine === turn && render(main, ...children) } : null;
	const title = page ? page.title(...args) : t('not found');
	document.title = title + ' – Switchboard';
	if (!page) render(main, h('h1', { tabindex: -1 }, t('not found')));
	else {
		if (moved) render(main, h('h1', { tabindex: -1 }, title), h('p', null, t('loading')));
		await look();
	}
	if (moved && mine === turn && moved !== 'first') main.querySelector('h1')?.focus();
}

let broken = false;

// look asks for what is shown, and draws it.
export async function look() {
	if (!shown) return;
	const { page, args, draw } = shown;
	try {
		await page.show(draw, ...args);
		if (broken) say('');
		broken = false;
	} catch (error) {
		if (!('status' in error)) throw error;
		if (!broken || error.status !== 0) complain(error);
		broken = true;
	}
}

addEventListener('hashchange', () => show(true));
setInterval(() => { if (!document.hidden && !document.querySelector('dialog[open]')) look(); }, every);
document.addEventListener('visibilitychange', () => { if (!document.hidden) look(); });
show('first');
