/*
 * trackLink, trackForm and the option `clicks`. The visitor's click is not held up for it, as the classic library does: the request
 * outlives the page (fetch keepalive), and what it could not bring is sent by the next one.
 */
import { isOn } from './forms.js';
import { TEXT_MAX } from './limits.js';

/* event and properties may be functions of the element. */
function watch(given, type, call) {
    const list = given && given.addEventListener ? [given] : given || []; // else a NodeList, array, jQuery
    Array.from(list).forEach((element) => {
        const jquery = window.jQuery || window.Zepto;
        if (type === 'submit' && jquery) {
            jquery(element).submit(() => call(element)); // its own .submit() fires no event of the browser
        } else {
            element.addEventListener(type, () => call(element));
        }
    });
}

export function tracker(analytics, flush, type) {
    return (elements, event, properties) => {
        watch(elements, type, (element) => {
            const of = (value) => (typeof value === 'function' ? value(element) : value);
            analytics.track(of(event), of(properties));
            flush();
        });
        return analytics;
    };
}

const FILE = /\.(pdf|docx?|xlsx?|pptx?|txt|csv|zip|gz|rar|7z|exe|mp[34]|mov|avi)$/i;
const LINK = /^(https?|mailto|tel):/;

/* A link of HTML: one of SVG, or an element of the page's own, has another kind of href. */
const isLink = (node) => /^a(rea)?$/.test(node.localName) && LINK.test(node.href);

/* To another host, to a file, to somebody's mailbox or telephone: no page of ours will tell of it. */
const leadsAway = (link) => link.host !== location.host || link.hasAttribute('download') || FILE.test(link.pathname);

/*
 * Heard before a listener of the page can keep it from us; auxclick is the middle button, and the right one, which opens nothing.
 * Munchkin records clicks by itself once it is there. Where the page's integrations leave Marketo out, a click is a track as any.
 */
export function clicks(analytics, flush, integrations) {
    const hear = (event) => {
        const link = event.composedPath().find(isLink);
        if (link && event.button < 2 && leadsAway(link) && !window.MunchkinTracker) {
            const { href } = link;
            const text = link.textContent.trim().slice(0, TEXT_MAX);
            const Marketo = { ...integrations.Marketo, clickLink: href };
            analytics.track('Clicked Link', { href, text }, isOn(integrations) ? { integrations: { Marketo } } : {});
            flush();
        }
    };
    ['click', 'auxclick'].forEach((type) => addEventListener(type, hear, true));
}
