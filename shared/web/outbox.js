/*
 * Messages on their way. Each is in localStorage from its call until the server has answered for it, so that a closed page, a lost
 * network or a restarting server costs none; the server de-duplicates what is sent again by its messageId.
 *
 * Every page has a list of its own there, `mkto_outbox.<random>`: {s: when its page was last alive, q: [{m: message, t: tries,
 * n: not before}]}, times in ms. A page that goes gives its list free; the next page that starts, or any that sees a list without
 * a page, takes it over. No two pages send from one list.
 */
import { objectOf } from './forms.js';
import { uuid } from './identity.js';
import { local, parse } from './storage.js';

const PREFIX = 'mkto_outbox.';
const ITEMS_MAX = 100; // the oldest go first
const EVENT_MAX = 32768; // bytes; the server takes no larger one
const BODY_MAX = 60000; // bytes; browsers send at most 64 KB after the page has gone
const TRIES_MAX = 10;
const BACKOFF = 1000; // ms; doubles with each try, ±10 %
const BACKOFF_MAX = 3600000;
const RETRY_AFTER_MAX = 300; // seconds
const TIMEOUT = 30000; // ms for one request
const SETTLE = 5000; // ms that the next page gives to what this one was sending when it went
const BEAT = 15000; // ms between two looks at the lists
const ALONE = 45000; // ms without a sign of its page after which a list is taken over

const bytes = (text) => new Blob([text]).size;

const mayRetry = (status) => status === 0 || status === 408 || status === 429 || (status >= 500 && status !== 501 && status !== 505);

const backoff = (tries) => Math.min(BACKOFF * 2 ** (tries - 1), BACKOFF_MAX);

export function createOutbox(url, writeKey, warn, log) {
    const key = PREFIX + uuid();
    const it = { add, flush, gone: () => {} }; // gone is for those that hold messages back
    const lasting = 'keepalive' in Request.prototype;
    let busy = false;
    let left = false; // the page, if only into the browser's cache of pages
    let pause = 0; // nothing is sent until then: what fails now would fail for what is behind it, too
    let told = false; // the server asked for that
    let timer;

    function load(name) {
        const { s, q } = objectOf(parse(local.get(name || key)));
        return Array.isArray(q) ? { s, q: q.filter((item) => item && item.m) } : { s: 0, q: [] };
    }

    function save(items, seen) {
        if (items.length) {
            local.set(key, JSON.stringify({ s: seen, q: items.slice(-ITEMS_MAX) }));
        } else {
            local.remove(key);
        }
    }

    /* Takes over the lists that no page looks after. */
    function adopt() {
        const now = Date.now();
        local.keys().filter((name) => name.startsWith(PREFIX) && name !== key).forEach((name) => {
            const box = load(name);
            if (Math.abs(now - box.s) > ALONE) {
                local.remove(name);
                save(box.q.concat(load().q), now);
            }
        });
    }

    /* A clock that was set back must not hold anything for longer than a backoff can. */
    function isDue(item, now) {
        return item.n <= now || item.n > now + BACKOFF_MAX * 2;
    }

    function body(items) {
        return JSON.stringify({ batch: items.map((item) => item.m), sentAt: new Date().toISOString(), writeKey: writeKey || undefined });
    }

    /* The first of the items that fit into one request. */
    function fitting(items) {
        let size = 200;
        return items.filter((item, index) => {
            size += bytes(JSON.stringify(item.m)) + 1;
            return index === 0 || size < BODY_MAX;
        });
    }

    /* Without a Content-Type of its own a text goes as text/plain, which other hosts take unasked. */
    function request(items) {
        const abort = new AbortController();
        setTimeout(() => abort.abort(), TIMEOUT); // of what has been answered, this changes nothing
        const text = body(items);
        return fetch(url, {
            method: 'POST', body: text, keepalive: bytes(text) <= BODY_MAX, credentials: 'include', signal: abort.signal,
        }).then((reply) => reply.text().then((answer) => (
            { status: reply.status, after: +reply.headers.get('Retry-After'), rejected: objectOf(parse(answer)).rejected })))
            .catch(() => ({ status: 0 }));
    }

    function settle(sent, { status, after, rejected }) {
        const now = Date.now();
        const ids = sent.map((item) => item.m.messageId);
        const wait = after > 0 ? Math.min(after, RETRY_AFTER_MAX) * 1000 : 0;
        const spread = 0.9 + Math.random() / 5; // the same for all of them: they keep their order
        const later = (tries) => now + (wait || backoff(tries) * spread);
        let lost = rejected && status < 300 ? rejected.length : 0;
        if (left && !status) {
            return; // cut off with the page; leave() has said what happens next
        }
        log(`${sent.length} sent: ${status || 'no answer'}`);
        save(load().q.filter((item) => {
            if (!ids.includes(item.m.messageId)) {
                return true;
            }
            item.n = later(item.t);
            const keep = mayRetry(status) && item.t < TRIES_MAX;
            lost += !keep && (status < 200 || status > 299);
            return keep;
        }), left ? 0 : now);
        if (mayRetry(status)) {
            pause = later(Math.min(...sent.map((item) => item.t)));
            told = wait > 0;
        }
        if (lost) {
            warn(`${lost} not taken: ${status || 'no answer'}`);
        }
    }

    function flush() {
        clearTimeout(timer);
        if (busy || left || !navigator.onLine) {
            return;
        }
        const now = Date.now();
        const items = load().q;
        const due = pause > now ? [] : fitting(items.filter((item) => isDue(item, now)));
        if (!due.length) {
            if (items.length) {
                timer = setTimeout(flush, Math.max(pause, Math.min(...items.map((item) => item.n))) - now + 1);
            }
            return;
        }
        busy = true;
        due.forEach((item) => {
            item.t++;
            item.n = now + TIMEOUT + SETTLE;
        });
        save(items, now);
        request(due).then((reply) => {
            busy = false;
            settle(due, reply);
            flush();
        });
    }

    /* The page goes: what waits is handed to the browser, and the list to the next page. Nobody will hear how either ended. */
    function leave() {
        it.gone();
        const now = Date.now();
        const items = load().q;
        left = true;
        const flying = (item) => item.t > 0 && busy && !isDue(item, now);
        const rest = fitting(items.filter((item) => isDue(item, now) || (!lasting && flying(item))));
        if (rest.length && pause <= now && navigator.sendBeacon) {
            navigator.sendBeacon(url, body(rest));
        }
        items.forEach((item) => {
            if (flying(item) || rest.includes(item)) {
                item.n = now + SETTLE;
            }
        });
        save(items, 0);
    }

    function beat() {
        save(load().q, Date.now());
        adopt();
        flush();
    }

    function add(message) {
        const text = JSON.stringify(message);
        if (bytes(text) > EVENT_MAX) {
            warn(`a ${message.type} is over ${EVENT_MAX} bytes and was not sent`);
            return;
        }
        save(load().q.concat({ m: message, t: 0, n: 0 }), Date.now());
        clearTimeout(timer);
        timer = setTimeout(flush); // calls of one moment go together
    }

    adopt();
    setInterval(beat, BEAT);
    addEventListener('pagehide', leave);
    addEventListener('pageshow', () => {
        left = false;
        flush();
    });
    addEventListener('online', () => {
        if (!busy && !told) {
            pause = 0;
            save(load().q.map((item) => Object.assign(item, { n: 0 })), Date.now());
        }
        flush();
    });
    timer = setTimeout(flush);
    return it;
}
