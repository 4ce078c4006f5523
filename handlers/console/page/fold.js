// Long texts: fold, unfold, copy, download.

import { h, render } from './dom.js';
import { say } from './notes.js';
import { bytes, t } from './words.js';

const most = { lines: 40, characters: 3200 };
const unfolded = new Set();

addEventListener('hashchange', () => unfolded.clear());

// foldAll folds all texts whose keys begin with the prefix.
export function foldAll(prefix) {
	for (const key of unfolded) if (key.startsWith(prefix)) unfolded.delete(key);
}

// folded shows a text. A text of more than 40 lines is folded at first. key is unique on
// the page, name says what the text is, and file is the name for the download.
export function folded(key, text, name, file) {
	if (head(text) === text) return h('pre', null, text);
	return h('div', { class: 'fold', 'data-key': key }, inside(key, text, name, file));
}

function inside(key, text, name, file) {
	const open = unfolded.has(key);
	const id = 'fold-' + key;
	const button = (word, act, more) => h('button', { type: 'button', 'aria-label': word + ': ' + name, ...more, onclick: act }, word);
	const turn = (event) => {
		if (!unfolded.delete(key)) unfolded.add(key);
		render(event.currentTarget.closest('.fold'), inside(key, text, name, file));
	};
	return [
		h('div', { class: 'tools' },
			button(open ? t('fold') : t('unfold', bytes(new Blob([text]).size)), turn, { 'aria-expanded': String(open), 'aria-controls': id }),
			button(t('copy'), () => copy(text, id)),
			button(t('download'), () => download(text, file))),
		h('pre', { id, class: open ? null : 'folded' }, open ? text : head(text)),
	];
}

// head returns what is shown of a folded text: its beginning, or all of a short text.
function head(text) {
	let end = -1;
	for (let line = 0; line < most.lines; line++) {
		end = text.indexOf('\n', end + 1);
		if (end < 0) {
			end = text.length;
			break;
		}
	}
	if (end > most.characters) {
		end = most.characters;
		if (/[\uD800-\uDBFF]/.test(text[end - 1])) end--; // not half a surrogate pair
	}
	return end >= text.trimEnd().length ? text : text.slice(0, end) + '\n…';
}

// copy copies a text to the clipboard. Where the browser forbids that, it selects the
// text.
export async function copy(text, id) {
	try {
		await navigator.clipboard.writeText(text);
		say(t('copied'));
	} catch {
		getSelection().selectAllChildren(document.getElementById(id));
		say(t('selected'), 'warn');
	}
}

function download(text, file) {
	const url = URL.createObjectURL(new Blob([text], { type: 'text/plain;charset=utf-8' }));
	const link = h('a', { href: url, download: file, class: 'hidden', tabindex: -1 }, file);
	document.body.append(link);
	link.click();
	link.remove();
	setTimeout(() => URL.revokeObjectURL(url), 60_000);
	say(t('downloaded', file));
}
