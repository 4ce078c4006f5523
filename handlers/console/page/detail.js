// The page of one API.

import { get } from './api.js';
import { badges, holdButton, numbers } from './apis.js';
import { bench } from './bench.js';
import { callsChart, callsLegend, timesChart, timesLegend } from './chart.js';
import { coded, h } from './dom.js';
import { groups, kind, mark } from './outcome.js';
import { nameOf } from './say.js';
import { testForm } from './test.js';
import { writes } from './writes.js';
import { clock, ms, number, percent, said, t } from './words.js';

export const title = (name) => (name === 'customer_lookup' ? t('lookup') : name);

export async function show(draw, name) {
	const api = (await get('apis')).find((one) => one.name === name);
	const back = h('p', null, h('a', { href: '#/apis' }, '← ' + t('all apis')));
	if (!api) {
		draw(back, h('h1', { tabindex: -1 }, title(name)), h('p', null, t('no such api', name)));
		return;
	}
	draw(
		back,
		h('div', { class: 'head' }, h('h1', { tabindex: -1 }, nameOf(api)), badges(api), holdButton(api)),
		numbers(api.hour),
		h('div', { class: 'charts' },
			h('section', { class: 'card', 'aria-labelledby': 'calls-title' }, h('h2', { id: 'calls-title' }, t('calls chart')), callsChart(nameOf(api), api.hour), callsLegend()),
			h('section', { class: 'card', 'aria-labelledby': 'times-title' }, h('h2', { id: 'times-title' }, t('times chart')), timesChart(nameOf(api), api.hour), timesLegend())),
		api.cache_hint ? h('p', { class: 'note warn' }, mark('warn'), h('span', null, t('cache hint'), ' ', coded(said(api.cache_hint)))) : null,
		testForm(api),
		writes(api),
		api.lookup ? null : bench(api.name),
		outcomes(api.hour),
		minutes(api.hour),
	);
}

function outcomes(hour) {
	const rows = Object.values(groups).flat().filter((outcome) => hour.outcomes[outcome]).map((outcome) => [outcome, hour.outcomes[outcome]]);
	if (!rows.length) return null;
	return h('section', { class: 'card', 'aria-labelledby': 'outcomes-title' },
		h('h2', { id: 'outcomes-title' }, t('outcomes')),
		table(t('outcomes'), [t('outcome'), t('count'), t('share')],
			rows.map(([outcome, n]) => [h('span', { class: 'outcome ' + kind(outcome) }, mark(kind(outcome)), h('code', null, outcome), ' ', t('o ' + outcome)), number(n), percent(n / hour.calls)])));
}

function minutes(hour) {
	const rows = hour.minutes.filter((m) => m.calls).reverse();
	if (!rows.length) return null;
	return h('details', null, h('summary', null, t('by minute')),
		table(t('by minute'), [t('minute'), t('count'), t('p50'), t('p99'), t('outcomes')],
			rows.map((m) => [clock(m.start), number(m.calls), ms(m.p50_ms), ms(m.p99_ms),
				Object.entries(m.outcomes).map(([outcome, n]) => t('o ' + outcome) + ' ' + number(n)).join(t('comma'))])));
}

// table returns a table in a region that scrolls if the table is too wide; the region can
// have the focus, so that it also scrolls by keyboard.
export function table(label, heads, rows) {
	return h('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': label },
		h('table', null,
			h('thead', null, h('tr', null, heads.map((head) => h('th', { scope: 'col' }, head)))),
			h('tbody', null, rows.map(([first, ...rest]) => h('tr', null, h('th', { scope: 'row' }, first), rest.map((cell) => h('td', null, cell)))))));
}
