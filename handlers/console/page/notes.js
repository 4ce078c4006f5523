// Messages at the top of the window, which are visible wherever the page is scrolled to.

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

// write shows a message. The page's scroll padding keeps elements with the focus from
// being hidden below it.
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

// say shows the result of an action.
export const say = (text, kind = 'good') => write(kind === 'bad' ? alert : status, kind, text);

export function complain(error) {
	write(alert, 'bad', error.status === 401 ? t('signed out') : error.status === 0 ? t('no answer') : t('failed', said(error.message)));
}

// reject shows an error in the user's input, and moves the focus to the field.
export function reject(field, error) {
	complain(error);
	field.setAttribute('aria-invalid', 'true');
	field.addEventListener('input', () => field.removeAttribute('aria-invalid'), { once: true });
	field.focus();
}

// goTo moves the focus to a heading, and scrolls it into view.
export function goTo(id) {
	const heading = document.getElementById(id);
	heading?.focus({ preventScroll: true });
	heading?.scrollIntoView();
}

// unreachable shows that the server can't be reached, how old the data is, and a button
// to try again. With null it removes the message.
export function unreachable(since, again) {
	render(offline, since === null ? [] : [
		h('p', { class: 'note bad' }, mark('bad'),
			h('span', { role: 'alert' }, t('offline'), ' ', t('retrying'), ' ', since ? t('as of', time(since)) : null),
			h('button', { type: 'button', onclick: again }, t('again')))]);
	makeRoom();
}
