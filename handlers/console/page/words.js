// The page's language: the one that was chosen, or else the browser's.

import { en } from './words_en.js';
import { zh, said as zhSaid } from './words_zh.js';

const all = { en, zh };
const stored = 'switchboard-language';

function remembered() {
	try {
		return localStorage.getItem(stored);
	} catch {
		return null; // storage is disabled
	}
}

let current = all[remembered()] ? remembered() : (navigator.languages ?? [navigator.language]).map((l) => l.slice(0, 2)).find((l) => all[l]) ?? 'en';

export const languages = { en: 'English', zh: '中文' };

export const language = () => current;

export function speak(next) {
	current = next;
	document.documentElement.lang = next === 'zh' ? 'zh-Hans' : 'en';
	try {
		localStorage.setItem(stored, next);
	} catch {
		// it has to be chosen again next time
	}
}

document.documentElement.lang = current === 'zh' ? 'zh-Hans' : 'en';

// t returns a text in the page's language, with the values in place of {0}, {1} …
export function t(key, ...values) {
	const text = all[current][key] ?? en[key] ?? key;
	return fill(text, values);
}

const fill = (text, values) => text.replace(/\{(\d)\}/g, (_, i) => values[i] ?? '');

// said translates a text of the server's, which is English, if the page knows it. The
// details in it, {0}, {1} …, stay as they are.
export function said(text) {
	if (current !== 'zh' || !text) return text;
	if (Object.hasOwn(zhSaid, text)) return zhSaid[text];
	for (const [pattern, translated] of patterns) {
		const found = pattern.exec(text);
		if (found) return fill(translated, found.slice(1).map(said));
	}
	return text;
}

const patterns = Object.entries(zhSaid).filter(([english]) => english.includes('{0}')).map(([english, translated]) =>
	[new RegExp('^' + english.split(/\{\d\}/).map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('(.+?)') + '$', 's'), translated]);

const locale = () => (current === 'zh' ? 'zh-CN' : 'en');

export const number = (n, digits = 0) => new Intl.NumberFormat(locale(), { maximumFractionDigits: digits }).format(n);

export const percent = (part) => new Intl.NumberFormat(locale(), { style: 'percent', maximumFractionDigits: 1 }).format(part);

export const clock = (unix) => new Intl.DateTimeFormat(locale(), { hour: '2-digit', minute: '2-digit', hour12: false }).format(new Date(unix * 1000));

export const moment = (iso) => new Intl.DateTimeFormat(locale(), { dateStyle: 'medium', timeStyle: 'medium', hour12: false }).format(new Date(iso));

export const time = (unix) => new Intl.DateTimeFormat(locale(), { timeStyle: 'medium', hour12: false }).format(new Date(unix));

// since returns a time of day, with its date unless that is today.
export function since(iso) {
	const at = new Date(iso);
	const today = at.toDateString() === new Date().toDateString();
	return new Intl.DateTimeFormat(locale(), { ...(today ? {} : { dateStyle: 'medium' }), timeStyle: 'short', hour12: false }).format(at);
}

export function ms(value) {
	if (!value) return '–';
	return value < 1000 ? number(value, value < 10 ? 1 : 0) + ' ms' : number(value / 1000, 2) + ' s';
}

export function bytes(n) {
	const units = ['B', 'KiB', 'MiB', 'GiB'];
	let i = 0;
	for (; n >= 1024 && i < 3; i++) n /= 1024;
	return number(n, i ? 1 : 0) + ' ' + units[i];
}

// lasting returns a duration in its two largest units.
export function lasting(seconds) {
	const s = Math.max(0, Math.round(seconds));
	const parts = [
		[Math.floor(s / 86400), 'days'],
		[Math.floor((s % 86400) / 3600), 'hours'],
		[Math.floor((s % 3600) / 60), 'minutes'],
		[s % 60, 'seconds'],
	];
	const first = parts.findIndex(([n]) => n > 0);
	if (first < 0) return t('seconds', 0);
	return parts.slice(first, first + 2).filter(([n], i) => n > 0 || i === 0).map(([n, unit]) => t(unit, n)).join(' ');
}
