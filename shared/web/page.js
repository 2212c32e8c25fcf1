/* What is told about the page: path, referrer, search, title, url. */

/* The address at the time of the call, as the snippet's stubs keep it ("bpc", buffered page context). */
export function here() {
    const canonical = document.querySelector('link[rel=canonical]');
    return {
        __t: 'bpc', c: canonical && canonical.getAttribute('href'), p: location.pathname, u: location.href, s: location.search,
        t: document.title, r: document.referrer,
    };
}

export function isBuffered(value) {
    return !!value && value.__t === 'bpc';
}

function canonicalUrl(href, base) {
    try {
        return href ? new URL(href, base) : null;
    } catch (_) {
        return null;
    }
}

/* The canonical link stands for the address; the query is the address's own unless the link has one. */
export function pageOf(buffered) {
    const at = buffered || here();
    const canonical = canonicalUrl(at.c, at.u);
    const url = canonical ? canonical.href + (canonical.search ? '' : at.s) : at.u.replace(/#.*/, '');
    return { path: canonical ? canonical.pathname : at.p, referrer: at.r, search: at.s, title: at.t, url };
}
