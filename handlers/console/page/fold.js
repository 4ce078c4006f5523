// Long texts: folded, unfolded, copied, downloaded.

import { h, render } from './dom.js';
import { say } from './notes.js';
import { bytes, t } from './words.js';

const most = { lines: 40, characters: 3200 };
const unfolded = new Set();

addEventListener('hashchange', () => unfolded.clear());

// foldAll folds what was unfolded of the texts whose keys begin so.
export function foldAll(prefix) {
	for (const key of unfolded) if (key.startsWith(prefix)) unfolded.delete(key);
}

// folded shows a text. One of more than 40 lines begins folded. The key tells it from
// the page's others, the name says what it is, the file is what it is downloaded as.
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

// head is what is shown of a folded text, all of a short one.
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
		if (/[\uD800-\uDBFF]/.test(text[end - 1])) end--; // half a character
	}
	return end >= text.trimEnd().length ? text : text.slice(0, end) + '\n…';
}

// copy takes a text to the clipboard, or selects what is shown of it where a page may
// not.
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
