/*
 * The status page: asks where it stands for the courier's status, shows it, and asks again. When
 * nobody answers it keeps what it knew, greyed, and says since when. All text goes in as text.
 */
"use strict";

const EVERY = 3000; // ms between two questions
const PATIENCE = 10000; // ms until a question counts as not answered
const numbers = new Intl.NumberFormat("en");

function element(name, attributes, ...children) {
  const it = Object.assign(document.createElement(name), attributes);
  it.append(...children.filter((child) => child !== null));
  return it;
}

const words = (key) => key.replace(/_/g, " ");
const count = (value) => numbers.format(Number(value) || 0);

function size(bytes) {
  const units = ["bytes", "KB", "MB", "GB", "TB"];
  let unit = 0;
  let value = Number(bytes) || 0;
  for (; value >= 1024 && unit < units.length - 1; unit++) {
    value /= 1024;
  }
  return (unit > 0 && value < 10 ? value.toFixed(1) : count(Math.round(value))) + " " + units[unit];
}

function duration(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  for (const [unit, length] of [["d", 86400], ["h", 3600], ["min", 60]]) {
    if (seconds >= 2 * length) {
      return Math.floor(seconds / length) + " " + unit;
    }
  }
  return seconds + " s";
}

function rows(pairs) {
  const list = element("dl", {});
  for (const [name, value] of pairs) {
    list.append(element("dt", {}, name), element("dd", {}, value));
  }
  return list;
}

// The members of an object that are numbers over 0, largest first.
function reasons(object) {
  const pairs = Object.entries(object || {}).filter(([, value]) => typeof value === "number" && value > 0);
  if (pairs.length === 0) {
    return element("p", { className: "none" }, "none");
  }
  return rows(pairs.sort((a, b) => b[1] - a[1]).map(([key, value]) => [words(key), count(value)]));
}

function card(title, ...children) {
  return element("section", { className: "card" }, element("h3", {}, title), ...children);
}

function big(value, unit, level) {
  return element("p", { className: "big " + (level || "") }, count(value), " ", element("small", {}, unit));
}

function meter(name, used, of, text) {
  const full = of > 0 && used >= of * 0.9;
  return [rows([[name, text || count(used) + " of " + count(of)]]),
    element("progress", { value: used, max: of || 1, className: full ? "full" : "", ariaLabel: name })];
}

function notice(level, title, text) {
  return element("div", { className: "notice " + level }, element("b", {}, title), text ? element("span", {}, text) : null);
}

/* What needs somebody comes first. */

function notices(status) {
  const found = [];
  const dispatch = status.dispatch || {};
  if (status.spool.room === false) {
    found.push(notice("bad", "New events are refused with 503", status.spool.why));
  }
  if (status.held || dispatch.held) {
    found.push(notice("warn", "Held: events are taken, nothing is delivered"));
  }
  if (dispatch.record_failing) {
    found.push(notice("bad", "What was delivered cannot be recorded in the spool", "Delivery waits for the disk."));
  }
  if (dispatch.bad_rows > 0) {
    found.push(notice("bad", count(dispatch.bad_rows) + " damaged events were set aside", "Check the disk."));
  }
  for (const one of dispatch.subscriptions || []) {
    for (const pause of one.paused || []) {
      const title = "[" + ("marketo " + (one.name || "")).trim() + "] " + pause.api + " is paused: " + words(pause.reason || pause.kind);
      const again = pause.until > Date.now() ? "Asks again in " + duration(pause.until - Date.now()) + "." : "Asks again now.";
      found.push(notice("bad", title, [pause.code ? String(pause.code) : "", pause.why, pause.hint, again].filter(Boolean).join(" · ")));
    }
  }
  return found;
}

function whole(status) {
  const spool = status.spool;
  const intake = status.intake || {};
  const delivered = (status.dispatch.subscriptions || []).reduce((sum, one) => sum + (one.delivered_last_minute || 0), 0);
  return element("div", { className: "cards" },
    card("Waiting", big(spool.waiting, "events"), ...meter("disk", spool.bytes, spool.max_bytes, size(spool.bytes) + " of " + size(spool.max_bytes))),
    card("The last minute", big(intake.accepted_last_minute, "in"), big(delivered, "delivered")),
    card("Taken in", rows([["accepted", count(intake.accepted)], ["duplicates", count(intake.duplicates)],
      ["filtered", count(intake.filtered)], ["rejected", count(intake.rejected)], ["servers connected", count(intake.servers)]])),
    card("Dead letters", big(spool.dead, "kept", spool.dead > 0 ? "warn" : ""), spool.dead > 0 ? reasons(spool.dead_by_reason) : null),
    card("Filtered", reasons(intake.filtered_by)),
    card("Rejected", reasons(intake.rejected_by)));
}

/* One subscription. */

function queue(one) {
  return Object.entries(one.queue || {}).map(([kind, lane]) =>
    [kind, count(lane.events) + (lane.oldest_ms >= 0 && lane.events > 0 ? ", oldest " + duration(lane.oldest_ms) : "")]);
}

function budget(one) {
  const it = one.budget || {};
  return card("Calls to Marketo", ...meter("in 20 s", it.window_used, it.window_used + it.window_left),
    ...meter("today", it.day_used, it.day_used + it.day_left), ...meter("under way", it.running, it.at_once),
    it.day_reset ? element("p", { className: "none" }, "a new day in " + duration(it.day_reset - Date.now())) : null);
}

function errors(one) {
  const pairs = Object.entries(one.errors || {});
  const list = pairs.map(([name, error]) => [words(name), count(error.count) + ", last " + duration(Date.now() - error.last) + " ago"]);
  return list.length > 0 ? rows(list) : element("p", { className: "none" }, "none");
}

function subscription(one) {
  const refused = one.refused_fields || [];
  return [element("h2", {}, "[" + ("marketo " + (one.name || "")).trim() + "] ", element("small", {}, one.api || "no longer configured")),
    element("div", { className: "cards" },
      card("Waiting", rows(queue(one)), rows([["delivered in the last minute", count(one.delivered_last_minute)]])),
      budget(one), card("So far", reasons(one.counters)), card("Errors of Marketo", errors(one)),
      card("Filtered", reasons(one.filtered_by_reason)),
      refused.length > 0 ? card("Fields that Marketo does not take", element("p", {}, refused.join(", "))) : null)];
}

function show(status) {
  const found = notices(status);
  const subscriptions = (status.dispatch.subscriptions || []).flatMap(subscription);
  document.getElementById("main").replaceChildren(...found, whole(status), ...subscriptions);
  say(found.length > 0 ? "warn" : "good", found.length > 0 ? "running, needs attention" : "running");
  document.title = (found.length > 0 ? "⚠ " : "") + "Marketo courier";
}

/* Asking. */

let answered = 0; // when a courier last answered, ms

function say(level, text) {
  const state = document.getElementById("state");
  if (state.textContent !== text) {
    state.textContent = text; // a screen reader tells changes only
  }
  state.className = level;
}

function about(status) {
  document.getElementById("when").textContent = status.version + ", pid " + status.pid + ", up " + duration(status.uptime_s * 1000) +
    " · " + new Date().toLocaleTimeString();
}

function away(why) {
  const since = answered > 0 ? " Last answer " + duration(Date.now() - answered) + " ago." : "";
  document.body.classList.add("old");
  if (answered === 0) {
    document.getElementById("main").replaceChildren(notice("asking", "What to look at",
      "systemctl status marketo (or, when the web server starts it, its error log) · is the socket there, and may the web server's user open it? · marketo check"));
  }
  say("bad", "away: " + why + since);
  document.title = "✕ Marketo courier";
}

async function ask() {
  try {
    const reply = await fetch("?json", { cache: "no-store", headers: { Accept: "application/json" }, signal: AbortSignal.timeout(PATIENCE) });
    const status = await reply.json();
    if (!reply.ok || !status.spool) {
      away(reply.status === 503 ? "the courier does not answer the web server; events are answered 503." : "the server says " + reply.status + ".");
      return;
    }
    answered = Date.now();
    document.body.classList.remove("old");
    show(status);
    about(status);
  } catch (error) {
    away("the web server does not answer.");
  }
}

async function run() {
  for (;;) {
    if (!document.hidden) {
      await ask();
    }
    await new Promise((resume) => setTimeout(resume, EVERY));
  }
}

run();
