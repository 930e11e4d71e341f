// The second screen: one incident, from its sentence to its proof.

import { bandChart, bandName, forecast, gone, lastOf, levelChart, series, swatch } from "./chart.js";
import { draw, h } from "./draw.js";
import { facts, urgent } from "./facts.js";
import { events, markText } from "./marks.js";
import { poll } from "./poll.js";
import { now, state, trouble } from "./state.js";
import { amount, calm, clip, clock, held, moment, number, owner, plain, runsOutAt, sign, span, title } from "./words.js";

const id = location.pathname.split("/").pop();
const place = (name) => document.getElementById(name);

/** Marks that stand in the text below a chart: the newest. */
const MARKS_TOLD_MAX = 6;

/** Levels from which on a chart says more than a sentence. */
const DRAWN_MIN = 3;

/** What was last shown, to draw it again at another width, and the moment it was seen from. */
let shown = null;
let seen = null;

/** What became of the last copy. */
let copied = "";

poll([`/api/incidents/${id}`, "/api/watched"], show, (status, error) => {
  if (status !== 404 && status !== 400) return false;
  draw(place("sentence"), h("h1", null, "No such incident"), h("p", null, calm(error, 300)));
  return true;
});

new ResizeObserver(() => shown !== null && charts(shown)).observe(place("level"));

sessionStorage.setItem("seen", id);
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") place("back").click();
});

function show(incident, watched) {
  shown = incident;
  const last = incident.transitions[incident.transitions.length - 1];
  const pipeline = watched.pipelines.find((it) => it.pipeline === last.pipeline);
  const near = pipeline === undefined ? moment(last.as_of) : now(pipeline);
  draw(place("state"), state(watched));
  trouble(watched);
  draw(place("sentence"), sentence(incident, last, near));
  draw(place("facts"), known(incident, last, near));
  seen = last.state === "open" ? near : null;
  charts(incident);
  draw(place("transitions"), transitions(incident));
  draw(place("deliveries"), deliveries(incident));
  draw(place("proof"), proof(incident));
  document.title = `${last.state === "open" ? "▲" : "✓"} ${title(last)} · Plimsoll`;
}

function sentence(incident, last, near) {
  const isOpen = last.state === "open";
  const [begin, end] = [moment(last.opened_at), moment(last.as_of)];
  const out = urgent(last, near, incident.followed?.steps.at(-1)?.[1] ?? null);
  const lasted = isOpen ? (near - begin) / 1e3 : (end - begin) / 1e3;
  const when = isOpen
    ? `open since ${clock(begin, near)} UTC, ${span(lasted)}`
    : `opened ${clock(begin, near)} UTC, resolved ${clock(end, begin)}, after ${span(lasted)}`;
  const headline = h("p", { key: "headline", class: "headline" }, calm(last.headline, 1500));
  const next = h("p", { key: "next", class: "advice" }, h("strong", null, "Next: "), calm(last.advice, 1500));
  return [
    h("p", { class: `badge ${isOpen ? last.severity_peak : "over"}` }, h("span", { "aria-hidden": "true" }, isOpen ? sign(last.severity_peak) : "✓"), ` ${plain(isOpen ? last.severity_peak : last.state)}`),
    h("h1", null, title(last)),
    out === null ? null : h("p", { class: "out" }, out[0], h("small", null, out[1])),
    isOpen ? [next, headline] : [headline, next],
    h("p", { class: "meta" }, `${clip(last.pipeline, 60)} · ${when}`),
  ];
}

/** What the last transition says, term by term. The one that ends it says again what was told before. */
function known(incident, last, near) {
  const rows = facts(last, near).map(([term, text], index) => h("div", { key: `${index}-${term}` }, h("dt", null, term), h("dd", null, text)));
  const told = incident.transitions.findLast((it) => it.state === "open") ?? last;
  const asOf = h("p", { class: "meta" }, `As last told, ${clock(moment(told.as_of), near, true)} UTC${last.state === "open" ? "" : ", before it was over"}.`);
  return [h("dl", null, rows), asOf];
}

function charts(incident) {
  const data = series(incident, seen);
  const last = incident.transitions[incident.transitions.length - 1];
  if (data === null) {
    draw(place("level"), h("p", null, "The evidence of this incident is no longer kept."));
    draw(place("holders"), h("p", null, "It is not kept either."));
    return;
  }
  const levels = data.total.filter((it) => it !== null);
  if (levels.length + data.after.length < DRAWN_MIN) {
    const at = data.from + data.total.findLastIndex((it) => it !== null) * data.step;
    draw(place("level"), h("p", null, `Only one level is told: ${held(lastOf(data.total), last.usable, last.unit)} at ${clock(at, null)} UTC.`), happened(incident, data));
    draw(place("holders"), names(data, last));
    return;
  }
  const width = Math.max(280, place("level").clientWidth);
  draw(place("level"), h("figure", null,
    levelChart(width, width < 620 ? 280 : 340, data, incident),
    h("figcaption", { id: "level-text" }, levelText(data, incident, last))), happened(incident, data));
  draw(place("holders"), h("figure", null,
    bandChart(width, width < 620 ? 260 : 300, data, incident),
    h("figcaption", { id: "holders-text" }, holdersText(data, incident, last))),
  names(data, last), table(data, last));
}

/** The first chart in words. */
function levelText(data, incident, last) {
  const known = data.total.filter((it) => it !== null);
  const end = data.told;
  const parts = [`From ${amount(known[0], last.unit)} at ${clock(data.from, null)} to ${amount(lastOf(known), last.unit)} at ${clock(end, data.from)} UTC, at most ${held(Math.max(...known), last.usable, last.unit)}.`];
  if (incident.levels.of === "floors") parts.push("The line goes through the lowest memory of each stretch of time; the numbers in circles stand at the level of that moment.");
  if (seen !== null) parts.push(afterText(data, last));
  const refused = incident.levels.refused.reduce((sum, it) => sum + it, 0);
  if (refused > 0) parts.push(`${number(refused)} requests were refused.`);
  const ahead = forecast(incident);
  if (ahead !== null) parts.push(`Forecast of ${clock(ahead.said, data.from)}: runs out ${runsOutAt(ahead.transition, data.from)}.`);
  if (incident.levels.evidence_left_off > 0) parts.push("Older evidence is left off.");
  return parts.join(" ");
}

/** What is known between the last word and now. */
function afterText(data, last) {
  const newest = data.after.findLast((it) => it.level !== null);
  if (newest === undefined) return `Told until ${clock(data.told, seen)} UTC; since then nothing is known.`;
  return `Told until ${clock(data.told, seen)} UTC, the thin line as watched since then: ${amount(newest.level, last.unit)} at ${clock(newest.to, seen)} UTC.`;
}

/** The marks of the charts, in words. */
function happened(incident, data) {
  const all = events(incident);
  if (all.length === 0) return null;
  const told = all.slice(-MARKS_TOLD_MAX).map((mark) => `${clock(moment(mark.time), data.end)} ${markText(mark)}`);
  const before = all.length - told.length;
  return h("p", { class: "meta" }, `${before > 0 ? `${number(before)} earlier deploys, restarts and ends; ` : ""}${told.join("; ")}.`);
}

function holdersText(data, incident, last) {
  const who = owner(last);
  const own = data.bands.find((band) => band.kind === "owner");
  const by = `By ${incident.levels.dimension}, ${data.stacked ? "on top of each other" : "each against the limit for itself"}.`;
  if (who === null || own === undefined) return by;
  const first = own.held.find((it) => it !== null);
  const newest = data.stacked ? data.after.findLast((it) => it.own !== null) : undefined;
  const now = newest === undefined ? "" : ` As watched since then, it holds ${amount(newest.own, last.unit)} at ${clock(newest.to, seen)} UTC.`;
  return `${by} ${who} held ${amount(first, last.unit)} at first and ${amount(lastOf(own.held), last.unit)} at last.${now}`;
}

/** The names beside their patterns, in the order of the stack. */
function names(data, last) {
  const rows = data.bands.map((band, place) => h("li", { key: `name-${place}`, class: band.kind },
    swatch(place, band, data.stacked),
    h("span", null, bandName(band)),
    h("span", { class: "count" }, `${said(lastOf(band.held), last.unit)}${gone(data, band, shown)}`)));
  return h("ul", { class: "names" }, rows.toReversed());
}

/** The same numbers for those who cannot use a picture: at most a dozen rows. */
function table(data, last) {
  const every = Math.max(1, Math.ceil(data.points / 12));
  const points = [];
  for (let point = data.points - 1; point >= 0; point -= every) points.push(point);
  return h("details", null,
    h("summary", null, "The numbers as a table"),
    h("div", { class: "wide", tabindex: "0", role: "region", "aria-label": "Who held what, as a table" }, h("table", null,
      h("thead", null, h("tr", null, h("th", { scope: "col" }, "UTC"), data.bands.map((band) => h("th", { scope: "col" }, bandName(band, 20))), h("th", { scope: "col" }, data.stacked ? "All" : "Counted"))),
      h("tbody", null, points.toReversed().map((point) => h("tr", null,
        h("th", { scope: "row" }, clock(data.from + (point + 1) * data.step, data.end)),
        data.bands.map((band) => h("td", null, said(band.held[point], last.unit))),
        h("td", null, said(data.total[point], last.unit))))))));
}

/** An amount, or a dash where nothing is known. */
function said(value, unit) {
  return value === null ? "–" : amount(value, unit);
}

function transitions(incident) {
  const rows = incident.transitions.toReversed().map((it) => {
    const at = moment(it.as_of);
    return h("li", { key: `said-${it.sequence}` },
      h("p", { class: "meta" }, h("b", { class: "number" }, it.sequence), ` ${clock(at, null, true)} UTC · ${plain(it.change)}: ${plain(it.reason)} · ${plain(it.severity)}`),
      h("p", null, calm(it.headline, 1500)));
  });
  return [
    h("ol", { class: "plain" }, rows),
    incident.transitions_left_off === 0 ? null : h("p", { class: "meta" }, `${number(incident.transitions_left_off)} earlier ones are in the store.`),
  ];
}

const STATES = { accepted: "✓ accepted", pending: "… waiting", held: "… held back", refused: "✕ refused", superseded: "– never sent" };

function deliveries(incident) {
  if (incident.deliveries.length === 0) return h("p", null, "Nobody: no route wants it, or it was only replayed.");
  return [
    h("ul", { class: "plain deliveries" }, incident.deliveries.toReversed().map((it) => {
      const at = moment(it.at);
      const tries = it.attempts === null || it.attempts === 0 ? "" : ` after ${number(it.attempts)} ${it.attempts === 1 ? "attempt" : "attempts"}`;
      return h("li", { key: `sent-${it.delivery}`, class: it.state },
        h("p", null, h("b", null, STATES[it.state] ?? plain(it.state)), `${tries}: ${clip(it.sink, 60)}, ${plain(it.action)} `, h("b", { class: "number" }, it.sequence)),
        h("p", { class: "meta" }, [at === null ? null : `${clock(at, null, true)} UTC`, it.answer === null ? null : `“${calm(it.answer, 300)}”`, it.error === null ? null : calm(it.error, 300)].filter((part) => part !== null).join(" · ")));
    })),
    incident.deliveries_left_off === 0 ? null : h("p", { class: "meta" }, `${number(incident.deliveries_left_off)} earlier ones are in the store.`),
  ];
}

function proof(incident) {
  const { proof: sql } = incident.transitions[incident.transitions.length - 1];
  if (sql === "") return h("p", null, "There is no SQL text for this incident.");
  return [
    h("p", null, "Read from the evidence alone, this gives the numbers above, in ", h("code", null, "plimsoll sql"), " and in ClickHouse."),
    h("p", null, h("button", { type: "button", click: () => copy(sql) }, "Copy as SQL"), h("span", { role: "status" }, copied)),
    h("pre", { tabindex: "0", role: "region", "aria-label": "SQL text" }, h("code", null, sql)),
  ];
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    copied = "Copied.";
  } catch {
    copied = "Select the text and copy it: the browser does not let the page do it.";
  }
  draw(place("proof"), proof(shown));
}
