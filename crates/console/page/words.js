// Numbers, moments and names in words. Everything here is pure: values in, text out.

const MINUTE = 60;
const HOUR = 3600;
const DAY = 86400;

/** Milliseconds of an RFC 3339 time, or null. */
export function moment(text) {
  const time = text ? Date.parse(text) : NaN;
  return Number.isNaN(time) ? null : time;
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const two = (number) => String(number).padStart(2, "0");

/** `15:21`, in UTC; with the day if that is not the day of `near`. */
export function clock(time, near, seconds = false) {
  if (time === null) return "?";
  const at = new Date(time);
  let text = `${two(at.getUTCHours())}:${two(at.getUTCMinutes())}`;
  if (seconds) text += `:${two(at.getUTCSeconds())}`;
  const isNear = near !== null && near !== undefined && Math.floor(near / 864e5) === Math.floor(time / 864e5);
  return isNear ? text : `${day(time)} ${text}`;
}

/** `4 Mar`, in UTC. */
export function day(time) {
  const at = new Date(time);
  return `${at.getUTCDate()} ${MONTHS[at.getUTCMonth()]}`;
}

/** `45 s`, `12 min`, `3 h 20 min`, `2 days 4 h`. */
export function span(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 90) return `${whole} s`;
  if (whole < 90 * MINUTE) return `${Math.round(whole / MINUTE)} min`;
  if (whole < 2 * DAY) {
    const minutes = Math.round(whole / MINUTE);
    const rest = minutes % 60;
    return rest === 0 ? `${minutes / 60} h` : `${Math.floor(minutes / 60)} h ${rest} min`;
  }
  const hours = Math.round(whole / HOUR);
  const rest = hours % 24;
  return rest === 0 ? `${hours / 24} days` : `${Math.floor(hours / 24)} days ${rest} h`;
}

/** `11–19 min`; `50 min to 3 h` where one unit does not do for both. A long time is not said to the minute. */
export function spans(from, to) {
  const minutes = (seconds) => Math.max(1, Math.round(seconds / MINUTE));
  if (to < 90) return `${Math.round(from)}–${Math.round(to)} s`;
  if (to < 90 * MINUTE) return minutes(from) === minutes(to) ? span(to) : `${minutes(from)}–${minutes(to)} min`;
  if (from >= 4 * DAY) return whole(from, to, DAY, "days");
  if (from >= 4 * HOUR && to < 2 * DAY) return whole(from, to, HOUR, "h");
  const [first, last] = [span(from), span(to)];
  const areHours = /^\d+ h$/.test(first) && /^\d+ h$/.test(last);
  if (first === last) return last;
  return areHours ? `${first.slice(0, -2)}–${last}` : `${first} to ${last}`;
}

/** In whole units, not narrower than it is. */
function whole(from, to, unit, name) {
  return `${Math.floor(from / unit)}–${Math.ceil(to / unit)} ${name}`;
}

/** `247 ms`, `8.1 s`, `12 min`. */
export function lasting(seconds) {
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  return seconds < 10 ? `${number(seconds)} s` : span(seconds);
}

/** Two digits or more: `0.042`, `4.8`, `148`. */
export function few(value) {
  const size = Math.abs(value);
  return size === 0 || size >= 10 ? number(Math.round(value)) : String(Number(value.toPrecision(2)));
}

/** When the units run out, as seen from `now`; null if nothing is said. */
export function runsOut(incident, now) {
  const from = moment(incident.exhaustion_from);
  const to = moment(incident.exhaustion_to);
  if (from === null) return null;
  if (incident.state === "resolved" || now === null) return null;
  if (to !== null && to < now) return "may have run out";
  if (from <= now) return to === null ? "may run out any moment" : `may run out any moment, within ${span((to - now) / 1e3)}`;
  const begin = (from - now) / 1e3;
  return to === null ? `runs out in ${span(begin)} or more` : `runs out in ${spans(begin, (to - now) / 1e3)}`;
}

/** `15:21–15:29 UTC, with a chance of 80 %`. */
export function runsOutAt(incident, near) {
  const from = moment(incident.exhaustion_from);
  const to = moment(incident.exhaustion_to);
  if (from === null) return null;
  const isExact = to !== null && to - from < 120e3;
  const when = to === null ? `after ${clock(from, near)}` : `${clock(from, near, isExact)}–${clock(to, to - from < 864e5 ? from : near, isExact)}`;
  return `${when} UTC, with a chance of 80 %`;
}

const grouped = new Intl.NumberFormat("en-GB", { maximumFractionDigits: 1 });

/** `1,234.5`. */
export function number(value) {
  return grouped.format(value);
}

const BINARY = ["bytes", "KiB", "MiB", "GiB", "TiB"];

/** A number of units without their name; of bytes with a binary prefix. */
export function amount(value, unit) {
  if (unit !== "bytes") return number(value);
  let scaled = value;
  let step = 0;
  while (Math.abs(scaled) >= 1024 && step < BINARY.length - 1) {
    scaled /= 1024;
    step += 1;
  }
  return `${number(scaled)} ${BINARY[step]}`;
}

/** `148 of 197 connections`. */
export function held(value, usable, unit) {
  const name = unit === "bytes" ? "" : ` ${unit}`;
  return usable === null || usable === undefined
    ? `${amount(value, unit)}${name}, limit unknown`
    : `${amount(value, unit)} of ${amount(usable, unit)}${name}`;
}

const FIRST = ["service.name", "tenant", "service.instance.id", "user.name", "host.name", "client.address", "db.namespace"];

/** The shortest name of a holder, from its dimensions. */
export function holder(dimensions) {
  const known = FIRST.find((name) => dimensions[name] !== undefined);
  return known === undefined ? "not told apart" : clip(String(dimensions[known]), 40);
}

/** Characters of a name in a sentence. */
const NAME_MAX = 60;

/** The owner's name, or null if it is nobody or unknown. */
export function owner(incident, max = NAME_MAX) {
  const it = incident.owner;
  if (it === null || typeof it !== "object") return null;
  const values = Object.values(it);
  return values.length === 0 ? null : clip(String(values[0]), max);
}

/** What each kind of incident does: open and over, with somebody to name and without. */
const KINDS = {
  growth_to_limit: { named: ["fills", "filled"], unnamed: ["fills up", "filled up"] },
  refusal_at_limit: { named: ["fills", "filled"], unnamed: ["refuses", "refused"], ahead: ["refuses", "refused"] },
  held_open: { named: ["holds open", "held open"], unnamed: ["is held open", "was held open"] },
  growth_within_life: { named: ["outgrows", "outgrew"], unnamed: ["is outgrown", "was outgrown"] },
  growth_across_lives: { named: ["leaks into", "leaked into"], unnamed: ["leaks", "leaked"] },
  not_back: { alone: ["is gone", "was gone"], unnamed: ["lost an instance", "lost an instance"] },
};

/** The shortest true thing to say: who does what to which resource. */
export function title(incident, max = NAME_MAX) {
  const resource = clip(String(incident.resource), max);
  const who = owner(incident, max);
  const kind = KINDS[incident.kind];
  if (kind === undefined) return `${resource}: ${plain(incident.kind)}`;
  const tense = incident.state === "resolved" ? 1 : 0;
  if (who === null) return `${resource} ${kind.unnamed[tense]}`;
  if (kind.alone !== undefined) return `${who} ${kind.alone[tense]}`;
  if (kind.ahead !== undefined) return `${resource} ${kind.ahead[tense]}; ${who} ${kind.named[tense]} it`;
  return `${who} ${kind.named[tense]} ${resource}`;
}

/** The sign of a severity, so that its colour is not the only one. */
export function sign(severity) {
  return { page: "▲", ticket: "◆" }[severity] ?? "●";
}

/** A word of a closed list as a person says it. */
export function plain(word) {
  return String(word).replaceAll("_", " ");
}

/** At most `max` characters; what is cut off is counted. */
export function clip(text, max) {
  const characters = Array.from(text.length > 20 * max ? text.slice(0, 20 * max) : text);
  if (characters.length <= max) return text;
  return `${characters.slice(0, max).join("")}… (${number(text.length - max)} more)`;
}

/** The beginning of a text, where there is room for no more. */
export function short(text, max) {
  const characters = Array.from(text.slice(0, 2 * max + 2));
  return characters.length <= max ? text : `${characters.slice(0, max).join("")}…`;
}

/** A text whose words all have a readable length: longer ones are cut and counted. */
export function calm(text, max) {
  return clip(text.replace(/\S{81,}/g, (word) => clip(word, 60)), max);
}

// Control characters, and those that reorder or hide text. A line break is kept.
const HIDDEN = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;

/** The text with every character that could hide or reorder something written out. */
export function visible(text) {
  return text.replace(HIDDEN, (it) => `⟨${it.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`);
}

// Letters that are written from right to left, with what stands between them.
const RIGHT_TO_LEFT = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\u{10800}-\u{10fff}\u{1e800}-\u{1efff}](?:[\s\-_.]*[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\u{10800}-\u{10fff}\u{1e800}-\u{1efff}])*/gu;

/** The text with words from right to left kept to themselves, so that a number after one stays there. */
export function isolated(text) {
  return text.replace(RIGHT_TO_LEFT, "\u2068$&\u2069");
}
