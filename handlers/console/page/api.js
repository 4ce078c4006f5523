// Asks the console's own handler, by URLs relative to the page.

export class Refused extends Error {
	constructor(status, message) {
		super(message);
		this.status = status;
	}
}

// exact keeps a number that JavaScript would write in another way, such as 1.10 or an
// id of 19 digits, as it came, where the browser can.
const exact = (_, value, context) =>
	typeof value === 'number' && JSON.rawJSON && context?.source !== undefined && context.source !== String(value) ? JSON.rawJSON(context.source) : value;

export const parse = (text) => JSON.parse(text, exact);

async function ask(name, options) {
	let response;
	try {
		response = await fetch('data/' + name, { credentials: 'same-origin', redirect: 'error', cache: 'no-store', ...options });
	} catch {
		throw new Refused(0, '');
	}
	let answer = null;
	try {
		answer = parse(await response.text());
	} catch {
		// an answer of somebody in between
	}
	if (!response.ok || answer === null) throw new Refused(response.status, answer?.error ?? response.statusText);
	return answer;
}

export const get = (name) => ask(name, {});

export const post = (name, body) =>
	ask(name, {
		method: 'POST',
		headers: { 'Content-Type': 'application/json', 'X-Switchboard-Console': '1' },
		body: JSON.stringify(body),
	});
