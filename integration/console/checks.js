// What is wrong with the page as it is, for those who see, hear or type it. A list of
// complaints.
(() => {
	const complaints = [];
	const shown = (el) => el.checkVisibility({ visibilityProperty: true }) && !el.closest('[aria-hidden=true]');
	const what = (el) => el.outerHTML.slice(0, 120);

	// names
	const nameOf = (el) => {
		const by = el.getAttribute('aria-labelledby');
		if (by) return by.split(/\s+/).map((id) => document.getElementById(id)?.textContent ?? '').join(' ').trim();
		if (el.getAttribute('aria-label')) return el.getAttribute('aria-label').trim();
		if (el.labels?.length) return [...el.labels].map((l) => l.textContent).join(' ').trim();
		if (/^(A|BUTTON|SUMMARY)$/.test(el.nodeName)) return el.textContent.trim();
		return '';
	};
	for (const el of document.querySelectorAll('a, button, summary, input, select, textarea, meter, nav, form, dialog, [role=img], [role=region], section[aria-labelledby]')) {
		if (shown(el) && !nameOf(el)) complaints.push('no name: ' + what(el));
	}
	for (const el of document.querySelectorAll('img')) if (!el.hasAttribute('alt')) complaints.push('no alt: ' + what(el));
	for (const el of document.querySelectorAll('[aria-labelledby], [aria-describedby], label[for]')) {
		for (const id of [el.getAttribute('aria-labelledby'), el.getAttribute('aria-describedby'), el.getAttribute('for')].filter(Boolean).join(' ').split(/\s+/)) {
			if (!document.getElementById(id)) complaints.push('refers to nothing, ' + id + ': ' + what(el));
		}
	}
	const ids = [...document.querySelectorAll('[id]')].map((el) => el.id);
	for (const id of new Set(ids.filter((id, i) => ids.indexOf(id) !== i))) complaints.push('an id twice: ' + id);

	// structure
	if (!/^(en|zh-Hans)$/.test(document.documentElement.lang)) complaints.push('the language is ' + document.documentElement.lang);
	if (!document.title) complaints.push('no title');
	if (document.querySelectorAll('main').length !== 1) complaints.push('not one main');
	if (document.querySelectorAll('h1').length !== 1) complaints.push(document.querySelectorAll('h1').length + ' h1');
	let level = 0;
	for (const el of document.querySelectorAll('h1, h2, h3, h4')) {
		if (+el.nodeName[1] > level + 1) complaints.push('a heading skips a level: ' + what(el));
		level = +el.nodeName[1];
	}
	for (const el of document.querySelectorAll('[tabindex]')) if (el.tabIndex > 0) complaints.push('jumps in the order of focus: ' + what(el));
	for (const el of document.querySelectorAll('dl > *')) if (!/^(DIV|DT|DD)$/.test(el.nodeName)) complaints.push('in a dl: ' + what(el));
	for (const el of document.querySelectorAll('ul > *')) if (el.nodeName !== 'LI') complaints.push('in a ul: ' + what(el));

	// fits
	const wide = document.documentElement.scrollWidth - innerWidth;
	if (wide > 0) {
		complaints.push('wider than the window by ' + wide);
		for (const el of document.querySelectorAll('body *')) if (shown(el) && el.getBoundingClientRect().right > innerWidth + 1 && !el.closest('.scroll')) complaints.push('sticks out: ' + what(el));
	}
	for (const el of document.querySelectorAll('button, input, select, nav a, summary')) {
		const box = el.getBoundingClientRect();
		if (shown(el) && (box.width < 24 || box.height < 24)) complaints.push('smaller than 24 by 24: ' + what(el));
	}

	// contrast
	const parse = (color) => {
		const [r, g, b, a = 1] = color.match(/[\d.]+/g).map(Number);
		return { r, g, b, a };
	};
	const over = (top, below) => ({ r: top.r * top.a + below.r * (1 - top.a), g: top.g * top.a + below.g * (1 - top.a), b: top.b * top.a + below.b * (1 - top.a), a: 1 });
	const light = ({ r, g, b }) => {
		const [x, y, z] = [r, g, b].map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
		return 0.2126 * x + 0.7152 * y + 0.0722 * z;
	};
	const behind = (el) => {
		const layers = [];
		for (let e = el; e; e = e.parentElement) {
			const color = parse(getComputedStyle(e).backgroundColor);
			if (color.a > 0) layers.push(color);
			if (color.a === 1) break;
		}
		return layers.reverse().reduce((below, top) => over(top, below), { r: 255, g: 255, b: 255, a: 1 });
	};
	const contrast = (a, b) => {
		const [x, y] = [light(a), light(b)].sort((m, n) => n - m);
		return (x + 0.05) / (y + 0.05);
	};
	const seen = new Set();
	const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	let texts = 0;
	for (let node = walk.nextNode(); node; node = walk.nextNode()) {
		const el = node.parentElement;
		if (!node.nodeValue.trim() || seen.has(el) || !el.checkVisibility({ visibilityProperty: true }) || /^(SCRIPT|NOSCRIPT|OPTION)$/.test(el.nodeName)) continue;
		seen.add(el);
		texts++;
		const style = getComputedStyle(el);
		const back = behind(el);
		const ratio = contrast(over(parse(style.color), back), back);
		const size = parseFloat(style.fontSize);
		const needed = size >= 24 || (size >= 18.66 && style.fontWeight >= 700) ? 3 : 4.5;
		if (ratio < needed) complaints.push('contrast ' + ratio.toFixed(2) + ': ' + what(el));
	}
	if (texts < 3) complaints.push('hardly any text');
	for (const el of document.querySelectorAll('input, select, textarea, button')) {
		if (shown(el) && contrast(parse(getComputedStyle(el).borderTopColor), behind(el.parentElement)) < 3) complaints.push('a border that is hard to see: ' + what(el));
	}
	for (const el of document.querySelectorAll('svg rect, svg polyline, svg line, svg path')) {
		const style = getComputedStyle(el);
		if (shown(el.closest('svg').parentElement) && contrast(parse(style.fill === 'none' || el.nodeName === 'line' ? style.stroke : style.fill), behind(el.closest('svg').parentElement)) < 3) complaints.push('a drawing that is hard to see: ' + what(el));
	}
	return complaints;
})()
