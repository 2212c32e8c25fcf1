/* What the visitor does goes to `analytics`; what the sandbox Marketo received comes back by way of /sandbox/. */
'use strict';

const LINES = 9; // visits that are shown

function element(name, text, ...children) {
    const it = document.createElement(name);
    it.textContent = text || '';
    it.append(...children);
    return it;
}

function add(event) {
    const { item, price } = event.target.dataset;
    analytics.track('Added to Basket', { item, price: Number(price) });
    event.target.textContent = 'Added';
    event.target.classList.add('done');
}

/* The fields have no names: what is typed into them stands in no address and no log. */
function subscribe() {
    const typed = (id) => document.getElementById(id).value;
    analytics.identify({ email: typed('email'), firstName: typed('first-name') });
}

function person(lead) {
    const list = element('dl');
    Object.keys(lead.fields).forEach((name) => list.append(element('dt', name), element('dd', lead.fields[name])));
    return list;
}

function visit(it, people) {
    const lead = people.find((one) => one.id === it.lead);
    const query = it.query.replace(/__-__/g, '&').replace(/%20/g, ' ');
    const place = it.page.replace(/^https?:\/\/[^/]*/, '') + (query ? '?' + query : '');
    return element('li', '', element('code', it.link ? 'clicked ' + it.link : place), element('small', lead ? lead.fields.email : 'anonymous'));
}

async function ask(what) {
    return (await fetch('/sandbox/' + what)).json();
}

async function show() {
    const [people, visits] = await Promise.all([ask('leads'), ask('visits')]);
    if (people.length) {
        document.getElementById('people').replaceChildren(...people.slice(-3).reverse().map(person));
    }
    if (visits.length) {
        const latest = visits.slice(-LINES).reverse();
        document.getElementById('visits').replaceChildren(...latest.map((it) => visit(it, people)));
    }
    document.getElementById('you').textContent = analytics.user().traits().email || analytics.user().anonymousId();
}

document.querySelectorAll('[data-item]').forEach((button) => button.addEventListener('click', add));
analytics.trackLink(document.getElementById('visit'), 'Way to the Shop');
const letter = document.getElementById('letter');
if (letter) {
    letter.addEventListener('submit', subscribe);
    analytics.trackForm(letter, 'Subscribed', { letter: 'harbour' });
}
show();
setInterval(show, 1000);
