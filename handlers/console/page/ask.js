import { h } from './dom.js';
import { t } from './words.js';

// sure asks for confirmation. The dialog returns the focus to where it was.
export function sure(question, action) {
	return new Promise((resolve) => {
		const end = (yes) => {
			dialog.close();
			dialog.remove();
			resolve(yes);
		};
		const dialog = h('dialog', { 'aria-labelledby': 'question' },
			h('p', { id: 'question' }, question),
			h('div', { class: 'buttons' },
				h('button', { type: 'button', onclick: () => end(false) }, t('cancel')),
				h('button', { type: 'button', class: 'main', onclick: () => end(true) }, action)));
		dialog.addEventListener('cancel', () => end(false)); // Escape
		document.body.append(dialog);
		dialog.showModal();
	});
}
