// Tells how something went, at the top of the window, wherever the page is scrolled to.

import { h, render } from './dom.js';
import { mark } from './outcome.js';
import { said, t, time } from './words.js';

const notes = document.getElementById('notes');
const status = document.getElementById('status');
const alert = document.getElementById('alert');
const offline = document.getElementById('offline');
const close = document.getElementById('close');

close.onclick = () => {
	say('');
	document.getElementById('main').focus({ preventScroll: true });
};

// write shows a note and leaves room for it: what gets the focus isn't below it.
function write(where, kind, text) {
	status.replaceChildren();
	alert.replaceChildren();
	if (text) {
		where.className = 'note ' + kind;
		where.append(mark(kind), h('span', null, text));
	}
	close.textContent = t('close');
	close.hidden = !text;
	makeRoom();
}

function makeRoom() {
	document.documentElement.style.scrollPaddingTop = notes.offsetHeight + 16 + 'px';
}

addEventListener('resize', makeRoom);

// say tells how something went: well, unless the kind is another.
export const say = (text, kind = 'good') => write(kind === 'bad' ? alert : status, kind, text);

export function complain(error) {
	write(alert, 'bad', error.status === 401 ? t('signed out') : error.status === 0 ? t('no answer') : t('failed', said(error.message)));
}

// reject says what is wrong with what a person has written, and takes them there.
export function reject(field, error) {
	complain(error);
	field.setAttribute('aria-invalid', 'true');
	field.addEventListener('input', () => field.removeAttribute('aria-invalid'), { once: true });
	field.focus();
}

// goTo takes a person to a heading, and those who see, too.
export function goTo(id) {
	const heading = document.getElementById(id);
	heading?.focus({ preventScroll: true });
	heading?.scrollIntoView();
}

// unreachable shows that the server can't be reached, since when what is shown is old,
// and a button that tries again; nothing, when it can.
export function unreachable(since, again) {
	render(offline, since === null ? [] : [
		h('p', { class: 'note bad' }, mark('bad'),
			h('span', { role: 'alert' }, t('offline'), ' ', t('retrying'), ' ', since ? t('as of', time(since)) : null),
			h('button', { type: 'button', onclick: again }, t('again')))]);
	makeRoom();
}
