// Checks `words.js` and `facts.js`, which are pure. usage: words.mjs FOLDER

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";

// The files stand outside of any package, so their kind must be said.
const address = (text) => `data:text/javascript,${encodeURIComponent(text)}`;
const source = (name) => readFileSync(join(process.argv[2], name), "utf8");
const wordsAddress = address(source("words.js"));
const words = await import(wordsAddress);
const { facts, urgent } = await import(address(source("facts.js").replace('"./words.js"', JSON.stringify(wordsAddress))));

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
check(runsOut(45360, 73260), "runs out in 12–21 h");
check(runsOut(1016525, 1195732), "runs out in 11–14 days");
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
check(words.title({ ...incident, kind: "not_back" }), "acme is gone");

check(words.lasting(0.2469), "247 ms");
check(words.lasting(8.095), "8.1 s");
check(words.lasting(1103.1), "18 min");
check(words.few(0.0417), "0.042");
check(words.few(148.2), "148");
check(words.isolated("by \u05d0\u05d1 \u05d2, 22 free"), "by \u2068\u05d0\u05d1 \u05d2\u2069, 22 free");

/** A transition as the API tells it, as of noon, with what its kind alone says. */
function told(kind, detail, more = {}) {
  const known = { kind, state: "open", resource: "db", unit: "slots", owner: { tenant: "acme" }, level: 37, usable: 40, owner_level: 34, owner_level_before: 2 };
  const rest = { as_of: "2026-03-04T12:00:00Z", since: "2026-03-04T11:59:00Z", growth_per_minute: null, exhaustion_from: null, exhaustion_to: null, release: null, refused: 0, doubts: [] };
  return { ...known, ...rest, detail, ...more };
}

/** Each fact as `term: text`, without those before `from`. */
function known(transition, from) {
  const lines = facts(transition, NOON).map(([term, text]) => `${term}: ${text}`);
  return lines.slice(lines.findIndex((line) => line.startsWith(from)));
}

const heldOpen = { arrivals_per_s: 4.2, arrivals_per_s_before: 4.8, hold_s: 8.1, hold_s_before: 0.27, unfinished: 9, victims: 59, victims_waited_s: 1103.1, further: [{ value: "beta", held: 12, held_before: 3 }], estimated: true };
assert.deepEqual(known(told("held_open", { held_open: heldOpen }), "Who"), [
  "Who: acme (tenant)",
  "In use: 37 of 40 slots, 3 free",
  "Holds: 34 slots, 2 before it began",
  "Began: 11:59:00 UTC",
  "Its calls last: 8.1 s on average, usually 270 ms: 30 times as long",
  "It begins: 4.2 calls a second, usually 4.8",
  "Not ended: 9 of its calls are older than its calls become",
  "Who waits: 59 others: 18 min in all, 19 s each",
  "Also: beta holds 12, usually 3",
  "Doubt: what is held is an estimate: the records tell only of calls that have ended",
]);

const MIB = 1048576;
const across = { growth_per_hour: 4 * MIB, growth_per_hour_interval: [3.4 * MIB, 4.6 * MIB], lives_growing: 11, lives: 11, since_release: "7.6", safe_uptime_s: [29 * 86400, 33 * 86400], restart_every_s: 2.5 * 86400 };
const memory = { unit: "bytes", level: 1024 * MIB, usable: 2048 * MIB, owner: { "service.name": "web" } };
const lives = [
  "Every life grows: 4 MiB per hour of uptime (3.4 MiB to 4.6 MiB, 80 %)",
  "Seen in: 11 of 11 lives that were long enough to tell",
  "Since release: 7.6",
  "Hidden by restarts: every 2 days 12 h",
  "Survives: 29–33 days of uptime (80 %)",
];
assert.deepEqual(known(told("growth_across_lives", { across_lives: across }, memory), "Every"), lives);
check(urgent(told("growth_across_lives", { across_lives: across }, memory), NOON)[0], "survives 29–33 days of uptime");
const within = { instance: "web-2", since: NOON / 1000 - 7200, floors: "memory_floor_32768s", across };
assert.deepEqual(known(told("growth_within_life", { within_life: within }, { ...memory, growth_per_minute: MIB }), "Instance"), [
  "Instance: web-2",
  "It grows: 60 MiB an hour since 10:00 UTC, by the lowest of every 9 h 6 min",
  ...lives,
]);

const gone = { last_seen: (NOON - 1500e3) * 1000, cause: "out_of_memory", usual_return_s: 14, started_at: NOON / 1000 - 1500 - 12 * 86400, forecast: { from: (NOON - 7200e3) * 1000, to: (NOON + 3600e3) * 1000 } };
const absence = told("not_back", { not_back: gone }, { ...memory, level: 2047 * MIB, owner: { "service.instance.id": "web-1" } });
assert.deepEqual(known(absence, "Last"), [
  "Last seen: 11:35:00 UTC, 25 min ago",
  "Its end: out of memory",
  "Usually back: in 14 s",
  "Memory at its end: 2 GiB of 2 GiB",
  "It had lived: 12 days, since 20 Feb 11:35 UTC",
  "Had been forecast: out of memory 10:00–13:00 UTC (80 %): it ended within",
]);
assert.deepEqual(urgent(absence, NOON), ["gone for 25 min", "since 11:35:00 UTC; it is usually back in 14 s"]);

const refused = told("refusal_at_limit", null, { refused: 142, doubts: ["sessions are older than the log"], release: { "service.name": "issuer", "service.version": "2.14", deployed_at: "2026-03-04T11:57:00Z" } });
assert.deepEqual(known(refused, "Release"), [
  "Release: issuer 2.14, rolled out 11:57 UTC, 2 min before it began",
  "Refused: at least 142 requests since it began",
  "Doubt: sessions are older than the log",
]);
assert.deepEqual(urgent(refused, NOON), ["requests are refused", "at least 142 by 12:00 UTC, when it was last told"]);
check(urgent({ ...refused, state: "resolved" }, NOON), null);
assert.deepEqual(urgent(refused, NOON, 40), ["has run out", "40 of 40 slots are held now"]);
