// Asks the console's own handler, by URLs relative to the page.

export class Refused extends Error {
	constructor(status, message) {
		super(message);
		this.status = status;
	}
}

async function ask(name, options) {
	let response;
	try {
		response = await fetch('data/' + name, { credentials: 'same-origin', redirect: 'error', cache: 'no-store', ...options });
	} catch {
		throw new Refused(0, '');
	}
	let answer = null;
	try {
		answer = await response.json();
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
