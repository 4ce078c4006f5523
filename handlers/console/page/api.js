// Asks the console's own handler, by URLs relative to the page.

export class Refused extends Error {
	constructor(status, message) {
		super(message);
		this.status = status; // 0: the server can't be reached
	}
}

// exact keeps a number that JavaScript would write in another way, such as 1.10 or an
// id of 19 digits, as it came, where the browser can.
const exact = (_, value, context) =>
	typeof value === 'number' && JSON.rawJSON && context?.source !== undefined && context.source !== String(value) ? JSON.rawJSON(context.source) : value;

export const parse = (text) => JSON.parse(text, exact);

let reached = () => {};

// onReach has a function told, after each question, whether the server could be reached.
export const onReach = (tell) => { reached = tell; };

async function ask(name, wait, options) {
	let response;
	let answer = null;
	try {
		response = await fetch('data/' + name, { credentials: 'same-origin', redirect: 'error', cache: 'no-store', signal: AbortSignal.timeout(wait), ...options });
		answer = parse(await response.text());
	} catch (error) {
		// no answer at all, or one of something in between, such as a proxy's page
		if (!response || !(error instanceof SyntaxError)) response = { status: 0 };
	}
	if (answer === null && response.status >= 502) response = { status: 0 };
	reached(response.status !== 0);
	if (!response.ok || answer === null) throw new Refused(response.status, answer?.error ?? response.statusText ?? '');
	return answer;
}

const seen = new Map(); // the last answer to each question

// get asks. Where the server can't be reached, it gives the last answer there was.
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
