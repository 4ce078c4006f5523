// The playground: runs an output program on an answer, and shows what the phone system
// would get.

import { parse, post } from './api.js';
import { coded, h, render } from './dom.js';
import { copy, folded } from './fold.js';
import { complain } from './notes.js';
import { look } from './say.js';
import { moment, number, t } from './words.js';

const wait = 300; // ms after the last keystroke
let begun = null; // the playground's initial state; reset when the page is left
let done = null; // the last result
let timer = 0;
let turn = 0; // counts attempts, so that late responses to earlier ones are dropped

addEventListener('hashchange', () => { clearTimeout(timer); turn++; begun = done = null; });

const field = (id) => document.getElementById('bench-' + id);
const written = (value) => JSON.stringify(value, null, 2);

export function bench(api) {
	return h('section', { class: 'panel', 'data-key': 'bench', 'aria-labelledby': 'bench' },
		h('h2', { id: 'bench', tabindex: -1 }, t('bench')),
		h('p', { class: 'hint' }, coded(t('bench lede'))),
		begun === null ? h('button', { type: 'button', onclick: () => open(api) }, t('open bench')) : form(api));
}

// open opens the playground: with the given sample, or else with the one that the server
// has kept.
export async function open(api, sample) {
	const here = location.hash;
	try {
		const fresh = await post('bench', { api });
		if (location.hash !== here) return;
		begun = { ...fresh, sample: sample ?? fresh.kept };
	} catch (error) {
		complain(error);
		return;
	}
	await look();
	const { sample: given } = begun;
	field('output').value = begun.output || '.';
	field('answer').value = given ? written(given.answer) : '';
	const parts = Object.fromEntries((begun.parts ?? []).map((name, i) => [name, given?.parts?.[i] ?? {}]));
	field('vars').value = written({ status: given?.status ?? 200, params: given?.params ?? {}, headers: given?.headers ?? {}, ...parts });
	field('for').value = begun.for ?? '';
	document.getElementById('bench').focus();
	attempt(api);
}

function form(api) {
	const area = (id, rows, hint) => [
		h('label', { for: 'bench-' + id }, t('bench ' + id)),
		h('textarea', { id: 'bench-' + id, rows, spellcheck: 'false', autocomplete: 'off', autocapitalize: 'off', 'aria-describedby': hint ? 'bench-' + id + '-hint' : null, oninput: () => later(api) }),
		hint && h('p', { id: 'bench-' + id + '-hint', class: 'hint' }, hint),
	];
	const { sample } = begun;
	const source = sample ? (sample.time ? t('bench kept', moment(sample.time)) : t('bench tested')) : begun.keeps ? t('bench none yet') : t('bench none kept');
	return h('div', { class: 'bench' },
		h('div', null,
			area('output', 8, t('bench output hint')),
			area('answer', 8, source),
			area('vars', 4, null)),
		h('div', null,
			h('label', { for: 'bench-for' }, t('bench for')),
			h('select', { id: 'bench-for', onchange: () => attempt(api) },
				h('option', { value: '' }, t('bench for none')), begun.systems.map((name) => h('option', { value: name }, name))),
			h('div', { id: 'bench-done', 'aria-live': 'polite' }, shown())));
}

function shown() {
	if (done === null) return null;
	if (done.error) return [h('h3', null, t('bench error')), h('pre', { class: 'wrong' }, done.error)];
	const size = new TextEncoder().encode(done.text).length;
	return [
		h('h3', null, t('bench result')), folded('bench-result', written(done.result), t('bench result'), 'result.json'),
		h('h3', null, t('bench text')),
		done.refused
			? h('pre', { class: 'wrong' }, t('bench refused', done.format, done.refused))
			: [folded('bench-text', done.text, t('bench text'), 'answer.txt'),
				h('p', { class: 'hint' }, done.limit ? t('bench size of', number(size), number(done.limit), done.format) : t('bench size', number(size), done.format))],
		done.lines && [
			h('h3', null, t('bench lines')), h('pre', { id: 'bench-lines' }, done.lines),
			done.file && h('p', { class: 'hint' }, t('bench file', done.file)),
			h('button', { type: 'button', onclick: () => copy(done.lines, 'bench-lines') }, t('copy'))],
	];
}

function later(api) {
	clearTimeout(timer);
	timer = setTimeout(() => attempt(api), wait);
}

async function attempt(api) {
	clearTimeout(timer);
	const mine = ++turn;
	let next;
	try {
		next = await post('try', { api, output: field('output').value, answer: json('answer'), vars: json('vars'), for: field('for').value });
	} catch (error) {
		if (error.status === 0 || error.status === 401) complain(error);
		next = { error: error.message };
	}
	if (mine !== turn || !field('done')) return;
	done = next;
	render(field('done'), shown());
}

// json parses a field. Its error is shown in the place of the result.
function json(id) {
	const text = field(id).value.trim();
	if (!text) {
		if (id === 'vars') return {};
		throw new Error(t('bench no answer'));
	}
	try {
		return parse(text);
	} catch {
		throw new Error(t('bench not json', t('bench ' + id)));
	}
}
