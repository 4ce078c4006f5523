// A test of an API, and the calls that failed: each a list of steps.

import { post } from './api.js';
import { complain, look, say } from './app.js';
import { open } from './bench.js';
import { object } from './cache.js';
import { h } from './dom.js';
import { moment, ms, number, t } from './words.js';

const options = ['dry_run', 'no_cache', 'fresh_token', 'live'];
let result = null; // of the last test; gone with the page
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
		result && h('section', { class: 'card', 'data-key': 'result', 'aria-labelledby': 'result' }, h('h2', { id: 'result', tabindex: -1 }, t('result')), traced(result), lookup ? null : toBench(api, result)),
		h('section', { class: 'card', 'data-key': 'failures', 'aria-labelledby': 'failures' },
			h('h2', { id: 'failures' }, t('failures')),
			h('p', { class: 'hint' }, t('failures lede')),
			failed === null ? h('button', { type: 'button', onclick: () => showFailures(api) }, t('show failures'))
				: failed.length === 0 ? h('p', null, t('no failures'))
					: failed.map((trace) => h('details', { 'data-key': trace.time }, h('summary', null, moment(trace.time) + ' – ' + trace.outcome), traced(trace)))),
	];
}

const kind = (outcome) => (['ok', 'not_found', 'ambiguous', 'dry_run'].includes(outcome) ? 'good' : outcome === 'stale' ? 'warn' : 'bad');
const badge = (outcome) => h('span', { class: 'badge ' + kind(outcome) }, outcome);
const text = (value) => (typeof value === 'string' ? value : JSON.stringify(value, null, 2));

function traced(trace) {
	const pair = (name, value) => h('div', null, h('dt', null, name), h('dd', null, value));
	const longest = Math.max(0.001, ...trace.steps.map((step) => step.ms));
	return [
		h('p', null, badge(trace.outcome), ' ', ms(trace.ms), trace.status ? ' · ' + t('status is', trace.status) : null),
		h('dl', { class: 'facts' },
			trace.reason && pair(t('reason'), trace.reason),
			trace.check && pair(t('check'), trace.check),
			trace.call_id && pair(t('call id'), h('code', null, trace.call_id))),
		trace.answer === undefined ? null : [h('h3', null, t('answer')), h('pre', null, text(trace.answer))],
		h('h3', null, t('steps')),
		h('ol', { class: 'steps' }, trace.steps.map((step, i) => h('li', { 'data-key': i + step.step },
			h('h4', null, step.step), badge(step.outcome), ' ', step.ms ? number(step.ms, 2) + ' ms' : '–',
			h('svg', { viewBox: '0 0 100 4', preserveAspectRatio: 'none', 'aria-hidden': 'true' }, h('rect', { width: Math.max(0.5, (step.ms / longest) * 100).toFixed(1), height: 4 })),
			step.note ? h('p', null, step.note) : null,
			['in', 'out'].filter((side) => step[side] !== null && step[side] !== undefined).map((side) =>
				h('details', null, h('summary', null, t(side)), h('pre', null, text(step[side])))))))
	];
}

// toBench takes an answer of the API's to the bench.
function toBench(api, trace) {
	const step = (name) => trace.steps.find((one) => one.step === name);
	const answer = step('call')?.out;
	if (answer?.body === undefined) return null;
	return h('button', { type: 'button', onclick: () => open(api, { answer: answer.body, status: answer.status, params: step('receive')?.out }) }, t('to bench'));
}

// written reads params: a JSON object, or name=value in lines.
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
	try {
		const body = { api: document.getElementById('test-which')?.value ?? tests[0].name, params: written(document.getElementById('test-params').value.trim()) };
		for (const name of options) if (document.getElementById('test-' + name).checked) body[name] = true;
		busy = true;
		say(t('testing', api));
		const trace = await post('test', body);
		if (location.hash === here) {
			result = trace;
			say(t('tested', api, trace.outcome, ms(trace.ms)));
		}
	} catch (error) {
		result = null;
		complain(error);
	}
	busy = false;
	await look();
	if (result) document.getElementById('result')?.focus();
}

async function showFailures(api) {
	try {
		failed = await post('failures', { api });
	} catch (error) {
		complain(error);
	}
	await look();
}
