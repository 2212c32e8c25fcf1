/*
 * The snippet that @segment/snippet renders, with the address of its script as the one change. Arguments: "max" or "min", the
 * script's address below the site, and the options of the package as JSON.
 */
'use strict';
const snippet = require('@segment/snippet');

const [form, script, options] = process.argv.slice(2);
const host = 'changed.example';
const text = snippet[form]({ apiKey: 'site', host, ajsPath: script, ...JSON.parse(options) });
console.log(text.replace(`https://${host}${script}`, script));
