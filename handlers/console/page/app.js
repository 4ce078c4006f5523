// Routes by the fragment of the URL, and keeps what is shown up to date.

import { onReach } from './api.js';
import { h, render } from './dom.js';
import { complain, say, unreachable } from './notes.js';
import { onLook } from './say.js';
import { language, languages, speak, t } from './words.js';
import * as apis from './apis.js';
import * as api from './detail.js';
import * as tokens from './tokens.js';
import * as cache from './cache.js';
import * as customers from './customers.js';

const sections = { apis, tokens, cache, customers };
const every = 5000; // ms between two refreshes
const main = document.getElementById('main');

let turn = 0; // counts navigations, so that late responses of an earlier page are dropped
let shown = null;
let looking = 0;
let broken = false; // the last refresh failed

// place returns the page that the URL names, e.g. #/apis/order. Other fragments, such as
// that of the skip link, are ignored.
function place() {
	const [section = '', ...rest] = location.hash.startsWith('#/') ? location.hash.slice(2).split('/').map(decode) : [];
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
	const skip = document.getElementById('skip');
	skip.textContent = t('skip');
	skip.onclick = (event) => {
		event.preventDefault(); // fragments belong to the router
		main.focus();
		main.scrollIntoView();
	};
	render(
		document.getElementById('top'),
		h('a', { class: 'brand', href: '#/apis' }, h('img', { src: 'icon.svg', alt: '', width: 28, height: 28 }), ' Switchboard'),
		h('nav', { 'aria-label': t('navigation') },
			h('ul', null, Object.keys(sections).map((name) =>
				h('li', null, h('a', { href: '#/' + name, 'aria-current': name === section ? 'page' : null }, t(name)))))),
		h('div', { class: 'language' },
			h('label', { for: 'language', class: 'hidden' }, t('language')),
			h('select', { id: 'language', onchange: (e) => { speak(e.target.value); say(''); show(false); } },
				Object.entries(languages).map(([code, name]) => h('option', { value: code, lang: code, selected: code === language() }, name)))),
	);
}

// show shows the page that the URL names.
async function show(moved) {
	const mine = ++turn;
	const { section, page, args } = place();
	header(section);
	if (moved) {
		say('');
		broken = false;
		main.replaceChildren();
	}
	shown = page ? { page, args, title: page.title(...args), drawn: !moved } : null;
	document.title = (shown?.title ?? t('not found')) + ' – Switchboard';
	if (!shown) render(main, h('h1', { tabindex: -1 }, t('not found')));
	else {
		if (moved) render(main, h('h1', { tabindex: -1 }, shown.title), h('p', null, t('loading')));
		await refresh();
	}
	if (moved && mine === turn && moved !== 'first') main.querySelector('h1')?.focus();
}

// refresh fetches what is shown, and draws it.
async function refresh() {
	const at = shown;
	if (!at) return;
	const draw = (...children) => at === shown && render(main, ...children);
	looking++;
	try {
		await at.page.show(draw, ...at.args);
		at.drawn = true;
		if (broken) say('');
		broken = false;
	} catch (error) {
		if (!('status' in error)) throw error;
		if (!at.drawn) {
			draw(h('h1', { tabindex: -1 }, at.title), h('p', null, t('not loaded')),
				error.status === 0 ? null : h('button', { type: 'button', onclick: refresh }, t('again')));
		}
		if (error.status !== 0 && !broken) {
			complain(error);
			broken = true;
		}
	} finally {
		looking--;
	}
}

onLook(refresh);

let lost = false;
let answered = 0; // when the server last answered; 0 for never

onReach((so) => {
	if (so) answered = Date.now();
	if (so && lost) {
		unreachable(null);
		say(t('online'));
	} else if (!so) unreachable(answered, refresh);
	lost = !so;
});

addEventListener('hashchange', () => { if (location.hash.startsWith('#/') || !location.hash) show(true); });
setInterval(() => { if (!looking && !document.hidden && !document.querySelector('dialog[open]')) refresh(); }, every);
document.addEventListener('visibilitychange', () => { if (!document.hidden) refresh(); });
show('first');
