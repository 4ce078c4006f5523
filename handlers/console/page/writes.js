// The writes of an API that happen once: what became of them, and settling those of
// unknown fate.

import { post } from './api.js';
import { sure } from './ask.js';
import { table } from './detail.js';
import { h } from './dom.js';
import { complain, reject, say } from './notes.js';
import { badge } from './outcome.js';
import { look } from './say.js';
import { moment, number, said, t } from './words.js';

let listed = null; // the list, once somebody asked for it: it is read from the storage
let chosen = null; // the write whose key was typed, with its key

addEventListener('hashchange', () => { listed = chosen = null; });

const kinds = { answered: 'good', under_way: 'plain', unknown: 'warn' };

export function writes(api) {
	if (!api.once) return null;
	return h('section', { class: 'card', 'aria-labelledby': 'writes-title' },
		h('h2', { id: 'writes-title' }, t('writes')),
		h('p', null, t('writes lede')),
		h('button', { type: 'button', onclick: () => act(() => list(api.name)) }, t(listed ? 'writes again' : 'writes list')),
		listed && overview(listed),
		h('form', { 'aria-labelledby': 'writes-title', onsubmit: (event) => { event.preventDefault(); act(() => find(api.name)); } },
			h('label', { for: 'write-key' }, t('write key')),
			h('input', { id: 'write-key', type: 'text', maxlength: 256, autocomplete: 'off', spellcheck: 'false', 'aria-describedby': 'write-hint' }),
			h('p', { id: 'write-hint', class: 'hint' }, t('write key hint')),
			h('button', { type: 'submit' }, t('write find'))),
		chosen && h('div', { 'data-key': 'chosen-write' },
			rows([chosen.write]),
			chosen.write.state === 'under_way' ? null : h('button', { type: 'button', onclick: () => act(() => forget(api.name, chosen.key)) }, t('write forget'))));
}

function overview(list) {
	return h('div', { 'data-key': 'writes-list' },
		list.writes.length ? rows(list.writes) : h('p', null, t('writes none')),
		list.unreadable ? h('p', null, t('writes unreadable', number(list.unreadable))) : null,
		list.more ? h('p', null, t('writes more')) : null);
}

const rows = (list) => table(t('writes'), [t('write key'), t('write state'), t('write sent'), t('write expires'), t('write why')],
	list.map((write) => [h('code', null, write.key),
		badge(kinds[write.state], write.outcome ? t('o ' + write.outcome) : t('w ' + write.state), 'span'),
		write.sent ? moment(write.sent) : '–', write.expires ? moment(write.expires) : '–', write.reason ? said(write.reason) : '–']));

async function act(done) {
	try {
		await done();
	} catch (error) {
		complain(error);
	}
	await look();
}

async function list(api) {
	listed = await post('writes', { api });
}

async function find(api) {
	const field = document.getElementById('write-key');
	const key = field.value;
	chosen = null;
	if (!key) {
		reject(field, new Error(t('write no key')));
		return;
	}
	chosen = { key, write: await post('write', { api, key }) };
}

async function forget(api, key) {
	if (!(await sure(t('write question'), t('write forget')))) return;
	await post('forget', { api, key });
	chosen = null;
	say(t('write forgotten'));
	if (listed) await list(api);
}
