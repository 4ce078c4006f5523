// Creates elements, and updates a tree without disturbing the user's focus and input.

const svgNS = 'http://www.w3.org/2000/svg';
const svgTags = new Set(['svg', 'g', 'rect', 'line', 'polyline', 'path']);

// h creates an element. Functions become properties, true becomes an empty attribute; null
// and false are omitted.
export function h(tag, props, ...children) {
	const el = svgTags.has(tag) ? document.createElementNS(svgNS, tag) : document.createElement(tag);
	for (const [name, value] of Object.entries(props ?? {})) {
		if (typeof value === 'function') el[name] = value;
		else if (value !== null && value !== undefined && value !== false) el.setAttribute(name, value === true ? '' : value);
	}
	el.append(...children.flat(9).filter((c) => c !== null && c !== undefined && c !== false).map((c) => (c instanceof Node ? c : String(c))));
	return el;
}

// coded returns the child nodes for a text, in which `names` in backquotes become code.
export const coded = (text) => text.split('`').map((part, i, all) => (i % 2 && i < all.length - 1 ? h('code', null, part) : i % 2 ? '`' + part : part));

const handlers = ['onclick', 'onsubmit', 'onchange', 'oninput', 'onkeydown'];
// What the user has changed is preserved.
const theirs = new Set(['open', 'value', 'aria-invalid']);

// render updates root's children.
export function render(root, ...children) {
	const fresh = h('div', null, ...children);
	morphChildren(root, fresh);
}

function morphChildren(old, fresh) {
	const want = [...fresh.childNodes];
	const have = [...old.childNodes];
	for (let i = 0; i < want.length; i++) {
		if (i >= have.length) old.append(want[i]);
		else if (same(have[i], want[i])) morph(have[i], want[i]);
		else old.replaceChild(want[i], have[i]);
	}
	for (let i = want.length; i < have.length; i++) have[i].remove();
}

function same(a, b) {
	return a.nodeName === b.nodeName && (a.nodeType !== 1 || a.getAttribute('data-key') === b.getAttribute('data-key'));
}

function morph(old, fresh) {
	if (old.nodeType !== 1) {
		if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
		return;
	}
	for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name) && !theirs.has(name)) old.removeAttribute(name);
	for (const { name, value } of [...fresh.attributes]) {
		if (old.getAttribute(name) !== value && !(theirs.has(name) && /^(INPUT|TEXTAREA|DETAILS|SELECT)$/.test(old.nodeName))) old.setAttribute(name, value);
	}
	for (const name of handlers) old[name] = fresh[name];
	if (old.nodeName !== 'TEXTAREA') morphChildren(old, fresh);
}
