// How far everything is judged, for both screens.

import { h } from "./draw.js";
import { clip, clock, moment, span } from "./words.js";

/** Seconds from which on being behind needs a look. */
const BEHIND_S = 60;

/** The moment that a pipeline's incidents are seen from: live the clock, in history its end. */
export function now(pipeline) {
  const through = moment(pipeline.judged_through);
  return through === null ? null : through + 1000 * (1 + (pipeline.lag_seconds ?? 0) + (pipeline.live ? (pipeline.age_seconds ?? 0) : 0));
}

/** One line about how far everything is judged. */
export function state(watched) {
  return watched.pipelines.map((it) => {
    const through = moment(it.judged_through);
    const name = clip(it.pipeline, 40);
    if (through === null) return h("span", null, `${name}: nothing judged yet`);
    const lag = it.lag_seconds + it.age_seconds;
    const behind = it.live ? `, ${lag > BEHIND_S ? "! " : ""}${span(lag)} behind` : ", history";
    return h("span", null, `${name}: judged through ${clock(through, it.live ? through : null, true)} UTC${behind}`);
  });
}
