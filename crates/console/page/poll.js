// Asks the server again and again, and says so when it does not answer.

import { draw, h } from "./draw.js";
import { clock } from "./words.js";

/** Milliseconds between an answer and the next question. */
const PAUSE_MS = 2000;

/** Milliseconds until a question counts as not answered. */
const PATIENCE_MS = 15000;

/**
 * Asks `paths` together and hands the bodies to `show`, now and then again. A hidden page asks
 * nothing. `refused(status, error)` is told when the server answers with a refusal.
 */
export function poll(paths, show, refused) {
  let timer = null;
  let heard = null;
  const round = async () => {
    timer = null;
    try {
      const answers = await Promise.all(paths.map(ask));
      const bad = answers.find((answer) => answer.status !== 200);
      if (bad === undefined) {
        heard = Date.now();
        silence(null);
        show(...answers.map((answer) => answer.body));
      } else if (!refused?.(bad.status, bad.body?.error ?? "")) {
        silence(bad.body?.error ?? `it answers ${bad.status}`, heard);
      }
    } catch (error) {
      if (error instanceof TypeError || error?.name === "TimeoutError") {
        silence("", heard);
      } else {
        throw error;
      }
    } finally {
      schedule();
    }
  };
  const schedule = () => {
    if (timer === null && !document.hidden) timer = setTimeout(round, PAUSE_MS);
  };
  document.addEventListener("visibilitychange", schedule);
  round();
}

async function ask(path) {
  const answer = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) });
  return { status: answer.status, body: await answer.json() };
}

/** Says above everything else that what is shown is old; `null` takes it back. */
function silence(error, heard) {
  const place = document.getElementById("silence");
  if (error === null) {
    draw(place);
    return;
  }
  const since = heard === null ? "" : ` Below is what it said at ${clock(heard, heard, true)} UTC.`;
  draw(place, h("p", null, h("strong", null, "Plimsoll does not answer"), `${error === "" ? "" : `: ${error}`}.${since}`));
}
