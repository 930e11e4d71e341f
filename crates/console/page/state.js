// How far everything is judged and what is wrong with us, for both screens.

import { draw, h } from "./draw.js";
import { calm, clip, clock, moment, number, span } from "./words.js";

/** Seconds from which on being behind needs a look. */
const BEHIND_S = 60;

/** Pipelines that have a line of their own. */
const TOLD_MAX = 4;

/** The moment that a pipeline's incidents are seen from: live the clock, in history its end. */
export function now(pipeline) {
  const through = moment(pipeline.judged_through);
  return through === null ? null : through + 1000 * (1 + (pipeline.lag_seconds ?? 0) + (pipeline.live ? (pipeline.age_seconds ?? 0) : 0));
}

/** How many seconds a live pipeline is behind; 0 for history. */
function lag(pipeline) {
  return pipeline.live ? (pipeline.lag_seconds ?? 0) + (pipeline.age_seconds ?? 0) : 0;
}

/** Whether what is shown is too old to be called now. */
export function isBehind(pipeline) {
  return pipeline.judged_through !== null && lag(pipeline) > BEHIND_S;
}

/** One line about how far everything is judged. */
export function state(watched) {
  const byLag = watched.pipelines.toSorted((a, b) => lag(b) - lag(a));
  const told = byLag.slice(0, TOLD_MAX).map((it) => {
    const through = moment(it.judged_through);
    const name = clip(it.pipeline, 40);
    if (through === null) return h("span", null, `${name}: nothing judged yet`);
    const behind = it.live ? `, ${isBehind(it) ? "! " : ""}${span(lag(it))} behind` : ", history";
    return h("span", null, `${name}: judged through ${clock(through, it.live ? through : null, true)} UTC${behind}`);
  });
  const beyond = byLag.length - told.length;
  return [told, beyond === 0 ? null : h("span", null, `${number(beyond)} more pipelines`)];
}

/** Says above everything else what makes the rest of the screen old or unheard. */
export function trouble(watched) {
  const behind = watched.pipelines.filter(isBehind).map((it) => {
    const through = moment(it.judged_through);
    return h("p", { key: `behind-${it.pipeline}` }, h("strong", null, `! ${clip(it.pipeline, 40)} is ${span(lag(it))} behind. `),
      `What happened after ${clock(through, now(it), true)} UTC is not known yet.`);
  });
  const bad = Object.entries(watched.dependencies).filter(([, it]) => it.state === "failing");
  const failing = bad.map(([name, it]) => h("p", { key: `failing-${name}` }, h("strong", null, `✕ ${clip(name, 60)} fails `),
    `since ${clock(moment(it.since), null, true)} UTC: ${calm(it.error, 400)}`));
  draw(document.getElementById("trouble"), behind, failing);
}
