/* The argument forms of the classic calls. Each function returns an object with what was given. */

export const isObject = (value) => !!value && typeof value === 'object';

export const objectOf = (value) => (isObject(value) ? value : {});

/* Takes a trailing callback off, wherever it stands. */
function cut(given) {
    const list = Array.from(given);
    const at = list.findIndex((value) => typeof value === 'function');
    return at < 0 ? { list } : { list: list.slice(0, at), fn: list[at] };
}

/* ([category], [name], [properties], [options], [fn]); one string is the name */
export function pageForm(call) {
    const { list, fn } = cut(call);
    const words = list.slice(0, isObject(list[0]) ? 0 : isObject(list[1]) ? 1 : 2);
    const [given, options] = list.slice(words.length);
    const properties = objectOf(given);
    const [first, second] = words.map((word) => (word == null ? undefined : String(word)));
    return second === undefined ? { name: first, properties, options, fn } : { category: first, name: second, properties, options, fn };
}

/* ([id], [traits], [options], [fn]) of identify and group */
export function whoForm(given) {
    const { list, fn } = cut(given);
    if (isObject(list[0])) {
        list.unshift(null);
    }
    return { id: list[0] === '' ? null : list[0], traits: objectOf(list[1]), options: list[2], fn };
}

/* (event, [properties], [options], [fn]) */
export function trackForm(given) {
    const { list, fn } = cut(given);
    return { event: list[0], properties: objectOf(list[1]), options: list[2], fn };
}

/* (to, [from], [options], [fn]) */
export function aliasForm(given) {
    const { list, fn } = cut(given);
    if (isObject(list[1])) {
        list.splice(1, 0, null);
    }
    return { to: list[0], from: list[1], options: list[2], fn };
}
