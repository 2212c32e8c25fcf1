/* on, once, off, as component-emitter has them. A listener that throws stops nobody else. */
export function emitter(target) {
    let listeners = [];
    target.on = (name, fn) => {
        listeners.push({ name, fn });
        return target;
    };
    target.once = (name, fn) => {
        const first = (...values) => {
            target.off(name, first);
            fn(...values);
        };
        first.fn = fn;
        return target.on(name, first);
    };
    target.off = (name, fn) => {
        listeners = listeners.filter((it) => (name && it.name !== name) || (fn && it.fn !== fn && it.fn.fn !== fn));
        return target;
    };
    target.emit = (name, ...values) => {
        listeners.filter((it) => it.name === name).forEach((it) => {
            try {
                it.fn(...values);
            } catch (error) {
                setTimeout(() => {
                    throw error; // to the page's own error handlers
                });
            }
        });
        return target;
    };
}
