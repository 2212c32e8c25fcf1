/*
 * Messages on their way. Each is in localStorage from its call until the server has answered for it, so that a closed page, a lost
 * network or a restarting server costs none; the server de-duplicates what is sent again by its messageId.
 *
 * Every page has a list of its own there, `mkto_outbox.<random>`: {s: when its page was last alive, q: [{m: message, t: tries,
 * n: not before, f: first given to the network}]}, times in ms. A page that goes gives its list free; the next page that starts, or
 * any that sees a list without a page, takes it over. No two pages send from one list. Once the visitor
 * has opted out, a page that looks at a list drops it.
 */
import { objectOf } from './forms.js';
import { uuid } from './identity.js';
import {
    ALONE, BACKOFF, BEAT, BODY_MAX, DOUBT_MAX, EVENT_MAX, ITEMS_MAX, LIST_MAX, RETRY_AFTER_MAX, SETTLE, TIMEOUT, TRIES_MAX,
    WAIT_MAX,
} from './limits.js';
import { attempt, isOptedOut, local, parse } from './storage.js';

const PREFIX = 'mkto_outbox.';

const bytes = (text) => new Blob([text]).size;

/* 0: no answer */
const mayRetry = (status) => /^(0|408|429|5(?!0[15])..)$/.test(status);

const backoff = (tries) => BACKOFF * 2 ** (tries - 1);

export function createOutbox(url, writeKey, warn, log) {
    const key = PREFIX + uuid();
    const it = { add, flush, gone() {} }; // gone is for those that hold messages back
    const lasting = 'keepalive' in Request.prototype;
    let busy = false;
    let left = false; // the page, if only into the browser's cache of pages
    let pause = 0; // nothing is sent until then: what fails now would fail for what is behind it, too
    let told = false; // the server asked for that
    let timer;
    let cut = false; // calls were lost, and the page was told

    const stored = (name) => objectOf(parse(local.get(name)));

    function load(name = key) {
        if (isOptedOut()) {
            local.remove(name);
        }
        return [].concat(stored(name).q).filter((item) => item && item.m && !(Date.now() - item.f > DOUBT_MAX));
    }

    function save(items) {
        const texts = items.map((item) => JSON.stringify(item));
        while (texts.length > ITEMS_MAX || texts.join().length > LIST_MAX) {
            texts.shift();
            if (!cut) {
                cut = true;
                warn('too many calls: the oldest are lost');
            }
        }
        if (texts.length) {
            local.set(key, `{"s":${left ? 0 : Date.now()},"q":[${texts}]}`);
        } else {
            local.remove(key);
        }
    }

    /* Takes over the lists that no page looks after. */
    function adopt() {
        local.keys().filter((name) => name.startsWith(PREFIX) && name !== key).forEach((name) => {
            if (!(Math.abs(Date.now() - stored(name).s) <= ALONE)) { // nor one that says no time
                const items = load(name);
                local.remove(name);
                save(items.concat(load()));
            }
        });
    }

    /* A clock that was set back must not hold anything. */
    function isDue(item, now) {
        return item.n <= now || item.n > now + WAIT_MAX;
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
            { status: reply.status, ok: reply.ok, after: reply.headers.get('Retry-After'), rejected: objectOf(parse(answer)).rejected })))
            .catch(() => ({ status: 0 }));
    }

    function settle(sent, { status, ok, after, rejected }) {
        const now = Date.now();
        const ids = sent.map((item) => item.m.messageId);
        const asked = after > 0 ? Math.min(after, RETRY_AFTER_MAX) * 1000 : 0;
        const spread = 0.9 + Math.random() / 5; // the same for all of them: they keep their order
        const later = (tries) => now + (asked || backoff(tries) * spread);
        let lost = ok && rejected ? rejected.length : 0;
        if (left && !status) {
            return; // cut off with the page; leave() has said what happens next
        }
        log(`${sent.length} sent: ${status || 'no answer'}`);
        save(load().filter((item) => {
            if (!ids.includes(item.m.messageId)) {
                return true;
            }
            item.n = later(item.t);
            const keep = mayRetry(status) && item.t < TRIES_MAX;
            lost += !keep && !ok;
            return keep;
        }));
        if (mayRetry(status)) {
            pause = later(Math.min(...sent.map((item) => item.t)));
            told = asked > 0;
        }
        if (lost) {
            warn(`${lost} not taken: ${status || 'no answer'}`);
        }
    }

    function wait(ms) {
        clearTimeout(timer);
        timer = setTimeout(flush, ms);
    }

    function flush() {
        clearTimeout(timer);
        if (busy || left || !navigator.onLine) {
            return;
        }
        const now = Date.now();
        const items = load();
        const due = pause > now ? [] : fitting(items.filter((item) => isDue(item, now)));
        if (!due.length) {
            if (items.length) {
                wait(Math.max(pause, Math.min(...items.map((item) => item.n))) - now + 1);
            }
            return;
        }
        busy = true;
        due.forEach((item) => {
            item.t++;
            item.n = now + TIMEOUT + SETTLE;
            item.f = item.f || now;
        });
        save(items);
        request(due).then((reply) => {
            busy = false;
            settle(due, reply);
            flush();
        });
    }

    /* The page goes: what waits is handed to the browser, and the list to the next page. Nobody will hear how either ended. */
    function leave() {
        it.gone();
        left = true;
        const now = Date.now();
        const items = load();
        const flying = (item) => item.t > 0 && busy && !isDue(item, now);
        const rest = fitting(items.filter((item) => isDue(item, now) || (!lasting && flying(item))));
        const handed = pause <= now && rest.length && navigator.onLine && attempt(() => navigator.sendBeacon(url, body(rest)));
        items.filter((item) => flying(item) || (handed && rest.includes(item))).forEach((item) => {
            item.n = now + SETTLE;
            item.f = item.f || now;
        });
        save(items);
    }

    function beat() {
        save(load());
        adopt();
        flush();
    }

    function add(message) {
        const text = JSON.stringify(message);
        if (bytes(text) > EVENT_MAX) {
            warn(`a ${message.type} is over ${EVENT_MAX} bytes and was not sent`);
            return;
        }
        save(load().concat({ m: message, t: 0, n: 0 }));
        wait(0); // calls of one moment go together
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
            save(load().map((item) => ({ ...item, n: 0 })));
        }
        flush();
    });
    wait(0);
    return it;
}
