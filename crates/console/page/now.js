// The first screen: what is open, what is watched, what is over.

import { spark } from "./chart.js";
import { draw, h } from "./draw.js";
import { urgent } from "./facts.js";
import { poll } from "./poll.js";
import { isBehind, now, state, trouble } from "./state.js";
import { amount, calm, clip, clock, day, held, holder, moment, number, owner, plain, sign, span, title } from "./words.js";

/** Resolved incidents on the screen. */
const RESOLVED_MAX = 12;

/** Characters of a name where there are many. */
const LINE_NAME_MAX = 40;

/** Open incidents that are shown in full; of the others the least that says what they are. */
const FULL_MAX = 4;

const place = (id) => document.getElementById(id);

poll(["/api/incidents", "/api/watched"], (list, watched) => {
  const open = list.incidents.filter((it) => it.state === "open");
  const resolved = list.incidents.filter((it) => it.state === "resolved");
  const nows = new Map(watched.pipelines.map((it) => [it.pipeline, now(it)]));
  const resources = watched.pipelines.flatMap((it) => it.resources);
  draw(place("state"), state(watched));
  const isHistory = watched.pipelines.every((it) => !it.live);
  trouble(watched);
  draw(place("summary"), isHistory && open.length === 0 ? recording(resolved) : summary(open, resources, watched.pipelines));
  if (isHistory) leadWithResolved();
  const near = (it) => nows.get(it.pipeline) ?? null;
  draw(place("open"),
    open.slice(0, FULL_MAX).map((it) => card(it, near(it))),
    open.length <= FULL_MAX ? null : h("ul", { key: "more", class: "plain more" }, open.slice(FULL_MAX).map((it) => line(it, near(it)))));
  draw(place("watched"), watchedOf(watched.pipelines));
  draw(place("resolved"), over(resolved, list.left_off));
  const among = watched.pipelines.filter((it) => it.sources.length > 0);
  draw(place("sources"),
    among.length === 0 ? h("p", null, isHistory ? "Nothing is read: this is history." : "Nothing was read yet.") : among.map((it) => sourcesOf(it, watched.pipelines.length)));
  document.title = open.length === 0 ? "Plimsoll" : `▲ ${open.length} open · Plimsoll`;
  comeBack();
});

function summary(open, resources, pipelines) {
  if (open.length > 0) return open.length === 1 ? "One incident is open" : `${open.length} incidents are open`;
  if (pipelines.every((it) => it.judged_through === null)) return "Nothing is judged yet";
  if (resources.length === 0) return "No resource was seen yet";
  const behind = pipelines.filter((it) => it.live && isBehind(it));
  if (behind.length > 0) {
    const first = Math.min(...behind.map((it) => moment(it.judged_through)));
    return `No incident is open as of ${clock(first, Math.max(...behind.map(now)))} UTC`;
  }
  const free = resources.filter((it) => it.usable === null || it.held < it.usable);
  return free.length === resources.length ? "Nothing runs out" : "No incident is open";
}

function recording(resolved) {
  if (resolved.length === 0) return "Nothing ran out";
  return resolved.length === 1 ? "One incident in this recording" : `${resolved.length} incidents in this recording`;
}

/** Of a recording, what is over matters more than what is held at its end. */
function leadWithResolved() {
  const [resolved, watched] = ["resolved", "watched"].map((id) => place(id).closest("section"));
  if (watched.compareDocumentPosition(resolved) & Node.DOCUMENT_POSITION_FOLLOWING) watched.before(resolved);
}

function card(it, near) {
  const out = urgent(it, near, it.now?.level ?? null);
  return h("article", { key: it.incident, class: `card ${it.severity_peak}` },
    h("p", { class: "meta" }, badge(it), since(it, near)),
    h("h2", null, link(it)),
    out === null ? null : h("p", { class: "out" }, out[0], h("small", null, out[1])),
    h("p", { class: "advice" }, h("strong", null, "Next: "), calm(it.advice, 700)),
    h("p", { class: "headline" }, calm(it.headline, 700)),
    it.kind === "not_back" ? null : gauge(it.now?.level ?? it.level, it.usable, it.now === null ? it.owner_level : it.now.owner_level, it.unit, owner(it)));
}

/** One of many: who does what, until when. */
function line(it, near) {
  const out = urgent(it, near, it.now?.level ?? null);
  return h("li", { key: it.incident, class: it.severity_peak },
    h("h2", null, link(it, LINE_NAME_MAX)),
    h("p", { class: "meta" }, badge(it), out === null ? null : h("strong", null, `${out[0]} · `), since(it, near)));
}

function link(it, nameMax) {
  return h("a", { id: `incident-${it.incident}`, href: `/incidents/${it.incident}` }, title(it, nameMax));
}

function badge(it) {
  return h("span", { class: `badge ${it.severity_peak}` }, h("span", { "aria-hidden": "true" }, sign(it.severity_peak)), ` ${plain(it.severity_peak)}`);
}

function since(it, near) {
  const at = moment(it.since);
  return `since ${clock(at, near)} UTC${near === null ? "" : `, ${span((near - at) / 1e3)} ago`} · ${clip(it.pipeline, 40)}`;
}

/** How full: a bar with the load line at its end, and the same in words. */
function gauge(level, usable, own, unit, who = null) {
  if (usable === null || usable === 0) return null;
  const full = Math.min(level / usable, 1.1);
  const mine = own === null ? 0 : Math.min(own / usable, full);
  const width = (share) => Math.round(share * 1000);
  const free = Math.max(usable - level, 0);
  const by = own === null || who === null || own === level ? "" : `, ${amount(own, unit)} by ${who}`;
  const many = unit === "bytes" ? "held by the fullest" : "held";
  return h("div", { class: "gauge" },
    h("svg", { viewBox: "0 0 1100 40", class: "bar", "aria-hidden": "true" },
      h("rect", { class: "whole", y: 8, width: 1000, height: 24 }),
      h("rect", { class: "held", y: 8, width: width(full), height: 24 }),
      h("rect", { class: "own", y: 8, width: width(mine), height: 24 }),
      h("line", { class: "limit", x1: 1000, x2: 1000, y1: 0, y2: 40 })),
    h("p", null, `${held(level, usable, unit)} ${many}${by}, ${amount(free, unit)} free`));
}

function watchedOf(pipelines) {
  const all = pipelines.flatMap((pipeline) => pipeline.resources.map((it) => ({ ...it, pipeline: pipeline.pipeline })));
  if (all.length === 0) return h("p", null, "No resource was seen yet.");
  return h("ul", { class: "resources" }, all.map((it) => {
    const largest = it.largest.map((one) => `${holder(one)} ${amount(one.held, it.unit)}`);
    const others = it.holders - it.largest.length;
    if (others > 0) largest.push(`${number(others)} more`);
    return h("li", { key: `${it.pipeline}/${it.resource}` },
      h("h3", null, clip(it.resource, 60), pipelines.length > 1 ? h("small", null, ` ${clip(it.pipeline, 40)}`) : null),
      gauge(it.held, it.usable, null, it.unit) ?? h("p", null, held(it.held, null, it.unit)),
      spark(it.past, it.usable, 220, 44),
      h("p", { class: "meta" }, largest.length > 0 ? largest.join(" · ") : it.held === 0 ? "held by nobody" : "the records do not say by whom"),
      it.doubts === 0 ? null : h("p", { class: "meta" }, `! ${number(it.doubts)} ${it.doubts === 1 ? "reason" : "reasons"} to doubt the count`));
  }));
}

function over(resolved, leftOff) {
  if (resolved.length === 0) return h("p", null, "No incident is over yet.");
  const shown = resolved.slice(0, RESOLVED_MAX);
  const beyond = resolved.length - shown.length + leftOff;
  return [
    h("ul", { class: "plain" }, shown.map((it) => {
      const [begin, end] = [moment(it.opened_at), moment(it.as_of)];
      return h("li", { key: it.incident },
        link(it),
        h("p", { class: "meta" }, `✓ resolved ${day(end)} ${clock(end, end)} UTC, open for ${span((end - begin) / 1e3)}; ${plain(it.severity_peak)}`),
        h("p", null, calm(it.headline, 300)));
    })),
    beyond === 0 ? null : h("p", { class: "meta" }, `${number(beyond)} more are in the store.`),
  ];
}

function sourcesOf(pipeline, among) {
  const near = now(pipeline);
  return h("div", { key: pipeline.pipeline },
    among > 1 ? h("h3", null, clip(pipeline.pipeline, 60)) : null,
    h("ul", { class: "plain sources" }, pipeline.sources.map((it) => {
      const at = moment(it.watermark);
      return h("li", { key: it.source },
        h("b", null, clip(it.source, 60)),
        h("span", null, at === null ? "nothing yet" : `has come to ${clock(at, near, true)} UTC`),
        h("span", null, `${number(it.records)} read, ${it.rejected === 0 ? "none rejected" : `! ${number(it.rejected)} rejected`}`),
        h("span", null, partitions(it.partitions)));
    })));
}

function partitions({ alive, idle, set_aside: stuck }) {
  const parts = [];
  if (alive > 0) parts.push(`${number(alive)} followed`);
  if (idle > 0) parts.push(`${number(idle)} silent`);
  if (stuck > 0) parts.push(`! ${number(stuck)} stuck`);
  return `partitions: ${parts.length === 0 ? "none" : parts.join(", ")}`;
}

/** Back from an incident, the focus stands on its link again. */
function comeBack() {
  const id = sessionStorage.getItem("seen");
  if (id === null) return;
  sessionStorage.removeItem("seen");
  document.getElementById(`incident-${id}`)?.focus();
}
