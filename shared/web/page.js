/* What is told about the page: path, referrer, search, title, url. */
import { attempt } from './storage.js';

/* The address at the time of the call, as the snippet's stubs keep it ("bpc", buffered page context). */
export function here() {
    const canonical = document.querySelector('link[rel=canonical]');
    return {
        __t: 'bpc', c: canonical && canonical.getAttribute('href'), p: location.pathname, u: location.href, s: location.search,
        t: document.title, r: document.referrer,
    };
}

export const isBuffered = (value) => value && value.__t === 'bpc';

/* The canonical link stands for the address; the query is the address's own unless the link has one. */
export function pageOf(buffered) {
    const at = buffered || here();
    const canonical = at.c && attempt(() => new URL(at.c, at.u));
    const url = canonical ? canonical.href + (canonical.search ? '' : at.s) : at.u.replace(/#.*/, '');
    return { path: canonical ? canonical.pathname : at.p, referrer: at.r, search: at.s, title: at.t, url };
}
