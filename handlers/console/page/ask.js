import { h } from './dom.js';
import { t } from './words.js';

// sure asks before something that others notice. The focus goes back to where it was.
export function sure(question, action) {
	return new Promise((resolve) => {
		let yes = false;
		const dialog = h('dialog', { 'aria-labelledby': 'question' },
			h('p', { id: 'question' }, question),
			h('div', { class: 'buttons' },
				h('button', { type: 'button', onclick: () => dialog.close() }, t('cancel')),
				h('button', { type: 'button', class: 'main', onclick: () => { yes = true; dialog.close(); } }, action)));
		dialog.addEventListener('close', () => { dialog.remove(); resolve(yes); });
		document.body.append(dialog);
		dialog.showModal();
	});
}
