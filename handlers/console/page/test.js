// Tests of an API, and its last failed calls, each shown step by step.

import { post } from './api.js';
import { open } from './bench.js';
import { coded, h } from './dom.js';
import { foldAll, folded } from './fold.js';
import { complain, goTo, reject, say } from './notes.js';
import { kind, outcomeBadge, stepBadge } from './outcome.js';
import { look, object } from './say.js';
import { moment, ms, number, said, t } from './words.js';

const options = ['dry_run', 'no_cache', 'fresh_token', 'live'];
let result = null; // of the last test; reset when the page is left
let failed = null;
let busy = false;

addEventListener('hashchange', () => { result = failed = null; });

export function testForm({ name: api, params, tests, lookup }) {
	return [
		h('form', { class: 'panel', 'aria-labelledby': 'test-title', onsubmit: (e) => test(e, api, tests) },
			h('h2', { id: 'test-title' }, t('test')),
			h('p', { class: 'hint' }, t('test lede')),
			tests.length > 1 && [
				h('label', { for: 'test-which' }, t('which')),
				h('select', { id: 'test-which' }, tests.map((one) => h('option', { value: one.name }, one.what)))],
			h('label', { for: 'test-params' }, t('params')),
			h('textarea', { id: 'test-params', rows: Math.max(3, params?.length ?? 0), spellcheck: 'false', autocomplete: 'off', 'aria-describedby': 'test-hint' }, (params ?? []).map((name) => name + '=').join('\n')),
			h('p', { id: 'test-hint', class: 'hint' }, t('params hint'), ' ', params?.length ? t('params known', params.join(', ')) : null),
			h('fieldset', null, h('legend', null, t('options')), options.map((name) =>
				h('label', { class: 'check', for: 'test-' + name }, h('input', { type: 'checkbox', id: 'test-' + name }), t(name)))),
			h('button', { type: 'submit', class: 'main', 'aria-disabled': busy ? 'true' : null }, t('test'))),
		result && h('section', { class: 'card', 'data-key': 'result', 'aria-labelledby': 'result' }, h('h2', { id: 'result', tabindex: -1 }, t('result')), traced(result, 'result', api), lookup ? null : toBench(api, result)),
		h('section', { class: 'card', 'data-key': 'failures', 'aria-labelledby': 'failures' },
			h('h2', { id: 'failures', tabindex: -1 }, t('failures')),
			h('p', { class: 'hint' }, t('failures lede')),
			failed === null ? h('button', { type: 'button', onclick: () => showFailures(api) }, t('show failures'))
				: failed.length === 0 ? h('p', null, t('no failures'))
					: failed.map((trace) => h('details', { 'data-key': trace.time }, h('summary', null, moment(trace.time), ' ', outcomeBadge(trace.outcome), ' ', h('code', null, trace.outcome)), traced(trace, trace.time, api)))),
	];
}

const text = (value) => (typeof value === 'string' ? value : JSON.stringify(value, null, 2));

// traced shows a call and its steps. key is unique on the page.
function traced(trace, key, api) {
	const pair = (name, value, wide) => h('div', { class: wide ? 'wide' : null }, h('dt', null, name), h('dd', null, value));
	const shown = (value, id, name) => folded(key + '/' + id, text(value), name, api + '-' + id + (typeof value === 'string' ? '.txt' : '.json'));
	// the steps of a part of a chain stand below the part
	const list = (steps, at) => {
		const longest = Math.max(0.001, ...steps.map((step) => step.ms));
		return h('ol', { class: 'steps' }, steps.map((step, i) => h('li', { 'data-key': at + i + step.step },
			h('h4', { 'data-step': step.step }, t('step ' + step.step)), stepBadge(step.outcome), ' ', step.ms ? number(step.ms, 2) + ' ms' : '–',
			h('svg', { viewBox: '0 0 100 4', preserveAspectRatio: 'none', 'aria-hidden': 'true' }, h('rect', { width: Math.max(0.5, (step.ms / longest) * 100).toFixed(1), height: 4 })),
			step.note ? h('p', null, note(step.note)) : null,
			['in', 'out'].filter((side) => step[side] !== null && step[side] !== undefined).map((side) =>
				h('details', null, h('summary', null, t(side)), shown(step[side], at + (step.step === 'chain' ? i : '') + step.step + '-' + side, t('step ' + step.step) + ', ' + t(side)))),
			step.steps ? h('details', null, h('summary', null, t('steps')), list(step.steps, at + i + '-')) : null)));
	};
	return [
		h('p', null, outcomeBadge(trace.outcome), ' ', h('code', null, trace.outcome), ' · ', ms(trace.ms), trace.status ? ' · ' + t('status is', trace.status) : null),
		h('dl', { class: 'facts' },
			trace.reason && pair(t('reason'), coded(said(trace.reason)), true),
			trace.check && pair(t('check'), coded(said(trace.check)), true),
			trace.call_id && pair(t('call id'), h('code', null, trace.call_id), true)),
		trace.answer === undefined ? null : [h('h3', null, t('answer')), shown(trace.answer, 'answer', t('answer'))],
		h('h3', null, t('steps')),
		list(trace.steps, ''),
	];
}

// note shows the note of a step: a sentence, or the curl command that repeats the request.
const note = (text) => (text.startsWith('curl ') ? h('code', null, text) : coded(said(text)));

// toBench returns the button that opens the API's answer in the playground. A call that
// ended in step call or earlier has no such answer: its body is our own error.
function toBench(api, trace) {
	const step = (name) => trace.steps.findLast((one) => one.step === name);
	const parts = trace.steps.filter((one) => one.step === 'chain').map((part) => part.out);
	const params = step('receive')?.out;
	if (parts.length && !step('call') && step('output')) { // it only puts parts together
		return h('button', { type: 'button', onclick: () => open(api, { answer: null, params, parts }) }, t('to bench'));
	}
	const { outcome, out: answer } = step('call') ?? {};
	if (outcome !== 'ok' || answer?.body === undefined || step('token')?.outcome === 'no_token') return null;
	return h('button', { type: 'button', onclick: () => open(api, { answer: answer.body, status: answer.status, params, parts }) }, t('to bench'));
}

// written parses params: a JSON object, or lines of name=value.
function written(source) {
	if (source.startsWith('{')) return object(source);
	const params = {};
	for (const line of source.split('\n').map((l) => l.trim()).filter(Boolean)) {
		const at = line.indexOf('=');
		if (at < 1) throw new Error(t('no params'));
		if (at < line.length - 1) params[line.slice(0, at).trim()] = line.slice(at + 1).trim();
	}
	return params;
}

async function test(event, api, tests) {
	event.preventDefault();
	if (busy) return;
	const here = location.hash;
	const field = document.getElementById('test-params');
	const body = { api: document.getElementById('test-which')?.value ?? tests[0].name };
	try {
		body.params = written(field.value.trim());
	} catch (error) {
		reject(field, error);
		return;
	}
	try {
		for (const name of options) if (document.getElementById('test-' + name).checked) body[name] = true;
		busy = true;
		say(t('testing', api), 'plain');
		const trace = await post('test', body);
		if (location.hash === here) {
			foldAll('result/');
			result = trace;
			say(t('tested', api, t('o ' + trace.outcome), ms(trace.ms)), kind(trace.outcome));
		}
	} catch (error) {
		result = null;
		complain(error);
	}
	busy = false;
	await look();
	if (result) goTo('result');
}

async function showFailures(api) {
	const here = location.hash;
	try {
		const found = await post('failures', { api });
		if (location.hash !== here) return;
		failed = found;
	} catch (error) {
		complain(error);
		return;
	}
	await look();
	goTo('failures');
}
