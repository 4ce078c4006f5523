// Tokens: their state, and how long they are valid.

import { get, post } from './api.js';
import { h } from './dom.js';
import { complain, say } from './notes.js';
import { badge } from './outcome.js';
import { look } from './say.js';
import { lasting, moment, number, said, t } from './words.js';

export const title = () => t('tokens');

const kinds = { fresh: 'good', renewing: 'good', due: 'plain', obtaining: 'plain', none: 'warn', failing: 'bad' };
const renewing = new Set();

export async function show(draw) {
	const list = await get('tokens');
	draw(
		h('h1', { tabindex: -1 }, t('tokens')),
		h('p', { class: 'lede' }, list.length ? t('tokens lede') : t('no tokens')),
		h('ul', { class: 'cards' }, list.map((token) => h('li', { class: 'card', 'data-key': token.name },
			h('div', { class: 'head' },
				h('h2', null, token.name),
				h('ul', { class: 'badges' }, badge(kinds[token.state] ?? 'plain', t(token.static ? 's static' : 's ' + token.state), 'li'))),
			h('dl', { class: 'facts' }, facts(token)),
			token.static ? null : h('button', { type: 'button', 'aria-label': t('renew name', token.name), 'aria-disabled': renewing.has(token.name) ? 'true' : null, onclick: () => renew(token.name) }, t('renew'))))),
	);
}

function facts(token) {
	const pair = (name, value, kind) => h('div', { class: kind ? 'wide' : null }, h('dt', null, name), h('dd', { class: kind }, value));
	const left = (Date.parse(token.expires) - Date.now()) / 1000;
	return [
		pair(t('time left'), !token.generation ? t('none') : token.expires ? lasting(left) : t('never')),
		token.expires && pair(t('runs out'), moment(token.expires)),
		token.next_attempt && pair(t(token.state === 'failing' || token.state === 'none' ? 'next attempt' : 'next renewal'), [moment(token.next_attempt), ' ', inTime(token.next_attempt)]),
		token.generation && !token.static ? pair(t('generation'), number(token.generation)) : null,
		token.fingerprint && pair(t('fingerprint'), h('code', null, token.fingerprint)),
		token.last_error && pair(t('last error'), said(token.last_error), 'wrong'),
	];
}

function inTime(at) {
	const left = (Date.parse(at) - Date.now()) / 1000;
	return left > 0 ? t('in time', lasting(left)) : null;
}

async function renew(name) {
	if (renewing.has(name)) return;
	renewing.add(name);
	say(t('renewing name', name), 'plain');
	try {
		await post('renew', { token: name });
		say(t('renewed now', name));
	} catch (error) {
		complain(error);
	}
	renewing.delete(name);
	await look();
}
