// What happened to a resource and its holders, as marks on a chart and in words.

import { h } from "./draw.js";
import { fixed } from "./frame.js";
import { moment, number, plain, short, visible } from "./words.js";

/** How soon a start counts as the end's other half. */
const RESTART_MS = 120000;

/** Marks nearer than this share a flag. */
const APART = 9;

/** The rows in which flags have their names. */
const ROWS = 2;

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

/** Marks that stand at one place: `deploy web 7.7, 3 restarts`. */
function together(group) {
  if (group.length === 1) return markText(group[0]);
  const kinds = Map.groupBy(group, (mark) => mark.kind);
  const parts = Array.from(kinds, ([kind, marks]) => {
    if (marks.length === 1) return markText(marks[0]);
    const versions = new Set(marks.map((mark) => mark.version));
    const [version] = versions;
    return `${number(marks.length)} ${kind}s${versions.size > 1 || version === null ? "" : ` ${short(visible(version), 12)}`}`;
  });
  return short(parts.join(", "), 60);
}

/** A line with a flag for each, and its name where there is room. */
export function marks(at, incident, named) {
  const { plot } = at;
  const inside = events(incident).filter((mark) => moment(mark.time) >= at.from && moment(mark.time) <= at.end);
  const groups = [];
  for (const mark of inside) {
    const x = fixed(at.x(moment(mark.time)));
    const last = groups[groups.length - 1];
    if (last !== undefined && x - last.x < APART) last.marks.push(mark);
    else groups.push({ x, marks: [mark] });
  }
  let free = Array(ROWS).fill(-Infinity);
  return h("g", { class: "marks" }, groups.map(({ x, marks: group }) => {
    const text = together(group);
    const long = text.length * 8 + 16;
    const isLeft = x + long > at.width;
    const [begin, end] = isLeft ? [x - long, x] : [x, x + long];
    const row = named && begin > 0 ? free.findIndex((taken) => begin > taken) : -1;
    if (row >= 0) free = free.map((taken, index) => (index === row ? end : taken));
    const top = row < 0 ? plot.top - 6 : 18 + row * 17;
    return [
      h("line", { x1: x, x2: x, y1: top - 8, y2: plot.bottom }),
      row < 0 ? null : h("path", { d: `M${x} ${top - 11} l7 4 l-7 4 Z` }),
      row < 0 ? null : h("text", { x: isLeft ? x - 6 : x + 11, y: top - 2, "text-anchor": isLeft ? "end" : "start" }, text),
    ];
  }));
}
