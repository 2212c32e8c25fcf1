/* The argument forms of the classic calls. Each function takes an array, its own from then on; it returns one with a place for each. */

export const isObject = (value) => value && typeof value === 'object';

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
    return [at < 0 ? given : given.slice(0, at), given[at]];
}

/* ([category], [name], [properties], [options], [fn]) -> category, name, properties, options, fn; one string is the name */
export function pageForm(call) {
    const [list, fn] = cut(call);
    const words = list.slice(0, isObject(list[0]) ? 0 : isObject(list[1]) ? 1 : 2);
    const [given, options] = list.slice(words.length);
    const [name, category] = words.filter((word) => word != null).map(String).reverse();
    return [category, name, objectOf(given), options, fn];
}

/* (event, [properties], [options], [fn]) -> event, properties, options, fn */
export function trackForm(given) {
    const [list, fn] = cut(given);
    return [list[0], objectOf(list[1]), list[2], fn];
}

/* ([id], [traits], [options], [fn]) of identify and group -> id, traits, options, fn */
export function whoForm(given) {
    const [list, fn] = cut(given);
    if (isObject(list[0])) {
        list.unshift(null);
    }
    return [list[0] === '' ? null : list[0], objectOf(list[1]), list[2], fn];
}

/* (to, [from], [options], [fn]) -> to, from, options, fn */
export function aliasForm(given) {
    const [list, fn] = cut(given);
    if (isObject(list[1])) {
        list.splice(1, 0, null);
    }
    return [list[0], list[1], list[2], fn];
}
