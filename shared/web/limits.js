/* Limits and times, in a file that imports nothing: esbuild then writes the numbers where they are used. */

/* A list of calls that wait (outbox.js); over either, the oldest go first. */
export const ITEMS_MAX = 500;
export const LIST_MAX = 2000000; // characters; browsers keep about 5 million for the whole site

export const EVENT_MAX = 32768; // bytes; the server takes no larger one
export const BODY_MAX = 60000; // bytes; browsers send at most 64 KB after the page has gone
export const TRIES_MAX = 10;
export const DOUBT_MAX = 82800000; // ms, 23 h: what may have come is sent no later; the server forgets a messageId after 24 h
export const BACKOFF = 1000; // ms; doubles with each try, ±10 %
export const WAIT_MAX = 7200000; // ms; no backoff is as long, so that the clock was set back
export const RETRY_AFTER_MAX = 300; // seconds
export const TIMEOUT = 30000; // ms for one request
export const SETTLE = 5000; // ms that the next page gives to what this one was sending when it went
export const BEAT = 15000; // ms between two looks at the lists
export const ALONE = 45000; // ms without a sign of its page after which a list is taken over

export const CALLBACK = 300; // ms after which a call's callback is called, unless timeout() says otherwise
export const YEAR = 31536000; // seconds, of a cookie
export const TEXT_MAX = 200; // characters of a link's text

/* Munchkin (munchkin.js) */
export const PATIENCE = 10000; // ms for its script and the one that this one loads
export const LOOK = 50; // ms between two looks for the latter
