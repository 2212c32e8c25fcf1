/* The argument forms of the classic calls. Each function takes an array, its own from then on; it returns what was given as an object. */

export const isObject = (value) => !!value && typeof value === 'object';

export const objectOf = (value) => (isObject(value) ? value : {});

/* The integrations rules of the server: a real boolean for all, the exact name for one. */
export function isOn(integrations) {
    const all = Object.keys(integrations).find((name) => /^all$/i.test(name));
    const { Marketo } = integrations;
    return (Marketo === undefined ? integrations[all] : Marketo) !== false;
}

/* Takes a trailing callback off, wherever it stands. */
function cut(given) {
    const at = given.findIndex((value) => typeof value === 'function');
    return { list: at < 0 ? given : given.slice(0, at), fn: given[at] };
}

/* ([category], [name], [properties], [options], [fn]); one string is the name */
export function pageForm(call) {
    const { list, fn } = cut(call);
    const words = list.slice(0, isObject(list[0]) ? 0 : isObject(list[1]) ? 1 : 2);
    const [given, options] = list.slice(words.length);
    const [name, category] = words.filter((word) => word != null).map(String).reverse();
    return { category, name, properties: objectOf(given), options, fn };
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
