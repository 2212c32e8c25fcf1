/* Who the visitor is: the user, the group, the anonymous id. Read anew at each use, for another tab may have changed them. */
import { readId, readObject, writeId, writeObject } from './storage.js';

const ANONYMOUS = 'ajs_anonymous_id';

/* 32 random hex digits in the form of a version 4 UUID. */
export function uuid() {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    bytes[6] = (bytes[6] & 15) | 64;
    bytes[8] = (bytes[8] & 63) | 128;
    const hex = Array.from(bytes, (byte) => (byte + 256).toString(16).slice(1)).join('');
    return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

/* An entity of analytics.js: each method reads without an argument, and writes with one; null removes. */
function entity(idName, traitsName, changed) {
    const it = {
        id(value) {
            if (value !== undefined) {
                const before = it.id();
                writeId(idName, value);
                if (value !== null && before && before !== String(value)) {
                    changed();
                }
            }
            return readId(idName);
        },
        traits(value) {
            if (value !== undefined) {
                writeObject(traitsName, value);
            }
            return readObject(traitsName);
        },
        /* The same id, or the first, merges the stored traits; another replaces them. */
        identify(id, traits) {
            const before = it.id();
            const same = id == null || !before || before === String(id);
            if (id != null) {
                it.id(id);
            }
            it.traits({ ...(same && it.traits()), ...traits });
        },
        reset() {
            it.id(null);
            it.traits(null);
        },
    };
    return it;
}

export const group = entity('ajs_group_id', 'ajs_group_properties', () => {});
export const user = entity('ajs_user_id', 'ajs_user_traits', () => user.anonymousId(null));
group.properties = group.traits;

/* Made when there is none; null makes another one at the next use. */
user.anonymousId = (value) => {
    if (value !== undefined) {
        writeId(ANONYMOUS, value);
        return value;
    }
    if (!readId(ANONYMOUS)) {
        writeId(ANONYMOUS, uuid());
    }
    return readId(ANONYMOUS);
};

/* Writes what there is once more: the year of a cookie begins anew, and what only localStorage still has becomes a cookie. */
export function renew() {
    user.anonymousId(user.anonymousId());
    [user, group].forEach((it) => it.id() && it.id(it.id()));
}
