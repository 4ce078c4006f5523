// The list of all APIs.

import { get, post } from './api.js';
import { sure } from './ask.js';
import { callsChart, callsLegend } from './chart.js';
import { h } from './dom.js';
import { complain, say } from './notes.js';
import { badge, inGroup } from './outcome.js';
import { look, nameOf } from './say.js';
import { ms, number, percent, since, t } from './words.js';

export const title = () => t('apis');

export async function show(draw) {
	const list = await get('apis');
	draw(
		h('h1', { tabindex: -1 }, t('apis')),
		h('p', { class: 'lede' }, t('apis lede')),
		list.length ? callsLegend() : h('p', null, t('no apis')),
		h('ul', { class: 'cards' }, list.map((api) => h('li', { class: 'card', 'data-key': api.name },
			h('div', { class: 'head' },
				h('h2', null, h('a', { href: '#/apis/' + encodeURIComponent(api.name) }, nameOf(api))),
				badges(api)),
			numbers(api.hour),
			callsChart(nameOf(api), api.hour),
			holdButton(api)))),
	);
}

export function badges(api) {
	const list = [];
	const add = (kind, text) => list.push(badge(kind, text, 'li'));
	if (api.held) add('bad', t('held'));
	if (api.breaker) add(api.breaker === 'closed' ? 'plain' : 'warn', t('breaker ' + api.breaker));
	if (api.degraded) add('warn', api.degraded_since ? t('degraded since', since(api.degraded_since)) : t('degraded'));
	else if (!api.held) {
		if (!api.hour.calls) add('plain', t('quiet'));
		else if (inGroup(api.hour.outcomes, 'answered')) add('good', t('answering'));
		else if (inGroup(api.hour.outcomes, 'failed')) add('bad', t('no real answers'));
	}
	return h('ul', { class: 'badges' }, list);
}

export function numbers(hour) {
	const counted = hour.calls - inGroup(hour.outcomes, 'caller');
	const last = hour.minutes.at(-2)?.calls ?? 0;
	const pair = (name, value) => h('div', null, h('dt', null, name), h('dd', null, value));
	return h('dl', { class: 'numbers' },
		pair(t('calls in the hour'), number(hour.calls)),
		pair(t('per minute'), number(last)),
		pair(t('p50'), ms(hour.p50_ms)),
		pair(t('p99'), ms(hour.p99_ms)),
		pair(t('real answers'), counted > 0 ? percent(inGroup(hour.outcomes, 'answered') / counted) : '–'));
}

export function holdButton(api) {
	if (api.lookup) return null;
	const word = api.held ? 'release' : 'hold';
	return h('button', { type: 'button', 'aria-label': t(word + ' name', api.name), onclick: () => setHeld(api) }, t(word));
}

async function setHeld(api) {
	if (!api.held && !(await sure(t('hold question', api.name), t('hold')))) return;
	try {
		const now = await post(api.held ? 'release' : 'hold', { api: api.name });
		say(t(now.held ? 'held now' : 'released now', now.name));
		await look();
	} catch (error) {
		complain(error);
	}
}
