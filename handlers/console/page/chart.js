// Charts of the last hour, as SVG. Each has a label that says in words what it shows.

import { h } from './dom.js';
import { groups, inGroup } from './outcome.js';
import { ms, number, t } from './words.js';

const width = 300;
const height = 60;

const axis = (top) => h('figcaption', { class: 'axis', 'aria-hidden': 'true' }, h('span', null, t('an hour ago')), h('span', null, top), h('span', null, t('now')));

export function callsChart(name, hour) {
	const most = Math.max(1, ...hour.minutes.map((m) => m.calls));
	const bars = [];
	hour.minutes.forEach((m, i) => {
		let y = height;
		for (const group of Object.keys(groups)) {
			const n = inGroup(m.outcomes, group);
			if (!n) continue;
			const tall = Math.max(1, (n / most) * height);
			y -= tall;
			bars.push(bar(group, i * 5 + 0.5, Math.max(0, y), tall));
		}
	});
	const parts = Object.keys(groups).map((group) => [group, inGroup(hour.outcomes, group)]).filter(([, n]) => n > 0)
		.map(([group, n]) => t('group ' + group) + ' ' + number(n)).join(', ');
	return h('figure', { class: 'chart' },
		h('svg', { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: 'none', role: 'img', 'aria-label': t('calls chart says', name, number(hour.calls), parts) },
			h('line', { class: 'base', x1: 0, x2: width, y1: height, y2: height }), bars),
		axis(t('most per minute', number(hour.calls ? most : 0))));
}

// bar can be recognised without its colour: stale answers are striped, outcomes caused by
// the caller are narrow, and missing answers have the strongest contrast.
function bar(group, x, y, tall) {
	if (group === 'stale') return h('line', { class: 'bar stale', x1: x + 2, x2: x + 2, y1: y + tall, y2: y });
	const narrow = group === 'caller';
	return h('rect', { class: 'bar ' + group, x: narrow ? x + 1.25 : x, y, width: narrow ? 1.5 : 4, height: tall });
}

export function timesChart(name, hour) {
	const most = Math.max(1, ...hour.minutes.map((m) => m.p99_ms ?? 0));
	const curve = (key) => {
		const lines = [];
		let run = [];
		const end = () => {
			if (run.length === 1) run.push([run[0][0] + 2, run[0][1]]);
			if (run.length) lines.push(h('polyline', { class: 'curve ' + key.slice(0, 3), points: run.map((p) => p.join(',')).join(' ') }));
			run = [];
		};
		hour.minutes.forEach((m, i) => {
			if (m.calls) run.push([i * 5 + 2, (height - (m[key] / most) * (height - 4) - 2).toFixed(1)]);
			else end();
		});
		end();
		return lines;
	};
	return h('figure', { class: 'chart' },
		h('svg', { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: 'none', role: 'img', 'aria-label': t('times chart says', name, ms(hour.p50_ms), ms(hour.p99_ms)) },
			h('line', { class: 'base', x1: 0, x2: width, y1: height, y2: height }), curve('p99_ms'), curve('p50_ms')),
		axis(t('longest', hour.calls ? ms(most) : '–')));
}

export const callsLegend = () =>
	h('ul', { class: 'legend' }, Object.keys(groups).map((group) => h('li', null, h('span', { class: 'swatch ' + group, 'aria-hidden': 'true' }), t('group ' + group))));

export const timesLegend = () =>
	h('ul', { class: 'legend' }, ['p50', 'p99'].map((p) => h('li', null, h('span', { class: 'swatch line ' + p, 'aria-hidden': 'true' }), t(p))));
