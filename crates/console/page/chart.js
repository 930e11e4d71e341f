// Charts as SVG: the level with its limit and forecast, who holds what, and a small line.

import { h } from "./draw.js";
import { amount, clip, clock, day, moment, number, plain, short, visible } from "./words.js";

/** Below this width names stand under the chart instead of beside it. */
const NARROW = 620;

const TOP = 46;
const BOTTOM = 30;
const LABEL_APART = 19;

/** The patterns that tell bands apart without colour, by place in the stack. */
const PATTERNS = ["solid", "slant", "dots", "level", "back", "cross"];

const STEPS_S = [10, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 14400, 21600, 43200, 86400, 172800, 604800, 1209600];

/**
 * The time and the levels of an incident, ready to be drawn. Bands that are not stacked each have
 * the limit for themselves; then the owner's level is the one that counts, or else the highest.
 */
export function series(incident) {
  const { levels } = incident;
  if (levels === null || levels.bands.length === 0) return null;
  const from = moment(levels.from);
  const step = levels.step_seconds * 1000;
  const points = levels.bands[0].held.length;
  const counted = levels.bands.some((band) => band.kind === "owner") && !levels.stacked
    ? levels.bands.filter((band) => band.kind === "owner")
    : levels.bands;
  const total = Array.from({ length: points }, (_, at) => together(counted.map((band) => band.held[at]), levels.stacked));
  const top = Math.max(...levels.bands.flatMap((band) => band.held), ...total);
  const bands = levels.bands.filter((band) => band.held.some((held) => held > 0));
  return { from, step, points, total, top, end: from + step * points, bands, stacked: levels.stacked };
}

function together(values, stacked) {
  const known = values.filter((value) => value !== null);
  if (known.length === 0) return null;
  return stacked ? known.reduce((sum, value) => sum + value, 0) : Math.max(...known);
}

/** The last known value of a series, or null. */
export function lastOf(values) {
  return values.findLast((value) => value !== null) ?? null;
}

/**
 * When the units run out: while the incident is open as last said, and as first said once it is
 * over, so that everybody can see how true it was.
 */
export function forecast(incident) {
  const { transitions } = incident;
  const isOver = transitions[transitions.length - 1].state === "resolved";
  const hasOne = (it) => it.exhaustion_from !== null && it.state === "open";
  const it = isOver ? transitions.find(hasOne) : transitions.findLast(hasOne);
  if (it === undefined) return null;
  return {
    transition: it,
    said: moment(it.as_of),
    level: it.level,
    usable: it.usable,
    from: moment(it.exhaustion_from),
    to: moment(it.exhaustion_to),
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
  // `1.5 GiB` needs more room than `150`.
  const left = incident.transitions[0].unit === "bytes" ? 80 : 56;
  const plot = { left, right: width - right, top, bottom: height - BOTTOM };
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
  const max = Math.max(1, usable ?? 0, ...data.total);
  const y = scale(at, max);
  const ahead = forecast(incident);
  return h(
    "svg",
    { class: "chart", viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-labelledby": "level-text" },
    patterns("level"),
    axes(at, y, max, last.unit),
    h("path", { class: "under", d: area(at, y, data, data.total.map(() => 0), data.total) }),
    ahead === null ? null : wedge(at, y, ahead),
    h("path", { class: "line", d: steps(at, y, data, data.total) }),
    usable === null ? null : limit(at, y, usable, last.unit),
    marks(at, incident, true),
    said(at, y, data, incident),
  );
}

/** Who holds what: bands on top of each other, or a line for each. */
export function bandChart(width, height, data, incident) {
  const last = incident.transitions[incident.transitions.length - 1];
  const at = frame(width, height, data, incident, 12);
  const max = Math.max(1, last.usable ?? 0, data.top);
  const y = scale(at, max);
  let below = data.total.map(() => 0);
  const layers = data.bands.map((band, place) => {
    const base = data.stacked ? below : band.held;
    const top = data.stacked ? below.map((sum, point) => sum + band.held[point]) : band.held;
    below = top;
    return { band, place, base, top };
  });
  const drawn = layers.map(({ place, base, top, band }) => {
    if (!data.stacked) {
      return h("path", { key: `line-${place}`, class: `single ${band.kind} dash-${place % 4}`, d: steps(at, y, data, top) });
    }
    const shape = area(at, y, data, base, top);
    return h("g", { key: `band-${place}`, class: `band ${band.kind}` },
      h("path", { class: "tint", d: shape }),
      h("path", { class: "pattern", d: shape, fill: `url(#held-${pattern(place, band)})` }),
      h("path", { class: "edge", d: steps(at, y, data, top) }));
  });
  return h(
    "svg",
    { class: "chart", viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-labelledby": "holders-text" },
    patterns("held"),
    axes(at, y, max, last.unit),
    data.stacked ? drawn : drawn.toReversed(),
    last.usable === null ? null : limit(at, y, last.usable, last.unit),
    marks(at, incident, false),
    width < NARROW ? null : beside(at, y, data, layers, last.unit),
  );
}

/** A swatch of the band or line at `place`, for a list of names. */
export function swatch(place, band, stacked) {
  const id = `swatch${place}`;
  if (!stacked) {
    return h("svg", { class: "swatch line-swatch", viewBox: "0 0 40 18", width: 40, height: 18, "aria-hidden": "true" },
      h("path", { class: `single ${band.kind} dash-${place % 4}`, d: "M0 9 H40" }));
  }
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
  return h("svg", { class: "spark", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", width, height, "aria-hidden": "true" },
    usable === null ? null : h("line", { class: "limit", x1: 0, x2: width, y1: fixed(y(usable)), y2: fixed(y(usable)) }),
    h("path", { class: "under", d: `${path} V${height} H0 Z` }),
    h("path", { class: "line", d: path }));
}

const fixed = (value) => Math.round(value * 10) / 10;

/** The runs of a series between which nothing is known, as [first, past the last]. */
function runs(values) {
  const found = [];
  values.forEach((value, point) => {
    if (value === null) return;
    if (point === 0 || values[point - 1] === null) found.push([point, point + 1]);
    else found[found.length - 1][1] = point + 1;
  });
  return found;
}

/** The top of a series: each step's level stands until the next. */
function steps(at, y, data, values) {
  const parts = runs(values).flatMap(([first, past]) =>
    values.slice(first, past).map((value, index) => {
      const [begin, end] = edges(at, data, first + index);
      return `${index === 0 ? "M" : "L"}${begin} ${fixed(y(value))} H${end}`;
    }));
  return parts.join(" ");
}

/** The area between two series. */
function area(at, y, data, base, top) {
  const parts = runs(top).flatMap(([first, past]) => {
    const there = [];
    const back = [];
    for (let point = first; point < past; point += 1) {
      const [begin, end] = edges(at, data, point);
      there.push(`${point === first ? "M" : "L"}${begin} ${fixed(y(top[point]))} H${end}`);
      back.push(`L${end} ${fixed(y(base[point]))} H${begin}`);
    }
    return [...there, ...back.reverse(), "Z"];
  });
  return parts.join(" ");
}

function edges(at, data, point) {
  return [fixed(at.x(data.from + point * data.step)), fixed(at.x(data.from + (point + 1) * data.step))];
}

function axes(at, y, max, unit) {
  const { plot } = at;
  const every = niceStep(max, unit);
  const levels = [];
  for (let level = 0; level <= max * 1.05; level += every) levels.push(level);
  const span = (at.end - at.from) / 1000;
  const wanted = Math.max(2, Math.floor((plot.right - plot.left) / (at.width < NARROW ? 64 : 96)));
  const step = (STEPS_S.find((it) => span / it <= wanted) ?? 2419200) * 1000;
  const times = [];
  for (let time = Math.ceil(at.from / step) * step; time <= at.end; time += step) {
    // A label at the edge would be cut off.
    if (at.x(time) + 24 <= at.width) times.push(time);
  }
  return h("g", { class: "axes" },
    levels.map((level) => [
      h("line", { x1: plot.left, x2: plot.right, y1: fixed(y(level)), y2: fixed(y(level)) }),
      h("text", { x: plot.left - 10, y: fixed(y(level)), dy: "0.32em", "text-anchor": "end" }, level === 0 ? "0" : amount(level, unit)),
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
    h("path", { fill: "url(#level-alarm)", d: `M${begin} ${level} L${early} ${top} H${late} Z` }),
    h("line", { class: "bracket", x1: early, x2: late, y1: top, y2: top }),
    [early, late].map((x) => h("line", { class: "bracket", x1: x, x2: x, y1: top - 6, y2: top + 6 })),
    h("text", late + 8 + 104 < at.width
      ? { x: late + 8, y: fixed(y(0)) - 10 }
      : { x: Math.min(early, plot.right) - 8, y: fixed(y(0)) - 10, "text-anchor": "end" }, "forecast, 80 %"),
    h("line", { class: "drop", x1: early, x2: early, y1: top, y2: y(0) }),
    h("line", { class: "drop", x1: late, x2: late, y1: top, y2: y(0) }));
}

/** Deploys and restarts: a line with a flag, and its name where there is room. */
function marks(at, incident, named) {
  const { plot } = at;
  const inside = events(incident).filter((mark) => moment(mark.time) >= at.from && moment(mark.time) <= at.end);
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

/** How soon a start counts as the end's other half. */
const RESTART_MS = 120000;

/** The marks; an end and the start that follows it at once are one restart. */
export function events(incident) {
  const found = [];
  for (const mark of incident.marks) {
    const end = found.findLast((it) => it.kind === "end" && it.subject === mark.subject);
    if (mark.kind === "start" && end !== undefined && moment(mark.time) - moment(end.time) <= RESTART_MS) {
      end.kind = "restart";
      end.version = mark.version;
    } else {
      found.push({ ...mark });
    }
  }
  return found;
}

/** `deploy issuer 2.14`, `end web-1: oom`. */
export function markText(mark) {
  const version = mark.version === null || mark.kind === "end" ? "" : ` ${short(visible(mark.version), 12)}`;
  const cause = mark.cause === null ? "" : `: ${short(plain(mark.cause), 20)}`;
  return `${mark.kind} ${short(visible(mark.subject), 20)}${version}${cause}`;
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
  const x = fixed(at.x(data.end));
  const labels = layers
    .filter((layer) => lastOf(layer.top) !== null && lastOf(layer.band.held) > 0)
    .map((layer) => ({ ...layer, want: y((lastOf(layer.base) + lastOf(layer.top)) / 2) }))
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
    h("text", { class: label.band.kind, x: edge, y: fixed(label.at), dy: "0.32em" }, `${label.band.name === null ? bandName(label.band) : short(visible(label.band.name), 13)} ${amount(lastOf(label.band.held), unit)}`),
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
    tile("alarm", 8, h("path", { class: "alarm", d: "M-2 2 L2 -2 M0 8 L8 0 M6 10 L10 6" })),
    tile("level", 6, stroke("M0 3 H6")),
    tile("upright", 6, stroke("M3 0 V6")),
    tile("cross", 8, stroke("M0 4 H8 M4 0 V8")));
}
