// The frame of a chart: where a moment and a level stand.

import { h } from "./draw.js";
import { amount, clock, day } from "./words.js";

/** Below this width names stand under the chart instead of beside it. */
export const NARROW = 620;

const BOTTOM = 30;

/** The height of the row that says where the told and the known end. */
const NOW_ROW = 20;

const STEPS_S = [10, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 14400, 21600, 43200, 86400, 172800, 604800, 1209600];

/** A place in a picture, to a tenth. */
export const fixed = (value) => Math.round(value * 10) / 10;

/** The frame that both charts share: the same moment stands at the same place in both. */
export function frame(width, height, data, ahead, unit, top) {
  const past = data.end - data.from;
  const wanted = ahead === null ? data.end : (ahead.to ?? ahead.from + (ahead.from - ahead.said));
  // A forecast far away must not squeeze what was seen.
  const end = Math.max(data.end + past * 0.04, Math.min(wanted + past * 0.04, data.end + past));
  const right = width < NARROW ? 12 : 168;
  // `1.5 GiB` needs more room than `150`.
  const left = unit === "bytes" ? 80 : 56;
  const plot = { left, right: width - right, top, bottom: height - BOTTOM - (data.now === null ? 0 : NOW_ROW) };
  const x = (time) => plot.left + ((time - data.from) / (end - data.from)) * (plot.right - plot.left);
  return { width, height, plot, end, x, from: data.from };
}

/** The height of a level. */
export function scale(at, max) {
  const { top, bottom } = at.plot;
  return (value) => bottom - (value / (max * 1.1)) * (bottom - top);
}

/** Levels at the left, times below, and where the told and the known end. */
export function axes(at, y, max, unit, data) {
  const { plot } = at;
  const every = niceStep(max, unit);
  const levels = [];
  for (let level = 0; level <= max * 1.05; level += every) levels.push(level);
  const span = (at.end - at.from) / 1000;
  const wanted = Math.max(2, Math.floor((plot.right - plot.left) / (at.width < NARROW ? 72 : 96)));
  const step = (STEPS_S.find((it) => span / it <= wanted) ?? 2419200) * 1000;
  const times = [];
  for (let time = Math.ceil(at.from / step) * step; time <= at.end; time += step) {
    // A label at the edge would be cut off.
    if (at.x(time) + (step < 6e4 ? 34 : 24) <= at.width) times.push(time);
  }
  return h("g", { class: "axes" },
    levels.map((level) => [
      h("line", { x1: plot.left, x2: plot.right, y1: fixed(y(level)), y2: fixed(y(level)) }),
      h("text", { x: plot.left - 10, y: fixed(y(level)), dy: "0.32em", "text-anchor": "end" }, level === 0 ? "0" : amount(level, unit)),
    ]),
    times.map((time) => [
      h("line", { x1: fixed(at.x(time)), x2: fixed(at.x(time)), y1: plot.bottom, y2: plot.bottom + 5 }),
      h("text", { x: fixed(at.x(time)), y: plot.bottom + 22, "text-anchor": "middle" }, step >= 864e5 ? day(time) : clock(time, time, step < 6e4)),
    ]),
    data.now === null ? null : ends(at, data));
}

/** Where the evidence ends, and now. */
function ends(at, data) {
  const { plot } = at;
  const [told, now] = [fixed(at.x(data.told)), fixed(at.x(data.now))];
  const texts = { told: `told until ${clock(data.told, data.now)}`, now: `now ${clock(data.now, data.now)}` };
  const y = plot.bottom + 22 + NOW_ROW;
  // Both names must fit, and neither may leave the picture.
  const right = now + long(texts.now) / 2 > at.width;
  const begin = right ? now - long(texts.now) : now - long(texts.now) / 2;
  const hasRoom = told - long(texts.told) > 0 && told + 8 < begin;
  return h("g", { class: "ends" },
    h("line", { class: "told", x1: told, x2: told, y1: plot.top, y2: plot.bottom + (hasRoom ? 12 + NOW_ROW : 0) }),
    hasRoom ? h("text", { x: told, y, "text-anchor": "end" }, texts.told) : null,
    h("line", { class: "now", x1: now, x2: now, y1: plot.top, y2: plot.bottom + 8 + NOW_ROW }),
    h("text", { class: "now", x: now, y, "text-anchor": right ? "end" : "middle" }, texts.now));
}

/** About how long a text is. */
function long(text) {
  return text.length * 7.5;
}

function niceStep(max, unit) {
  const rough = max / 4;
  const base = unit === "bytes" ? 2 : 10;
  let power = 1;
  while (power * base <= rough) power *= base;
  if (unit === "bytes") return power;
  return power * ([1, 2, 5, 10].find((factor) => power * factor >= rough) ?? 10);
}
