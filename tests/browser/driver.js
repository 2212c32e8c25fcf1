/*
 * Drives Chromium for chromium.py: one JSON request a line on stdin, one JSON answer a line on stdout.
 *
 *   {"on": 3, "call": "goto", "args": ["http://…"]}   calls a method of an object that an earlier answer named; 0 is the browser
 *   {"value": …} or {"handle": 4} or {"error": "…"}
 *
 * What a page says on its console, and errors that it does not catch, are asked for by {"on": page, "call": "said"}.
 */
'use strict';
const readline = require('readline');
const { chromium } = require('playwright-core');

const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', '--host-resolver-rules=MAP *.test 127.0.0.1, MAP *.co.uk 127.0.0.1'];
const handles = new Map();
const said = new Map();

function listen(page) {
    const lines = [];
    page.on('console', (message) => lines.push(`${message.type()}: ${message.text()}`));
    page.on('pageerror', (error) => lines.push(`uncaught: ${error.message}`));
    said.set(page, lines);
}

function answer(result) {
    if (result && typeof result === 'object' && typeof result.close === 'function') {
        const known = [...handles].find(([, it]) => it === result);
        const handle = known ? known[0] : handles.size;
        handles.set(handle, result);
        return { handle };
    }
    return { value: result && typeof result.status === 'function' ? result.status() : result };
}

async function serve({ on, call, args }) {
    const object = handles.get(on);
    if (call === 'said') {
        return { value: said.get(object) };
    }
    const result = await object[call](...(args || []));
    if (call === 'newContext') {
        result.on('page', listen);
    }
    return answer(result);
}

async function main() {
    const executablePath = process.argv[2];
    handles.set(0, await chromium.launch({ executablePath, args: FLAGS, headless: true }));
    console.log(JSON.stringify({ value: handles.get(0).version() }));
    for await (const line of readline.createInterface({ input: process.stdin })) {
        const reply = await serve(JSON.parse(line)).catch((error) => ({ error: error.message }));
        console.log(JSON.stringify(reply));
    }
    await handles.get(0).close();
}

main();
