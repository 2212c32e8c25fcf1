/*
 * Option `munchkin`: page and track are recorded by Munchkin in the page, identify by its associateLead and by the server. What
 * Munchkin has recorded goes to the server marked as bundled, and the server counts it no second time. Clicks go to the server
 * only: those that Munchkin is there for it records by itself, and elements.js lets them be.
 *
 * Until Munchkin is there, messages wait; where it is blocked, or does not come, or the page goes before it came, the server
 * records them as it does without this option.
 */
import { isObject, isOn, objectOf } from './forms.js';
import { LOOK, PATIENCE } from './limits.js';
import { isOptedOut } from './storage.js';

const SOURCE = 'https://munchkin.marketo.net/munchkin.js';
const PLACE = ['city', 'country', 'postalCode', 'state'];

/* ---- what Munchkin is told ---- */

/* A click is the server's. */
const isWanted = ({ integrations }) => isOn(integrations) && !objectOf(integrations.Marketo).clickLink;

function pageVisit({ properties }) {
    const query = /\?([^#]*)/.exec(properties.url);
    return { url: properties.url, params: query ? query[1] : '' };
}

const text = (value) => encodeURIComponent(isObject(value) ? JSON.stringify(value) : value);

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

const trimmed = (value) => (typeof value === 'string' ? value.trim() : value);

export const emailOf = ({ userId, traits }) => look(traits, 'email') || (/.+@.+\..+/.test(userId) ? userId : undefined);

/* postalCode -> PostalCode */
const pascal = (name) => name[0].toUpperCase() + name.slice(1);

/* The reserved traits under Marketo's names; all others as they are. */
export function leadOf(message) {
    const { traits, userId } = message;
    const lead = { ...traits, ...(userId && { id: userId, userId }) };
    const words = /^(\S+)\s*(.*)$/.exec(trimmed(look(traits, 'name')) || '') || [];
    const given = {
        address: look(traits, 'address'),
        company: look(traits, 'company'),
        email: emailOf(message),
        firstName: trimmed(look(traits, 'firstName')) || words[1],
        lastName: trimmed(look(traits, 'lastName')) || words[2] || undefined,
        industry: look(traits, 'industry'),
        phone: look(traits, 'phone') || [].concat(look(traits, 'phones'))[0],
    };
    Object.keys(given).filter((name) => given[name] != null).forEach((name) => {
        delete lead[name];
        lead[pascal(name)] = given[name];
    });
    const { Address } = lead;
    if (isObject(Address)) {
        delete lead.Address;
        PLACE.forEach((name) => {
            lead[pascal(name)] = Address[name];
        });
    }
    Object.keys(lead).forEach((name) => lead[name] == null && delete lead[name]);
    return lead;
}

/* ---- when ---- */

function tell(what, value, hash) {
    window.Munchkin.munchkinFunction(what, value, hash);
}

export function createMunchkin(id, source, hashUrl, outbox, warn) {
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
            method: 'POST', body: JSON.stringify({ email }), headers: { 'X-Marketo-Hash': '1' },
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
        if (isOptedOut()) {
            return; // since the call was made
        }
        if (present && isWanted(message)) {
            const visit = { page: pageVisit, track: trackVisit }[message.type];
            if (visit) {
                message._metadata = { bundled: ['Marketo'], unbundled: [] };
                if (!initial) {
                    tell('visitWebPage', visit(message));
                }
            } else if (message.type === 'identify') {
                associate(message);
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
        if (window.MunchkinTracker) {
            settle(true);
        } else if (held) {
            setTimeout(awaitTracker, LOOK);
        }
    }

    const script = document.createElement('script');
    script.src = source || SOURCE;
    script.onerror = () => {
        warn('no Munchkin; the server records');
        settle();
    };
    script.onload = () => {
        if (held && window.Munchkin) {
            window.Munchkin.init(id, { asyncOnly: true });
            awaitTracker();
        }
    };
    document.head.appendChild(script);
    setTimeout(settle, PATIENCE);
    outbox.gone = settle;

    return {
        add(message) {
            const page = message.type === 'page';
            const call = { message, initial: page && first === location.href };
            first = page ? null : first;
            if (held) {
                held.push(call);
            } else {
                record(call);
            }
        },
    };
}
