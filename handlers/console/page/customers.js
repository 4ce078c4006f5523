// The customer directory: search.

import { get, post } from './api.js';
import { h } from './dom.js';
import { complain, goTo, say } from './notes.js';
import { look } from './say.js';
import { number, said, t } from './words.js';

export const title = () => t('customers');

const params = ['tel', 'id', 'email', 'thirdAccountId'];
let found = null; // by the last search; reset when the page is left
let directory = null;
let asked = 0;

addEventListener('hashchange', () => { found = null; });

export async function show(draw) {
	if (!directory || Date.now() - asked > 60_000) { // counting many customers takes time
		directory = await get('customers');
		asked = Date.now();
	}
	draw(
		h('h1', { tabindex: -1 }, t('customers')),
		h('p', { class: 'lede' }, t('customers lede')),
		h('p', { class: 'hint' }, t('directory is', directory.store), ' ', directory.count === undefined ? said(directory.error ?? '') : t('directory count', number(directory.count))),
		h('form', { class: 'panel', role: 'search', 'aria-label': t('search'), onsubmit: search },
			h('div', { class: 'fields' }, params.map((name) => h('div', null,
				h('label', { for: 'find-' + name }, t(name)),
				h('input', { id: 'find-' + name, type: name === 'tel' ? 'tel' : 'text', autocomplete: 'off', spellcheck: 'false' })))),
			h('button', { type: 'submit', class: 'main' }, t('search'))),
		h('section', { 'aria-labelledby': found ? 'results' : null }, found && [
			h('h2', { id: 'results', tabindex: -1 }, t('results')),
			h('p', null, found.length ? t('found count', number(found.length)) : t('found none')),
			h('ul', { class: 'cards' }, found.map((customer) => h('li', { class: 'card' },
				h('h3', null, customer.nick || customer.realname || customer.id),
				h('dl', { class: 'facts' }, Object.entries(customer).filter(([, value]) => value !== '').map(([name, value]) =>
					h('div', null, h('dt', null, name), h('dd', null, value)))))))]),
	);
}

async function search(event) {
	event.preventDefault();
	const what = {};
	for (const name of params) {
		const value = document.getElementById('find-' + name).value.trim();
		if (value) what[name] = value;
	}
	try {
		found = await post('search', what);
		say(found.length ? t('found count', number(found.length)) : t('found none'), found.length ? 'good' : 'plain');
	} catch (error) {
		found = null;
		complain(error);
	}
	await look();
	if (found) goTo('results');
}
