import { post } from './api.js';
import { h, render } from './dom.js';
import { t } from './words.js';

const main = document.getElementById('main');

async function submit(event) {
	event.preventDefault();
	const input = document.getElementById('key');
	const alert = document.getElementById('alert');
	alert.textContent = '';
	try {
		await post('signin', { key: input.value });
		location.reload();
	} catch (error) {
		alert.textContent = error.status === 401 ? t('wrong key') : error.status === 0 ? t('offline') : t('failed', error.message);
		input.focus();
	}
}

document.title = t('sign in') + ' – Switchboard';
render(
	main,
	h('h1', null, 'Switchboard'),
	h('form', { class: 'panel', 'aria-label': t('sign in'), onsubmit: submit },
		h('p', { id: 'hint' }, t('key hint')),
		h('label', { for: 'key' }, t('key')),
		h('input', { id: 'key', type: 'password', autocomplete: 'current-password', required: true, 'aria-describedby': 'hint alert' }),
		h('p', { id: 'alert', role: 'alert' }),
		h('button', { type: 'submit', class: 'main' }, t('sign in'))),
);
document.getElementById('key').focus();
