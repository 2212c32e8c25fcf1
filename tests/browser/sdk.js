/*
 * A program that uses @segment/analytics-node as its documentation says. Reads JSON, {options: of Analytics, calls: [[method,
 * message], …]}, and prints {"errors": [code, …], "delivered": count} in one line at the end.
 */
'use strict';
const fs = require('fs');
const { Analytics } = require('@segment/analytics-node');

async function main({ options, calls }) {
    const analytics = new Analytics(options);
    const errors = [];
    let delivered = 0;
    analytics.on('error', (error) => errors.push(error.code));
    for (const [method, message] of calls) {
        analytics[method](message, (error) => {
            delivered += !error;
        });
    }
    await analytics.closeAndFlush();
    console.log(JSON.stringify({ errors, delivered }));
}

main(JSON.parse(fs.readFileSync(0, 'utf8')));
