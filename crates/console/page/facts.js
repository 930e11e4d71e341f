// What is known of an incident beyond its sentence, in words with units. Pure: values in, text out.

import { amount, clip, clock, few, held, lasting, moment, number, owner, runsOut, runsOutAt, span, spans } from "./words.js";

/** Further culprits that are named. */
const FURTHER_MAX = 8;

/** What a transition says, as `[term, text]`, seen from `near`. */
export function facts(it, near) {
  const detail = it.detail ?? {};
  const own = {
    held_open: heldOpen,
    across_lives: (what) => acrossLives(what, it.unit),
    within_life: (what) => withinLife(what, it, near),
    not_back: (what) => notBack(what, it, near),
  };
  const known = Object.entries(detail).flatMap(([kind, what]) => own[kind]?.(what) ?? []);
  return [...common(it, near), ...known, ...it.doubts.map((doubt) => ["Doubt", clip(doubt, 300)])];
}

function common(it, near) {
  const isGone = it.kind === "not_back";
  const found = [["Who", whom(it)]];
  if (!isGone) found.push([it.unit === "bytes" ? "Fullest instance" : "In use", used(it)]);
  if (it.unit !== "bytes" && it.owner_level !== null && owner(it) !== null) {
    const before = it.owner_level_before === null ? "" : `, ${number(it.owner_level_before)} before it began`;
    found.push(["Holds", `${number(it.owner_level)} ${it.unit}${before}`]);
  }
  if (!isGone) found.push(["Began", `${clock(moment(it.since), near, true)} UTC`]);
  if (it.growth_per_minute !== null && it.unit !== "bytes") found.push(["Growth", `${few(it.growth_per_minute)} ${it.unit} a minute`]);
  if (it.release !== null) found.push(["Release", release(it, near)]);
  // What was refused afterwards is counted in the evidence alone.
  if (it.refused > 0 && it.state === "open") found.push(["Refused", `at least ${requests(it.refused)} since it began`]);
  return found;
}

function requests(count) {
  return `${number(count)} ${count === 1 ? "request" : "requests"}`;
}

function whom(it) {
  const name = owner(it);
  if (name !== null) return `${name} (${Object.keys(it.owner)[0]})`;
  return it.owner === "nobody" ? "nobody: the cause is shared" : "unknown: the records do not say";
}

function used(it) {
  const free = it.usable === null ? "" : `, ${amount(Math.max(0, it.usable - it.level), it.unit)} free`;
  return `${held(it.level, it.usable, it.unit)}${free}`;
}

function release(it, near) {
  const { "service.name": service, "service.version": version, deployed_at } = it.release;
  const at = moment(deployed_at);
  const name = clip(version === null ? service : `${service} ${version}`, 80);
  return `${name}, rolled out ${clock(at, near)} UTC, ${span((moment(it.since) - at) / 1e3)} before it began`;
}

function heldOpen(what) {
  const times = what.hold_s_before > 0 ? what.hold_s / what.hold_s_before : 0;
  const found = [
    ["Its calls last", `${lasting(what.hold_s)} on average, usually ${lasting(what.hold_s_before)}${times >= 1.5 ? `: ${few(times)} times as long` : ""}`],
    ["It begins", `${few(what.arrivals_per_s)} calls a second, usually ${few(what.arrivals_per_s_before)}`],
  ];
  if (what.unfinished > 0) found.push(["Not ended", `${number(what.unfinished)} of its calls are older than its calls become`]);
  found.push(["Who waits", waits(what)]);
  if (what.further.length > 0) {
    const named = what.further.slice(0, FURTHER_MAX).map((it) => `${clip(it.value, 60)} holds ${number(it.held)}, usually ${number(it.held_before)}`);
    const beyond = what.further.length - named.length;
    found.push(["Also", `${named.join("; ")}${beyond > 0 ? `; ${number(beyond)} more` : ""}`]);
  }
  if (what.estimated) found.push(["Doubt", "what is held is an estimate: the records tell only of calls that have ended"]);
  return found;
}

function waits(what) {
  if (what.victims === 0) return "nobody, as far as is known";
  const who = what.victims === 1 ? "one other" : `${number(what.victims)} others`;
  return what.victims_waited_s > 0
    ? `${who}: ${lasting(what.victims_waited_s)} in all, ${lasting(what.victims_waited_s / what.victims)} each`
    : who;
}

function acrossLives(what, unit) {
  const [low, high] = what.growth_per_hour_interval;
  const found = [
    ["Every life grows", `${amount(what.growth_per_hour, unit)} per hour of uptime (${amount(low, unit)} to ${amount(high, unit)}, 80 %)`],
    ["Seen in", `${number(what.lives_growing)} of ${number(what.lives)} lives that were long enough to tell`],
  ];
  if (what.since_release !== null) found.push(["Since release", clip(what.since_release, 60)]);
  if (what.restart_every_s !== null) found.push(["Hidden by restarts", `every ${span(what.restart_every_s)}`]);
  found.push(["Survives", what.safe_uptime_s === null ? "unknown: no limit is known" : `${spans(...what.safe_uptime_s)} of uptime (80 %)`]);
  return found;
}

function withinLife(what, it, near) {
  const width = /_(\d+)s$/.exec(what.floors);
  const floors = width === null ? "" : `, by the lowest of every ${span(Number(width[1]))}`;
  const found = [["Instance", clip(what.instance, 80)]];
  if (it.growth_per_minute !== null) {
    found.push(["It grows", `${amount(it.growth_per_minute * 60, it.unit)} an hour since ${clock(what.since * 1e3, near)} UTC${floors}`]);
  }
  return what.across === null ? found : [...found, ...acrossLives(what.across, it.unit)];
}

/** How a life ended, as far as known. */
const ENDS = {
  out_of_memory: "out of memory",
  crash: "it crashed",
  stopped: "it was stopped",
  unknown: "it ended, nobody says why",
};

function notBack(what, it, near) {
  const at = what.last_seen / 1e3;
  const found = [
    ["Last seen", `${clock(at, near, true)} UTC${near === null || it.state === "resolved" ? "" : `, ${span((near - at) / 1e3)} ago`}`],
    ["Its end", ENDS[what.cause] ?? "it fell silent while others report"],
    ["Usually back", what.usual_return_s === null ? "it was never seen to come back" : `in ${lasting(what.usual_return_s)}`],
  ];
  if (it.level > 0) found.push(["Memory at its end", held(it.level, it.usable, it.unit)]);
  if (what.started_at !== null) found.push(["It had lived", `${span(at / 1e3 - what.started_at)}, since ${clock(what.started_at * 1e3, near)} UTC`]);
  if (what.forecast !== null) {
    const [from, to] = [what.forecast.from / 1e3, what.forecast.to === null ? null : what.forecast.to / 1e3];
    const when = to === null ? `after ${clock(from, near)}` : `${clock(from, near)}–${clock(to, Math.floor(from / 864e5) === Math.floor(to / 864e5) ? from : near)}`;
    const hit = at < from ? "it ended before" : to !== null && at > to ? "it ended later" : "it ended within";
    found.push(["Had been forecast", `out of memory ${when} UTC (80 %): ${hit}`]);
  }
  return found;
}

/**
 * The one thing to know besides who and what: until when, or since when; `[text, more]` or null.
 * `level` is what is held now, if that is watched.
 */
export function urgent(it, near, level = null) {
  if (it.state === "resolved" || near === null) return null;
  if (level !== null && it.usable !== null && level >= it.usable) return ["has run out", `${held(level, it.usable, it.unit)} are held now`];
  const out = runsOut(it, near);
  if (out !== null) return [out, runsOutAt(it, near)];
  const { not_back: gone, across_lives: across } = it.detail ?? {};
  if (gone !== undefined) {
    const at = gone.last_seen / 1e3;
    const usual = gone.usual_return_s === null ? "" : `; it is usually back in ${lasting(gone.usual_return_s)}`;
    return [`gone for ${span((near - at) / 1e3)}`, `since ${clock(at, near, true)} UTC${usual}`];
  }
  if (it.refused > 0) return ["requests are refused", `at least ${number(it.refused)} by ${clock(moment(it.as_of), near)} UTC, when it was last told`];
  if (across !== undefined && across.safe_uptime_s !== null) {
    return [`survives ${spans(...across.safe_uptime_s)} of uptime`, `with a chance of 80 %${across.restart_every_s === null ? "" : `; restarted every ${span(across.restart_every_s)} so far`}`];
  }
  return null;
}
