// Requests to the console's own handler. URLs are relative to the page.

export class Refused extends Error {
	constructor(status, message) {
		super(message);
		this.status = status; // 0: the server can't be reached
	}
}

// exact preserves numbers that JavaScript would change, e.g. 1.10 or an id of 19 digits,
// if the browser supports that.
const exact = (_, value, context) =>
	typeof value === 'number' && JSON.rawJSON && context?.source !== undefined && context.source !== String(value) ? JSON.rawJSON(context.source) : value;

export const parse = (text) => JSON.parse(text, exact);

let reached = () => {};

// onReach sets a function that is called after each request, with whether the server could
// be reached.
export const onReach = (report) => { reached = report; };

async function ask(name, wait, options) {
	let response;
	let answer = null;
	try {
		response = await fetch('data/' + name, { credentials: 'same-origin', redirect: 'error', cache: 'no-store', signal: AbortSignal.timeout(wait), ...options });
		answer = parse(await response.text());
	} catch (error) {
		// no response, or one from something in between, e.g. a proxy's error page
		if (!response || !(error instanceof SyntaxError)) response = { status: 0 };
	}
	if (answer === null && response.status >= 502) response = { status: 0 };
	reached(response.status !== 0);
	if (!response.ok || answer === null) throw new Refused(response.status, answer?.error ?? response.statusText ?? '');
	return answer;
}

const seen = new Map(); // the last answer to each request

// get sends a GET. If the server can't be reached, it returns the last answer, if any.
export async function get(name) {
	try {
		const answer = await ask(name, 10_000, {});
		seen.set(name, answer);
		return answer;
	} catch (error) {
		if (error.status !== 0 || !seen.has(name)) throw error;
		return seen.get(name);
	}
}

export const post = (name, body) =>
	ask(name, 60_000, {
		method: 'POST',
		headers: { 'Content-Type': 'application/json', 'X-Switchboard-Console': '1' },
		body: JSON.stringify(body),
	});
