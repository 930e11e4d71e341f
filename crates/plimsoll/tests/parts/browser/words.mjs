// Checks `words.js`, which is pure. usage: words.mjs PATH

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

// The file stands outside of any package, so its kind must be said.
const source = readFileSync(process.argv[2], "utf8");
const words = await import(`data:text/javascript,${encodeURIComponent(source)}`);

const NOON = Date.parse("2026-03-04T12:00:00Z");

function check(given, expected) {
  assert.equal(given, expected);
}

/** What is said at noon of an interval that begins and ends so many seconds later. */
function runsOut(from, to, state = "open") {
  const at = (seconds) => (seconds === null ? null : new Date(NOON + seconds * 1000).toISOString());
  return words.runsOut({ state, exhaustion_from: at(from), exhaustion_to: at(to) }, NOON);
}

check(words.span(0), "0 s");
check(words.span(89), "89 s");
check(words.span(90), "2 min");
check(words.span(5399), "90 min");
check(words.span(5400), "1 h 30 min");
check(words.span(7200), "2 h");
check(words.span(172800), "2 days");
check(words.span(187200), "2 days 4 h");

check(runsOut(660, 1140), "runs out in 11–19 min");
check(runsOut(20, 40), "runs out in 20–40 s");
check(runsOut(59, 480), "runs out in 1–8 min");
check(runsOut(660, 665), "runs out in 11 min");
check(runsOut(3000, 10800), "runs out in 50 min to 3 h");
check(runsOut(10800, 18000), "runs out in 3–5 h");
check(runsOut(660, null), "runs out in 11 min or more");
check(runsOut(-5, 120), "may run out any moment, within 2 min");
check(runsOut(-5, null), "may run out any moment");
check(runsOut(-10, -5), "may have run out");
check(runsOut(660, 1140, "resolved"), null);
check(runsOut(null, null), null);

check(words.clock(NOON, NOON), "12:00");
check(words.clock(NOON, NOON + 864e5, true), "4 Mar 12:00:00");
check(words.moment("nonsense"), null);

check(words.amount(1536 * 1024 * 1024, "bytes"), "1.5 GiB");
check(words.amount(12345, "connections"), "12,345");
check(words.held(148, 197, "connections"), "148 of 197 connections");
check(words.held(148, null, "connections"), "148 connections, limit unknown");

check(words.clip("abcdef", 3), "abc… (3 more)");
check(words.calm(`a ${"w".repeat(100)} b`, 500), `a ${"w".repeat(60)}… (40 more) b`);
check(words.visible("a\u202eb\u0000\nc"), "a⟨202E⟩b⟨0000⟩\nc");

const incident = { kind: "growth_to_limit", resource: "db", state: "open", owner: { tenant: "acme" } };
check(words.title(incident), "acme fills db");
check(words.title({ ...incident, owner: "nobody" }), "db fills up");
check(words.title({ ...incident, state: "resolved" }), "acme filled db");
check(words.title({ ...incident, kind: "refusal_at_limit" }), "db refuses; acme fills it");
check(words.title({ ...incident, kind: "something_new" }), "db: something new");
