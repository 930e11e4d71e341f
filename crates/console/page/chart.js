// Charts as SVG: the level with its limit and forecast, who holds what, and a small line.

import { h } from "./draw.js";
import { amount, clip, clock, day, moment, number } from "./words.js";

/** Below this width names stand under the chart instead of beside it. */
const NARROW = 620;

const TOP = 46;
const BOTTOM = 30;
const LEFT = 56;
const LABEL_APART = 19;

/** The patterns that tell bands apart without colour, by place in the stack. */
const PATTERNS = ["solid", "slant", "dots", "level", "back", "cross"];

const STEPS_S = [10, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800, 1209600];

/** The time and the levels of an incident, ready to be drawn. */
export function series(incident) {
  const { levels } = incident;
  if (levels === null || levels.bands.length === 0) return null;
  const from = moment(levels.from);
  const step = levels.step_seconds * 1000;
  const points = levels.bands[0].held.length;
  const total = Array.from({ length: points }, (_, at) => levels.bands.reduce((sum, band) => sum + band.held[at], 0));
  return { from, step, points, total, end: from + step * points, bands: levels.bands };
}

/** The last transition that said when the units run out. */
export function forecast(incident) {
  const said = incident.transitions.filter((it) => it.exhaustion_from !== null);
  const last = said[said.length - 1];
  if (last === undefined) return null;
  return {
    said: moment(last.as_of),
    level: last.level,
    usable: last.usable,
    from: moment(last.exhaustion_from),
    to: moment(last.exhaustion_to),
  };
}

/** The frame that both charts share: the same moment stands at the same place in both. */
function frame(width, height, data, incident, top) {
  const right = width < NARROW ? 12 : 168;
  const ahead = forecast(incident);
  const past = data.end - data.from;
  const wanted = ahead === null ? data.end : (ahead.to ?? ahead.from + (ahead.from - ahead.said));
  // A forecast far away must not squeeze what was seen.
  const end = Math.max(data.end + past * 0.04, Math.min(wanted + past * 0.04, data.end + past));
  const plot = { left: LEFT, right: width - right, top, bottom: height - BOTTOM };
  const x = (time) => plot.left + ((time - data.from) / (end - data.from)) * (plot.right - plot.left);
  return { width, height, plot, end, x, from: data.from };
}

function scale(frame, max) {
  const { top, bottom } = frame.plot;
  return (value) => bottom - (value / (max * 1.1)) * (bottom - top);
}

/** The level, its limit, the forecast, and what happened when. */
export function levelChart(width, height, data, incident) {
  const last = incident.transitions[incident.transitions.length - 1];
  const at = frame(width, height, data, incident, TOP);
  const usable = last.usable;
  const y = scale(at, Math.max(1, usable ?? 0, ...data.total));
  const ahead = forecast(incident);
  return h(
    "svg",
    { class: "chart", viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-labelledby": "level-text" },
    patterns("level"),
    axes(at, y, Math.max(1, usable ?? 0, ...data.total), last.unit),
    ahead === null ? null : wedge(at, y, ahead),
    h("path", { class: "under", d: `${steps(at, y, data, data.total)} L${at.x(data.end)} ${y(0)} L${at.x(data.from)} ${y(0)} Z` }),
    h("path", { class: "line", d: steps(at, y, data, data.total) }),
    usable === null ? null : limit(at, y, usable, last.unit),
    marks(at, incident, true),
    said(at, y, data, incident),
  );
}

/** Who holds what, as bands on top of each other. */
export function bandChart(width, height, data, incident) {
  const last = incident.transitions[incident.transitions.length - 1];
  const at = frame(width, height, data, incident, 12);
  const max = Math.max(1, last.usable ?? 0, ...data.total);
  const y = scale(at, max);
  let below = data.total.map(() => 0);
  const layers = data.bands.map((band, place) => {
    const base = below;
    below = below.map((sum, point) => sum + band.held[point]);
    return { band, place, base, top: below };
  });
  const drawn = layers.map(({ place, base, top, band }) =>
    h("g", { key: `band-${place}`, class: `band ${band.kind}` },
      h("path", { class: "tint", d: area(at, y, data, base, top) }),
      h("path", { class: "pattern", d: area(at, y, data, base, top), fill: `url(#held-${pattern(place, band)})` }),
      h("path", { class: "edge", d: steps(at, y, data, top) })),
  );
  return h(
    "svg",
    { class: "chart", viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-labelledby": "holders-text" },
    patterns("held"),
    axes(at, y, max, last.unit),
    drawn,
    last.usable === null ? null : limit(at, y, last.usable, last.unit),
    marks(at, incident, false),
    width < NARROW ? null : beside(at, y, data, layers, last.unit),
  );
}

/** A swatch of the band at `place`, for a list of names. */
export function swatch(place, band) {
  const id = `swatch${place}`;
  return h("svg", { class: `swatch band ${band.kind}`, viewBox: "0 0 28 18", width: 28, height: 18, "aria-hidden": "true" },
    patterns(id),
    h("rect", { class: "tint", width: 28, height: 18 }),
    h("rect", { class: "pattern", width: 28, height: 18, fill: `url(#${id}-${pattern(place, band)})` }));
}

/** A small line without axes: how full a resource was, with its limit. */
export function spark(past, usable, width, height) {
  const points = past.map(([time, held]) => [moment(time), held]);
  if (points.length < 2) return null;
  const [from, to] = [points[0][0], points[points.length - 1][0]];
  const max = Math.max(1, usable ?? 0, ...points.map(([, held]) => held)) * 1.1;
  const x = (time) => ((time - from) / (to - from)) * width;
  const y = (held) => height - 1 - (held / max) * (height - 2);
  const path = points.map(([time, held], at) => (at === 0 ? `M${fixed(x(time))} ${fixed(y(held))}` : `H${fixed(x(time))} V${fixed(y(held))}`)).join(" ");
  return h("svg", { class: "spark", viewBox: `0 0 ${width} ${height}`, width, height, "aria-hidden": "true" },
    usable === null ? null : h("line", { class: "limit", x1: 0, x2: width, y1: fixed(y(usable)), y2: fixed(y(usable)) }),
    h("path", { class: "under", d: `${path} V${height} H0 Z` }),
    h("path", { class: "line", d: path }));
}

const fixed = (value) => Math.round(value * 10) / 10;

/** The top of a series: each step's level stands until the next. */
function steps(at, y, data, values) {
  const parts = values.map((value, point) => {
    const [begin, end] = [at.x(data.from + point * data.step), at.x(data.from + (point + 1) * data.step)];
    return `${point === 0 ? "M" : "L"}${fixed(begin)} ${fixed(y(value))} H${fixed(end)}`;
  });
  return parts.join(" ");
}

function area(at, y, data, base, top) {
  const back = base.map((_, index) => {
    const point = base.length - 1 - index;
    const [begin, end] = [at.x(data.from + point * data.step), at.x(data.from + (point + 1) * data.step)];
    return `L${fixed(end)} ${fixed(y(base[point]))} H${fixed(begin)}`;
  });
  return `${steps(at, y, data, top)} ${back.join(" ")} Z`;
}

function axes(at, y, max, unit) {
  const { plot } = at;
  const every = niceStep(max, unit);
  const levels = [];
  for (let level = 0; level <= max * 1.05; level += every) levels.push(level);
  const span = (at.end - at.from) / 1000;
  const wanted = Math.max(2, Math.floor((plot.right - plot.left) / 96));
  const step = (STEPS_S.find((it) => span / it <= wanted) ?? 2419200) * 1000;
  const times = [];
  for (let time = Math.ceil(at.from / step) * step; time <= at.end; time += step) times.push(time);
  return h("g", { class: "axes" },
    levels.map((level) => [
      h("line", { x1: plot.left, x2: plot.right, y1: fixed(y(level)), y2: fixed(y(level)) }),
      h("text", { x: plot.left - 10, y: fixed(y(level)), dy: "0.32em", "text-anchor": "end" }, unit === "bytes" ? amount(level, unit) : number(level)),
    ]),
    times.map((time) => [
      h("line", { x1: fixed(at.x(time)), x2: fixed(at.x(time)), y1: plot.bottom, y2: plot.bottom + 5 }),
      h("text", { x: fixed(at.x(time)), y: plot.bottom + 22, "text-anchor": "middle" }, step >= 864e5 ? day(time) : clock(time, time)),
    ]));
}

function niceStep(max, unit) {
  const rough = max / 4;
  const base = unit === "bytes" ? 2 : 10;
  let power = 1;
  while (power * base <= rough) power *= base;
  if (unit === "bytes") return power;
  return power * ([1, 2, 5, 10].find((factor) => power * factor >= rough) ?? 10);
}

function limit(at, y, usable, unit) {
  const { plot } = at;
  const level = fixed(y(usable));
  const ring = plot.left + 12;
  return h("g", { class: "load-line" },
    h("line", { x1: plot.left, x2: plot.right, y1: level, y2: level }),
    h("circle", { cx: ring, cy: level, r: 7 }),
    h("line", { x1: ring - 12, x2: ring + 12, y1: level, y2: level }),
    h("text", { x: ring + 18, y: level - 7 }, `${amount(usable, unit)} usable`));
}

/** From the level when it was said, to where it meets the limit: early and late. */
function wedge(at, y, ahead) {
  if (ahead.usable === null) return null;
  const { plot } = at;
  const held = (time) => Math.min(at.x(time), plot.right);
  const [begin, level] = [fixed(at.x(ahead.said)), fixed(y(ahead.level))];
  const top = fixed(y(ahead.usable));
  const early = fixed(held(ahead.from));
  const late = fixed(ahead.to === null ? plot.right : held(ahead.to));
  if (at.x(ahead.from) > plot.right) {
    return h("g", { class: "wedge" },
      h("text", { x: plot.right - 6, y: top + 20, "text-anchor": "end" }, `runs out after ${clock(ahead.from, ahead.said)} →`));
  }
  return h("g", { class: "wedge" },
    h("path", { class: "tint", d: `M${begin} ${level} L${early} ${top} H${late} Z` }),
    h("path", { fill: "url(#level-slant)", d: `M${begin} ${level} L${early} ${top} H${late} Z` }),
    h("line", { class: "bracket", x1: early, x2: late, y1: top, y2: top }),
    [early, late].map((x) => h("line", { class: "bracket", x1: x, x2: x, y1: top - 6, y2: top + 6 })),
    h("text", { x: Math.min(Math.max((early + late) / 2, plot.left + 60), plot.right - 60), y: y(0) - 12, "text-anchor": "middle" }, "forecast, 80 %"),
    h("line", { class: "drop", x1: early, x2: early, y1: top, y2: y(0) }),
    h("line", { class: "drop", x1: late, x2: late, y1: top, y2: y(0) }));
}

/** Deploys and restarts: a line with a flag, and its name where there is room. */
function marks(at, incident, named) {
  const { plot } = at;
  const inside = incident.marks.filter((mark) => moment(mark.time) >= at.from && moment(mark.time) <= at.end);
  let free = [-Infinity, -Infinity];
  return h("g", { class: "marks" }, inside.map((mark) => {
    const x = fixed(at.x(moment(mark.time)));
    const text = markText(mark);
    const long = text.length * 8 + 16;
    const isLeft = x + long > at.width;
    const [begin, end] = isLeft ? [x - long, x] : [x, x + long];
    const row = named ? free.findIndex((taken) => begin > taken) : -1;
    if (row >= 0) free = free.map((taken, index) => (index === row ? end : taken));
    const top = row < 0 ? plot.top - 6 : 18 + row * 17;
    return [
      h("line", { x1: x, x2: x, y1: top - 8, y2: plot.bottom }),
      row < 0 ? null : h("path", { d: `M${x} ${top - 11} l7 4 l-7 4 Z` }),
      row < 0 ? null : h("text", { x: isLeft ? x - 6 : x + 11, y: top - 2, "text-anchor": isLeft ? "end" : "start" }, text),
    ];
  }));
}

/** `deploy issuer 2.14`. */
export function markText(mark) {
  return [mark.kind, clip(mark.subject, 24), mark.version === null ? "" : clip(mark.version, 16)].join(" ").trim();
}

/** A numbered dot on the line for each of the last transitions. */
function said(at, y, data, incident) {
  let free = -Infinity;
  const shown = incident.transitions.filter((it) => moment(it.as_of) >= at.from && moment(it.as_of) <= at.end);
  return h("g", { class: "said" }, shown.map((it) => {
    const x = fixed(at.x(moment(it.as_of)));
    const level = fixed(y(it.level));
    const hasRoom = x > free + 20;
    if (hasRoom) free = x;
    return [
      h("circle", { class: it.change, cx: x, cy: level, r: hasRoom ? 10 : 4 }),
      hasRoom ? h("text", { x, y: level, dy: "0.35em", "text-anchor": "middle" }, it.sequence) : null,
    ];
  }));
}

/** The names of the bands, each as near to its end as the others allow. */
function beside(at, y, data, layers, unit) {
  const point = data.points - 1;
  const x = fixed(at.x(data.end));
  const labels = layers
    .map((layer) => ({ ...layer, want: y((layer.base[point] + layer.top[point]) / 2) }))
    .sort((a, b) => a.want - b.want);
  let from = at.plot.top;
  for (const label of labels) {
    label.at = Math.max(label.want, from);
    from = label.at + LABEL_APART;
  }
  let to = at.plot.bottom;
  for (const label of labels.toReversed()) {
    label.at = Math.min(label.at, to);
    to = label.at - LABEL_APART;
  }
  const edge = at.plot.right + 14;
  return h("g", { class: "names" }, labels.map((label) => [
    h("path", { d: `M${x} ${fixed(label.want)} L${edge - 10} ${fixed(label.at)} H${edge - 4}` }),
    h("text", { class: label.band.kind, x: edge, y: fixed(label.at), dy: "0.32em" }, `${bandName(label.band, 14)} ${amount(label.band.held[point], unit)}`),
  ]));
}

/** What a band is called. */
export function bandName(band, max = 40) {
  if (band.name !== null) return clip(band.name, max);
  return band.kind === "others" ? `${number(band.values)} others` : "not told apart";
}

function pattern(place, band) {
  return band.kind === "rest" ? "upright" : PATTERNS[place % PATTERNS.length];
}

/** The definitions, with ids of their own for each drawing. */
function patterns(prefix) {
  const tile = (name, size, ...content) =>
    h("pattern", { id: `${prefix}-${name}`, width: size, height: size, patternUnits: "userSpaceOnUse" }, content);
  const stroke = (d) => h("path", { class: "stroke", d });
  return h("defs", null,
    tile("solid", 8),
    tile("slant", 8, stroke("M-2 2 L2 -2 M0 8 L8 0 M6 10 L10 6")),
    tile("back", 8, stroke("M-2 6 L2 10 M0 0 L8 8 M6 -2 L10 2")),
    tile("dots", 8, h("circle", { class: "dot", cx: 2, cy: 2, r: 1.3 }), h("circle", { class: "dot", cx: 6, cy: 6, r: 1.3 })),
    tile("level", 6, stroke("M0 3 H6")),
    tile("upright", 6, stroke("M3 0 V6")),
    tile("cross", 8, stroke("M0 4 H8 M4 0 V8")));
}
