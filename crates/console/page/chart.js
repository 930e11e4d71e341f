// Charts as SVG: the level with its limit and forecast, who holds what, and a small line.

import { h } from "./draw.js";
import { NARROW, axes, fixed, frame, scale } from "./frame.js";
import { events, marks } from "./marks.js";
import { amount, clip, clock, day, moment, number, short, visible } from "./words.js";

const TOP = 46;
const LABEL_APART = 19;

/** The patterns that tell bands apart without colour, by place in the stack. */
const PATTERNS = ["solid", "slant", "dots", "level", "back", "cross"];

/**
 * The time and the levels of an incident, ready to be drawn. Bands that are not stacked each have
 * the limit for themselves; then the owner's level is the one that counts, or else the highest.
 * `now` is null once it is over: then nothing follows what was told.
 */
export function series(incident, now) {
  const { levels } = incident;
  if (levels === null || levels.bands.length === 0) return null;
  const from = moment(levels.from);
  const step = levels.step_seconds * 1000;
  const points = levels.bands[0].held.length;
  const counted = levels.bands.some((band) => band.kind === "owner") && !levels.stacked
    ? levels.bands.filter((band) => band.kind === "owner")
    : levels.bands;
  const total = Array.from({ length: points }, (_, at) => together(counted.map((band) => band.held[at]), levels.stacked));
  const told = Math.min(from + step * points, moment(levels.until));
  const newest = levels.stacked ? told : from + step * (total.findLastIndex((it) => it !== null) + 1);
  const after = now === null ? [] : followed(incident.followed, Math.min(newest, told), now);
  const top = Math.max(...levels.bands.flatMap((band) => band.held), ...total, ...after.map((it) => it.level));
  const bands = levels.bands.filter((band) => band.held.some((held) => held > 0));
  return { from, step, points, total, top, told, now, end: Math.max(told, now ?? told), bands, stacked: levels.stacked, after, breaks: levels.stacked ? new Set() : breaks(counted, total) };
}

/** The levels between what was told and now, as they were watched. */
function followed(watched, told, now) {
  if (watched === null) return [];
  const step = watched.step_seconds * 1000;
  const found = watched.steps.map(([time, level, own]) => ({ from: Math.max(moment(time), told), to: Math.min(moment(time) + step, now), level, own }));
  return found.filter((it) => it.to > it.from);
}

/** Why a band is known no more at the end: `, until 10 Feb`, `, ended 16:25`; empty while it goes on. */
export function gone(data, band, incident) {
  const newest = band.held.findLastIndex((held) => held !== null);
  if (data.stacked || newest < 0) return "";
  const at = data.from + (newest + 1) * data.step;
  const said = (time) => (data.told - data.from > 2 * 864e5 && data.told - time > 864e5 ? day(time) : clock(time, data.told));
  const end = events(incident).findLast((mark) => mark.subject === band.name);
  // A stretch of time that is not over has no floor yet.
  if (data.told - at > (data.told - data.from) / 20) return `, until ${said(at)}`;
  return end?.kind === "end" && moment(end.time) >= at - data.step ? `, ended ${said(moment(end.time))}` : "";
}

/** The steps before which a line stops although another goes on: who was highest is known no more. */
function breaks(bands, total) {
  const found = new Set();
  for (let point = 1; point < total.length; point += 1) {
    const highest = bands.filter((band) => band.held[point - 1] !== null && band.held[point - 1] === total[point - 1]);
    if (highest.length > 0 && highest.every((band) => band.held[point] === null)) found.add(point);
  }
  return found;
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

/** The level, its limit, the forecast, and what happened when. */
export function levelChart(width, height, data, incident) {
  const last = incident.transitions[incident.transitions.length - 1];
  const ahead = forecast(incident);
  const at = frame(width, height, data, ahead, last.unit, TOP);
  const max = Math.max(1, ...limits(incident).map(([, usable]) => usable ?? 0), ...data.total, ...data.after.map((it) => it.level));
  const y = scale(at, max);
  const draws = data.stacked ? steps : joined;
  return h(
    "svg",
    { class: "chart", viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-labelledby": "level-text" },
    patterns("level"),
    axes(at, y, max, last.unit, data),
    data.stacked ? h("path", { class: "under", d: area(at, y, data, data.total.map(() => 0), data.total) }) : null,
    ahead === null ? null : wedge(at, y, ahead),
    h("path", { class: "line", d: draws(at, y, data, data.total, data.breaks) }),
    h("path", { class: "line after", d: after(at, y, data, (it) => it.level) }),
    limit(at, y, incident),
    marks(at, incident, true),
    said(at, y, data, incident),
  );
}

/** Who holds what: bands on top of each other, or a line for each. */
export function bandChart(width, height, data, incident) {
  const last = incident.transitions[incident.transitions.length - 1];
  const at = frame(width, height, data, forecast(incident), last.unit, 12);
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
      return h("path", { key: `line-${place}`, class: `single ${band.kind} dash-${place % 4}`, d: joined(at, y, data, top) });
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
    axes(at, y, max, last.unit, data),
    data.stacked ? drawn : drawn.toReversed(),
    data.stacked ? h("path", { class: "line after own", d: after(at, y, data, (it) => it.own) }) : null,
    h("path", { class: "line after", d: after(at, y, data, (it) => it.level) }),
    limit(at, y, incident),
    marks(at, incident, false),
    width < NARROW ? null : beside(at, y, data, layers, last.unit, incident),
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

/** The runs of a series between which nothing is known or the line breaks, as [first, past the last]. */
function runs(values, broken = new Set()) {
  const found = [];
  values.forEach((value, point) => {
    if (value === null) return;
    if (point === 0 || values[point - 1] === null || broken.has(point)) found.push([point, point + 1]);
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

/** Where a step begins and ends; the last one ends where the evidence does. */
function edges(at, data, point) {
  const begin = data.from + point * data.step;
  return [fixed(at.x(begin)), fixed(at.x(Math.max(begin, Math.min(begin + data.step, data.told))))];
}

/** A line through the middle of each step, broken where nothing is known. */
function joined(at, y, data, values, broken) {
  const parts = runs(values, broken).map(([first, past]) => {
    if (past - first === 1) {
      const [begin, end] = edges(at, data, first);
      return `M${begin} ${fixed(y(values[first]))} H${end}`;
    }
    const places = values.slice(first, past).map((value, index) => {
      const [begin, end] = edges(at, data, first + index);
      return `${fixed((begin + end) / 2)} ${fixed(y(value))}`;
    });
    return `M${places.join(" L")}`;
  });
  return parts.join(" ");
}

/** What was watched after the told, by `of`. */
function after(at, y, data, of) {
  let end = null;
  const parts = data.after.filter((it) => of(it) !== null).map((it) => {
    const follows = it.from === end;
    end = it.to;
    return `${follows ? "L" : "M"}${fixed(at.x(it.from))} ${fixed(y(of(it)))} H${fixed(at.x(it.to))}`;
  });
  return parts.join(" ");
}

/** The limits as they were told: since when, and how much. */
function limits(incident) {
  const told = [];
  for (const it of incident.transitions) {
    if (told.length === 0 || told[told.length - 1][1] !== it.usable) told.push([moment(it.as_of), it.usable]);
  }
  return told;
}

/** The load line; where the limit was changed, each for its time. */
function limit(at, y, incident) {
  const { plot } = at;
  const { unit } = incident.transitions[0];
  const told = limits(incident).filter(([, usable]) => usable !== null);
  return told.map(([since, usable], place) => {
    const level = fixed(y(usable));
    const x = (time) => Math.min(Math.max(fixed(at.x(time)), plot.left), plot.right);
    const from = place === 0 ? plot.left : x(since);
    const to = place + 1 < told.length ? x(told[place + 1][0]) : plot.right;
    const ring = from + 12;
    const hasRoom = to - from > 130;
    return h("g", { key: `limit-${place}`, class: "load-line" },
      h("line", { x1: from, x2: to, y1: level, y2: level }),
      h("circle", { cx: ring, cy: level, r: 7 }),
      h("line", { x1: ring - 12, x2: ring + 12, y1: level, y2: level }),
      hasRoom ? h("text", { x: ring + 18, y: level - 7 }, `${amount(usable, unit)} usable`) : null);
  });
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
function beside(at, y, data, layers, unit, incident) {
  const x = fixed(at.x(data.end));
  const labels = layers
    .filter((layer) => lastOf(layer.top) !== null && lastOf(layer.band.held) > 0 && gone(data, layer.band, incident) === "")
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
  return band.kind === "others" ? (band.values === 1 ? "1 other" : `${number(band.values)} others`) : "not told apart";
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
