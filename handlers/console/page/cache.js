// The cache: its statistics, and purging it.

import { get, post } from './api.js';
import { sure } from './ask.js';
import { h } from './dom.js';
import { complain, reject, say } from './notes.js';
import { look, nameOf, object } from './say.js';
import { bytes, number, percent, t } from './words.js';

export const title = () => t('cache');

export async function show(draw) {
	const [cache, apis] = await Promise.all([get('cache'), get('apis')]);
	const asked = cache.hits + cache.misses;
	const pair = (name, value) => h('div', null, h('dt', null, name), h('dd', null, value));
	draw(
		h('h1', { tabindex: -1 }, t('cache')),
		h('p', { class: 'lede' }, t('cache lede')),
		h('dl', { class: 'numbers' },
			pair(t('hit rate'), asked ? percent(cache.hits / asked) : '–'),
			pair(t('hits'), number(cache.hits)),
			pair(t('misses'), number(cache.misses)),
			pair(t('entries'), number(cache.entries)),
			pair(t('room'), [h('span', null, t('room of', bytes(cache.bytes), bytes(cache.size))), ' ',
				h('meter', { min: 0, max: cache.size, value: cache.bytes, 'aria-label': t('room') })]),
			pair(t('evicted'), number(cache.evicted)),
			pair(t('refused'), number(cache.refused))),
		h('form', { class: 'panel', 'aria-labelledby': 'purge-title', onsubmit: purge },
			h('h2', { id: 'purge-title' }, t('purge')),
			h('p', null, t('purge lede')),
			h('label', { for: 'purge-api' }, t('purge what')),
			h('select', { id: 'purge-api' }, h('option', { value: '' }, t('everything')), apis.map((api) => h('option', { value: api.name }, nameOf(api)))),
			h('label', { for: 'purge-params' }, t('purge params')),
			h('textarea', { id: 'purge-params', rows: 2, spellcheck: 'false', autocomplete: 'off', 'aria-describedby': 'purge-hint' }),
			h('p', { id: 'purge-hint', class: 'hint' }, t('purge params hint')),
			h('button', { type: 'submit' }, t('purge'))),
	);
}

async function purge(event) {
	event.preventDefault();
	const api = document.getElementById('purge-api').value;
	const field = document.getElementById('purge-params');
	const written = field.value.trim();
	const what = api ? { api } : {};
	try {
		if (written) what.params = object(written);
	} catch (error) {
		reject(field, error);
		return;
	}
	try {
		if (!api && !written && !(await sure(t('purge question'), t('purge')))) return;
		const { purged } = await post('purge', what);
		say(t('purged now', purged === 'all' ? t('everything') : purged));
		await look();
	} catch (error) {
		complain(error);
	}
}
