// What more than one section needs. Sections import this file instead of app.js, which
// imports the sections.

import { parse } from './api.js';
import { t } from './words.js';

let redraw = async () => {};

// onLook sets the function that look calls.
export const onLook = (draw) => { redraw = draw; };

// look fetches and redraws what is shown, e.g. after an action.
export const look = () => redraw();

// nameOf returns the name of an API as people see it.
export const nameOf = (api) => (api.lookup ? t('lookup') : api.name);

// object parses a text that must be a JSON object.
export function object(text) {
	let value = null;
	try {
		value = parse(text);
	} catch {
		// reported below
	}
	if (value === null || typeof value !== 'object' || Array.isArray(value)) throw new Error(t('no object'));
	return value;
}
