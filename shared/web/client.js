/* The `analytics` object: the surface of the classic analytics.js. */
import { clicks, tracker } from './elements.js';
import { emitter } from './emitter.js';
import { aliasForm, objectOf, pageForm, trackForm, whoForm } from './forms.js';
import { group, renew, user, uuid } from './identity.js';
import { CALLBACK } from './limits.js';
import { createMunchkin } from './munchkin.js';
import { createOutbox } from './outbox.js';
import { here, isBuffered, pageOf } from './page.js';
import { attempt, isOptedOut } from './storage.js';

const TOP_LEVEL = ['anonymousId', 'messageId', 'timestamp', 'userId']; // options that stand for fields of the message
const CALLS = ['page', 'screen', 'pageview', 'track', 'identify', 'group', 'alias', 'reset'];
const NO_EFFECT = ['addSourceMiddleware', 'addIntegrationMiddleware', 'addDestinationMiddleware', 'register', 'deregister', 'use'];

/* Text that was cut within a character ends in half of one: no JSON for the server, and nothing that could be encoded. */
function copyOf(message) {
    const json = JSON.stringify(message).replace(/\\\\|\\ud[89a-f]../g, (found) => (found === '\\\\' ? found : '\ufffd'));
    return JSON.parse(json);
}

/* The tracking location below which all addresses are; undefined for what is no URL. */
const rootOf = (text) => attempt(() => new URL(text.replace(/\/?$/, '/'), location.href).href);

/* writeKey and defaults are those of the script's tag, for load(). */
export function createClient(base, writeKey, defaults) {
    const analytics = { initialized: true, initialize: () => analytics, VERSION, Integrations: {} };
    let settings = {};
    let timeout = CALLBACK;
    let debugging = false;
    let page; // of the stub's call that is being repeated
    let outbox; // none before load()
    let munchkin;
    const early = []; // calls before load(), as the stubs queue them: nothing is kept or sent of a visitor before it

    emitter(analytics);

    /* Never what a message says: only its type, counts and statuses. */
    const warn = (text) => console.warn('marketo.js: ' + text);
    const log = (text) => debugging && console.log('marketo.js: ' + text);

    function contextOf(options) {
        const context = { page: page || pageOf(), library: { name: 'marketo.js', version: VERSION }, ...options };
        TOP_LEVEL.concat('context', 'integrations').forEach((name) => delete context[name]); // the oldest form: the options are the context
        return { ...context, ...options.context, page: { ...context.page, ...objectOf(options.context).page } };
    }

    function send(type, fields, given, fn) {
        const options = objectOf(given);
        const message = {
            type, messageId: 'mkto-' + uuid(), timestamp: new Date(), userId: user.id(), anonymousId: user.anonymousId(), ...fields,
        };
        TOP_LEVEL.filter((name) => options[name]).forEach((name) => {
            message[name] = options[name];
        });
        message.context = contextOf(options);
        message.integrations = { ...settings.integrations, ...options.integrations };
        try {
            if (!isOptedOut()) {
                (munchkin || outbox).add(copyOf(message)); // what it holds may change after the call
                log(type);
            }
        } catch (_) {
            warn(`a ${type} is no JSON and was not sent`);
        }
        if (fn) {
            setTimeout(fn, timeout);
        }
    }

    function view(type, form) {
        const [category, name, properties, options, fn] = form;
        const given = { ...(type === 'page' && (page || pageOf())), ...properties, ...(name && { name }), ...(category && { category }) };
        send(type, { category, name, properties: given }, options, fn);
        return analytics.emit(type, category, name, given, options);
    }

    Object.assign(analytics, {
        page: (...given) => view('page', pageForm(given)),
        screen: (...given) => view('screen', pageForm(given)),
        pageview: (path) => analytics.page(path ? { path } : {}),
        track(...given) {
            const [event, properties, options, fn] = trackForm(given);
            if (!event) {
                warn('track needs a name');
                return analytics;
            }
            send('track', { event: String(event), properties }, options, fn);
            return analytics.emit('track', event, properties, options);
        },
        identify(...given) {
            const [id, traits, options, fn] = whoForm(given);
            user.identify(id, traits);
            send('identify', { traits: user.traits() }, options, fn);
            return analytics.emit('identify', user.id(), traits, options);
        },
        group(...given) {
            if (!given.length) {
                return group;
            }
            const [id, traits, options, fn] = whoForm(given);
            group.identify(id, traits);
            send('group', { groupId: group.id(), traits: group.traits() }, options, fn);
            return analytics.emit('group', group.id(), traits, options);
        },
        alias(...given) {
            const [to, from, options, fn] = aliasForm(given);
            send('alias', { userId: to, previousId: from || user.id() || user.anonymousId() }, options, fn);
            return analytics.emit('alias', to, from, options);
        },
        user: () => user,
        setAnonymousId: (id) => user.anonymousId(id),
        reset() {
            user.reset();
            group.reset();
            user.anonymousId(null);
            return analytics.emit('reset');
        },
        ready(fn) {
            if (typeof fn === 'function') {
                outbox ? setTimeout(fn) : analytics.once('ready', fn);
            }
            return analytics;
        },
        debug(on) {
            debugging = on !== false;
            return analytics;
        },
        timeout(ms) {
            timeout = ms;
            return analytics;
        },
        push: (call) => analytics.repeat(call),
        /* One call as the stubs queue it: [method, ...arguments, {__t: 'bpc', …}]. */
        repeat(call) {
            const [method, ...given] = call;
            if (isBuffered(given[given.length - 1])) {
                page = pageOf(given.pop());
            }
            try {
                return typeof analytics[method] === 'function' ? analytics[method](...given) : analytics;
            } finally {
                page = undefined;
            }
        },
        load(key, options) {
            if (outbox) {
                return analytics;
            }
            settings = { ...defaults, ...options };
            debugging = debugging || settings.debug;
            const given = rootOf(settings.endpoint);
            if (settings.endpoint && !given) {
                warn('endpoint is no URL');
            }
            const root = given || rootOf(base);
            renew();
            outbox = createOutbox(root + 'v1/batch', key || writeKey, warn, log);
            const id = !isOptedOut() && settings.munchkin && (settings.munchkinId || settings.munchkin);
            if (/-/.test(id)) {
                munchkin = createMunchkin(id, settings.munchkinSrc, root + 'hash', outbox, warn);
            } else if (id) {
                warn('munchkin needs munchkinId');
            }
            if (settings.clicks) {
                clicks(analytics, flush, objectOf(settings.integrations));
            }
            early.splice(0).forEach(analytics.repeat);
            return analytics.emit('initialize', settings, options).emit('ready');
        },
    });
    const flush = () => outbox && outbox.flush();
    analytics.trackLink = analytics.trackClick = tracker(analytics, flush, 'click');
    analytics.trackForm = analytics.trackSubmit = tracker(analytics, flush, 'submit');
    CALLS.forEach((name) => {
        const act = analytics[name];
        analytics[name] = (...given) => {
            if (outbox || (name === 'group' && !given.length)) {
                return act(...given);
            }
            early.push([name, ...given, here()]);
            return analytics;
        };
    });
    NO_EFFECT.forEach((name) => {
        analytics[name] = () => {
            warn(name + ' has no effect');
            return analytics;
        };
    });
    return analytics;
}
