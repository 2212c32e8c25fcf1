/*
 * trackLink and trackForm. The visitor's click is not held up for it, as the classic library does: the request outlives the page
 * (fetch keepalive), and what it could not bring is sent by the next one.
 */
function elementsOf(given) {
    if (!given) {
        return [];
    }
    return given.addEventListener ? [given] : Array.from(given); // NodeList, array, jQuery
}

/* event and properties may be functions of the element. */
function watch(given, type, call) {
    elementsOf(given).forEach((element) => {
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
