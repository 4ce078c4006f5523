// Outcomes: their groups, and how they look. Colour is never the only distinction: each
// kind also has its own mark and a word.

import { h } from './dom.js';
import { t } from './words.js';

export const groups = {
	answered: ['ok', 'not_found', 'ambiguous'],
	stale: ['stale', 'partial'],
	failed: ['timeout', 'unreachable', 'failed', 'rejected', 'no_token', 'token_refused', 'bad_answer', 'too_large', 'breaker_open', 'held', 'unknown', 'not_sent'],
	caller: ['incomplete', 'bad_request', 'unauthorized', 'canceled'],
};

export const inGroup = (outcomes, name) => groups[name].reduce((sum, outcome) => sum + (outcomes?.[outcome] ?? 0), 0);

const kinds = { answered: 'good', stale: 'warn', failed: 'bad', caller: 'plain' };

// kind returns good, warn, bad or plain. An unknown outcome is bad.
export function kind(outcome) {
	if (outcome === 'dry_run') return 'plain';
	const group = Object.keys(groups).find((name) => groups[name].includes(outcome));
	return kinds[group] ?? 'bad';
}

const marks = {
	good: 'M2 6.5 5 9.5 10.5 3', // a check mark
	warn: 'M6 1.2 11.2 10.8H.8ZM6 4.6V7.2M6 8.6V9.4', // a triangle
	bad: 'M2.2 2.2 9.8 9.8M9.8 2.2 2.2 9.8', // a cross
	plain: 'M2 6H10', // a bar
};

export const mark = (name) => h('svg', { class: 'mark', 'data-mark': name, viewBox: '0 0 12 12', 'aria-hidden': 'true' }, h('path', { d: marks[name] }));

// badge returns a word with its mark. In a list it is a list item.
export const badge = (name, text, tag = 'span') => h(tag, { class: 'badge ' + name }, mark(name), text);

export const outcomeBadge = (outcome) => badge(kind(outcome), t('o ' + outcome));

// stepBadge returns the badge of a step: ok, or the outcome that ended the call.
export const stepBadge = (outcome) => (outcome === 'ok' ? badge('good', t('done')) : outcomeBadge(outcome));
