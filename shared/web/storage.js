/*
 * Cookies and localStorage under the names and in the formats of analytics.js 2: an id is a cookie (plain text, one year, Lax, the
 * site's top domain) and again in localStorage (JSON); traits are in localStorage only. analytics.js 1.x wrote JSON into cookies,
 * too, so that both are read. Where the browser forbids either, the page's memory takes its place.
 */
import { objectOf } from './forms.js';
import { YEAR } from './limits.js';

const memory = {};
let domain;

export function attempt(action) {
    try {
        return action();
    } catch (_) {
        return undefined; // forbidden, full, or malformed
    }
}

export const parse = (text) => attempt(() => JSON.parse(text));

export const local = {
    get(key) {
        return key in memory ? memory[key] : attempt(() => localStorage.getItem(key));
    },
    set(key, text) {
        delete memory[key];
        attempt(() => isOptedOut() || localStorage.setItem(key, text));
        if (local.get(key) !== text) {
            memory[key] = text;
        }
    },
    remove(key) {
        delete memory[key];
        attempt(() => localStorage.removeItem(key));
    },
    keys() {
        return Object.keys(memory).concat(attempt(() => Object.keys(localStorage)) || []);
    },
};

const cookie = (name) => attempt(() => {
    const found = document.cookie.split('; ').find((pair) => pair.startsWith(name + '='));
    const text = found && found.slice(name.length + 1);
    return text && (attempt(() => decodeURIComponent(text)) || text);
});

function bake(name, value, age, site) {
    document.cookie = `${name}=${encodeURIComponent(value)};max-age=${age};path=/;SameSite=Lax${site ? ';domain=' + site : ''}`;
}

/* Munchkin's opt-out, whatever the cookie's value: from then on only the page's memory keeps anything. */
export const isOptedOut = () => cookie('mkto_opt_out') != null;

/* The shortest domain that the browser takes a cookie for: it knows the public suffixes, we do not. */
function topDomain() {
    const labels = location.hostname.split('.');
    if (labels.length < 2 || /^[\d.]+$|:/.test(location.hostname)) {
        return '';
    }
    for (let count = 2; count <= labels.length; count++) {
        const site = labels.slice(-count).join('.');
        bake('ajs_tld', site, 9, site);
        if (cookie('ajs_tld') === site) {
            bake('ajs_tld', '', 0, site);
            return site;
        }
    }
    return '';
}

/* JSON text of a string, or plain text; null for none. */
const plain = (text) => (!text || text === 'null' ? null : text[0] === '"' ? parse(text) || text : text);

export const readId = (name) => plain(cookie(name) || local.get(name));

/* null removes it. */
export function writeId(name, value) {
    const text = value === null ? '' : String(value);
    attempt(() => {
        if (!text || !isOptedOut()) {
            domain = domain == null ? topDomain() : domain;
            bake(name, text, text ? YEAR : 0, domain);
        }
    });
    writeObject(name, text);
}

export const readObject = (name) => objectOf(parse(local.get(name)));

/* null removes it. */
export function writeObject(name, value) {
    if (value) {
        local.set(name, JSON.stringify(value));
    } else {
        local.remove(name);
    }
}
