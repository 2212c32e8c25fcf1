/*! Apache-2.0 */
/*
 * The browser client: `analytics` for pages of a site whose web server has the marketo module. Loaded by the standard snippet, or
 * by a plain <script src="/mkto/marketo.js">; README, "The browser client", has both.
 *
 * Takes the place of the snippet's array of stubs, and repeats the calls that wait in it. Needs no inline code, no eval and no
 * address but the one that it came from.
 */
import { createClient } from './client.js';

const script = document.currentScript;
const data = script ? script.dataset : {};
const name = data.globalSegmentAnalyticsKey || 'analytics';
const found = window[name]; // also an element whose id that is
const stubs = Array.isArray(found) && found;

/* An attribute without a value turns a switch on, and is none of the others. */
function settings() {
    const given = {};
    Object.keys(data).forEach((key) => {
        given[key] = !/^(false|off)$/.test(data[key]) && (data[key] || !/^(endpoint|munchkin.+)$/.test(key));
    });
    return { ...given, ...(stubs && stubs._loadOptions) };
}

/* What is only prepared may never be seen: until it is, calls wait. */
function whenSeen(action) {
    if (document.prerendering) {
        document.addEventListener('prerenderingchange', action, { once: true });
    } else {
        action();
    }
}

function start() {
    const key = (stubs && stubs._writeKey) || data.key;
    const options = settings();
    const analytics = createClient(script ? script.src.replace(/[^/]*([?#].*)?$/, '') : '/mkto/', key, options);
    const waiting = stubs ? stubs.splice(0) : [];
    window[name] = analytics;
    if (options.load !== false) {
        whenSeen(() => analytics.load(key, options));
        if (!stubs && options.page !== false) {
            analytics.page();
        }
    }
    waiting.sort((a, b) => (b[0] === 'load') - (a[0] === 'load')).forEach(analytics.repeat);
    if (stubs) {
        stubs.push = (...calls) => calls.forEach(analytics.repeat); // for those who kept the array
    }
}

if (found && found.initialized) {
    console.warn('marketo.js: included twice');
} else {
    start();
}
