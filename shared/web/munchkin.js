/*
 * Option `munchkin`: page and track are recorded by Munchkin in the page, identify by its associateLead and by the server. What
 * Munchkin has recorded goes to the server marked as bundled, and the server counts it no second time.
 *
 * Until Munchkin is there, messages wait; where it is blocked, or does not come, or the page goes before it came, the server
 * records them as it does without this option.
 */
const SOURCE = 'https://munchkin.marketo.net/munchkin.js';
const PATIENCE = 10000; // ms for its script and the one that this one loads
const LOOK = 50; // ms between two looks for the latter
const RESERVED = ['address', 'company', 'email', 'firstName', 'lastName', 'industry', 'phone'];
const PLACE = { City: 'city', Country: 'country', PostalCode: 'postalCode', State: 'state' };

/* ---- what Munchkin is told ---- */

/* The integrations rules of the server: a real boolean for all, the exact name for one. */
function isWanted({ integrations }) {
    const all = Object.keys(integrations).find((name) => /^all$/i.test(name));
    return 'Marketo' in integrations ? integrations.Marketo !== false : integrations[all] !== false;
}

function pageVisit({ properties }) {
    const query = /\?([^#]*)/.exec(properties.url);
    return { url: properties.url, params: query ? query[1] : '' };
}

function text(value) {
    return encodeURIComponent(value && typeof value === 'object' ? JSON.stringify(value) : value);
}

function trackVisit({ event, properties }) {
    const params = Object.keys(properties).filter((key) => properties[key] != null)
        .map((key) => encodeURIComponent(key) + '=' + text(properties[key]));
    return { url: event.startsWith('/event/') ? event : '/event/' + event.replace(/[ _]/g, '-'), params: params.join('&') };
}

/* Finds first_name and E-Mail, too. */
function look(traits, name) {
    const bare = (key) => key.replace(/[^a-z0-9]/gi, '').toLowerCase();
    return traits[Object.keys(traits).find((key) => bare(key) === bare(name) && traits[key] != null)];
}

function trimmed(value) {
    return typeof value === 'string' ? value.trim() : value;
}

export function emailOf({ userId, traits }) {
    return look(traits, 'email') || (/.+@.+\..+/.test(userId) ? userId : undefined);
}

/* The reserved traits under Marketo's names; all others as they are. */
export function leadOf(message) {
    const { traits, userId } = message;
    const lead = Object.assign({}, traits, userId && { id: userId, userId });
    const words = /^(\S+)\s*(.*)$/.exec(trimmed(look(traits, 'name')) || '') || [];
    const given = {
        email: emailOf(message),
        firstName: trimmed(look(traits, 'firstName')) || words[1],
        lastName: trimmed(look(traits, 'lastName')) || words[2] || undefined,
        phone: look(traits, 'phone') || [].concat(look(traits, 'phones'))[0],
    };
    RESERVED.forEach((name) => {
        const value = name in given ? given[name] : look(traits, name);
        if (value != null) {
            delete lead[name];
            lead[name[0].toUpperCase() + name.slice(1)] = value;
        }
    });
    const { Address } = lead;
    if (Address && typeof Address === 'object') {
        delete lead.Address;
        Object.keys(PLACE).forEach((name) => {
            lead[name] = Address[PLACE[name]];
        });
    }
    Object.keys(lead).forEach((name) => lead[name] == null && delete lead[name]);
    return lead;
}

/* ---- when ---- */

function tell(what, value, hash) {
    window.Munchkin.munchkinFunction(what, value, hash);
}

export function createMunchkin({ id, source, hashUrl, outbox, warn }) {
    let held = []; // null once it is settled who records
    let present = false;
    let first = location.href; // of the visit that Munchkin.init records; the first page() there is that visit
    const hashes = {};

    /* No hash: the server has no private key (404), or refuses. The server's own identify is on its way all the same. */
    function associate(message) {
        const email = emailOf(message);
        if (!email) {
            return;
        }
        hashes[email] = hashes[email] || fetch(hashUrl, {
            method: 'POST', body: JSON.stringify({ email }), headers: { 'Content-Type': 'application/json', 'X-Marketo-Hash': '1' },
        }).then((reply) => (reply.ok ? reply.json() : { none: reply.status === 404 })).catch(() => ({}));
        hashes[email].then(({ hash, none }) => {
            if (hash) {
                tell('associateLead', leadOf(message), hash);
            } else if (!none) {
                delete hashes[email]; // it may be had the next time
            }
        });
    }

    function record({ message, initial }) {
        if (present && isWanted(message)) {
            if (message.type === 'identify') {
                associate(message);
            } else if (message.type === 'page' || message.type === 'track') {
                message._metadata = { bundled: ['Marketo'], unbundled: [] };
                if (!initial) {
                    tell('visitWebPage', message.type === 'page' ? pageVisit(message) : trackVisit(message));
                }
            }
        }
        outbox.add(message);
    }

    function settle(found) {
        const waiting = held;
        if (waiting) {
            held = null;
            present = found;
            waiting.forEach(record);
        }
    }

    function awaitTracker() {
        if (held && window.MunchkinTracker) {
            settle(true);
        } else if (held) {
            setTimeout(awaitTracker, LOOK);
        }
    }

    function load() {
        const script = document.createElement('script');
        script.async = true;
        script.src = source || SOURCE;
        script.onerror = () => {
            warn('Munchkin is not there; the server records');
            settle(false);
        };
        script.onload = () => {
            if (held && window.Munchkin) {
                window.Munchkin.init(id, { asyncOnly: true });
                awaitTracker();
            }
        };
        document.head.appendChild(script);
    }

    load();
    setTimeout(settle, PATIENCE, false);
    outbox.beforeLeave = () => settle(false);

    return {
        add(message) {
            const initial = message.type === 'page' && first === location.href;
            first = message.type === 'page' ? null : first;
            if (held) {
                held.push({ message, initial });
            } else {
                record({ message, initial });
            }
        },
    };
}
