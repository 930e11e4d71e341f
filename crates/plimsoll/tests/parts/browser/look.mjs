// Looks at the console's page in a real Chromium: every screen, two sizes, dark and light.
//
// usage: look.mjs URL EXPECTED-JSON PICTURES; the first thing that does not hold ends it with 1.
//
// EXPECTED: { screens: [{ name, path, texts: [text, …] }, …], focus: path of an incident that is
//             open and goes on after its last transition, copy: { path of an incident, text of its proof } }

import { createRequire } from "node:module";
import { join } from "node:path";

const [url, expectedText, pictures] = process.argv.slice(2);
const expected = JSON.parse(expectedText);
const require = createRequire(join(process.env.PLIMSOLL_BROWSER, "package.json"));
const { chromium } = require("playwright-core");
const axeSource = require("axe-core").source;

const PATIENCE_MS = 20000;
const SIZES = {
  desktop: { viewport: { width: 1440, height: 900 }, deviceScaleFactor: 1 },
  phone: { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true },
};

/** Fails with `what` unless `holds`. */
function check(holds, what) {
  if (!holds) throw new Error(what);
}

/** A page of its own whose every complaint and every request is written down. */
async function open(browser, options) {
  const context = await browser.newContext({ reducedMotion: "reduce", locale: "en-GB", ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  const complaints = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => complaints.push(`script: ${error.message}`));
  page.on("dialog", (dialog) => complaints.push(`dialog: ${dialog.message()}`));
  page.on("request", (request) => {
    if (new URL(request.url()).origin !== new URL(url).origin) complaints.push(`request to ${request.url()}`);
  });
  page.on("response", (response) => {
    if (response.status() >= 400) complaints.push(`${response.status()} for ${response.url()}`);
  });
  return { context, page, complaints };
}

/** Goes to a screen and waits until it shows what was asked for. */
async function visit(page, screen) {
  await page.goto(new URL(screen.path, url).href);
  await page.getByRole("heading", { level: 1 }).filter({ hasNotText: "Asking…" }).waitFor();
  // A second answer: drawing over what is there must change nothing.
  await page.waitForResponse((response) => response.url().includes("/api/incidents"));
}

async function texts(page, screen, where) {
  const shown = (await page.evaluate(() => document.body.innerText)).replace(/\s+/g, " ");
  for (const text of screen.texts) {
    check(shown.includes(text), `${where} does not show «${text}»; it shows «${shown.slice(0, 4000)}»`);
  }
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  check(wide <= 0, `${where} is ${wide} px wider than the screen`);
  const hurt = await page.evaluate(() => ({ hacked: "hacked" in window, images: document.querySelectorAll("img:not([src='/page/mark.svg'])").length }));
  check(!hurt.hacked && hurt.images === 0, `${where}: a text became markup`);
  const cut = await page.evaluate(() => Array.from(document.querySelectorAll("svg.chart")).flatMap((chart) => {
    const frame = chart.getBoundingClientRect();
    return Array.from(chart.querySelectorAll("text")).filter((text) => {
      const box = text.getBoundingClientRect();
      return box.right > frame.right + 1 || box.left < frame.left - 1 || box.top < frame.top - 1 || box.bottom > frame.bottom + 1;
    }).map((text) => text.textContent);
  }));
  check(cut.length === 0, `${where}: cut off in a chart: ${cut.join(", ")}`);
}

async function accessible(page, where) {
  const violations = await page.evaluate(async () => {
    const found = await globalThis.axe.run(document, { resultTypes: ["violations"] });
    return found.violations.map((it) => `${it.id}: ${it.help} (${it.nodes.slice(0, 3).map((node) => node.target.join(" ")).join("; ")})`);
  });
  check(violations.length === 0, `${where}: axe says ${violations.join(" | ")}`);
}

/** With the keyboard alone: to the incident, to what it offers, and back to where one was. */
async function keyboard(browser) {
  const { context, page, complaints } = await open(browser, SIZES.desktop);
  await visit(page, expected.screens[0]);
  const focused = () => page.evaluate(() => document.activeElement?.getAttribute("href") ?? "");
  const tabTo = async (path) => {
    for (let presses = 0; presses < 30; presses += 1) {
      await page.keyboard.press("Tab");
      if ((await focused()) === path) return;
    }
    throw new Error(`Tab does not reach ${path}`);
  };
  await tabTo(expected.focus);
  const ring = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
  check(ring !== "none", "the focus cannot be seen");
  for (const back of ["link", "Escape"]) {
    await page.keyboard.press("Enter");
    await page.waitForURL(`**${expected.focus}`);
    await page.locator("#transitions li").first().waitFor();
    if (back === "link") {
      await tabTo("/");
      await tabTo("/");
      await page.keyboard.press("Enter");
    } else {
      await page.keyboard.press("Escape");
    }
    await page.waitForURL(new URL("/", url).href);
    await page.waitForFunction((path) => document.activeElement?.getAttribute("href") === path, expected.focus);
  }
  check(complaints.length === 0, complaints.join("; "));
  await context.close();
}

/** New answers move neither the focus nor the screen nor a selection. */
async function undisturbed(browser) {
  const { context, page } = await open(browser, SIZES.phone);
  await visit(page, expected.screens[0]);
  await page.evaluate((path) => {
    const link = document.querySelector(`a[href="${path}"]`);
    link.focus();
    getSelection().selectAllChildren(document.querySelector(".headline"));
    window.scrollTo(0, 300);
    window.before = { link, selected: getSelection().toString(), scroll: window.scrollY };
  }, expected.focus);
  for (let answers = 0; answers < 2; answers += 1) {
    await page.waitForResponse((response) => response.url().endsWith("/api/watched"));
  }
  const same = await page.evaluate(() => ({
    focus: document.activeElement === window.before.link,
    selection: window.before.selected !== "" && getSelection().toString() === window.before.selected,
    scroll: window.scrollY === window.before.scroll && window.scrollY > 0,
  }));
  check(same.focus && same.selection && same.scroll, `a new answer disturbs: ${JSON.stringify(same)}`);
  await context.close();
}

/** The button puts the whole SQL text where it can be pasted from. */
async function copied(browser) {
  const { context, page, complaints } = await open(browser, SIZES.desktop);
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  await visit(page, expected.copy);
  await page.getByRole("button", { name: "Copy as SQL" }).click();
  await page.getByText("Copied.").waitFor();
  const text = await page.evaluate(() => navigator.clipboard.readText());
  check(text === expected.copy.text, `copied is «${text}»`);
  check(complaints.length === 0, complaints.join("; "));
  await context.close();
}

/** The chart of an open incident goes on to now, and leaves room for what is ahead. */
async function goesOn(browser) {
  for (const [size, options] of Object.entries(SIZES)) {
    const { context, page } = await open(browser, options);
    await visit(page, { path: expected.focus });
    const at = await page.evaluate(() => {
      const box = (selector) => document.querySelector(`#level ${selector}`)?.getBoundingClientRect();
      const [told, after, now, axis] = [".ends .told", ".line.after", ".ends .now", ".axes > line"].map(box);
      return { told: told?.left, from: after?.left, to: after?.right, now: now?.left, end: axis?.right };
    });
    const holds = at.from >= at.told - 3 && at.to > at.from && at.to <= at.now + 3 && at.now < at.end;
    check(holds, `the chart does not go on to now on the ${size}: ${JSON.stringify(at)}`);
    await context.close();
  }
}

/** The first screen with other answers than the server's: calm, and never calmer than it may be. */
const STATES = {
  behind: {
    incidents: (list) => ({ ...list, incidents: [] }),
    watched: (watched) => ({
      ...watched,
      dependencies: { oncall: { state: "failing", since: "2026-03-04T15:31:00Z", error: "401: the key is not known" } },
      pipelines: watched.pipelines.map((it) => ({ ...it, live: true, lag_seconds: 1320, age_seconds: 0 })),
    }),
    texts: ["No incident is open as of", "is 22 min behind", "✕ oncall fails", "401: the key is not known"],
  },
  nothing: {
    incidents: (list) => ({ ...list, incidents: [] }),
    watched: (watched) => ({
      ...watched,
      pipelines: watched.pipelines.map((it) => ({ ...it, live: true, judged_through: null, lag_seconds: null, resources: [], sources: [] })),
    }),
    texts: ["Nothing is judged yet", "No resource was seen yet", "No incident is over yet"],
  },
  calm: {
    incidents: (list) => ({ ...list, incidents: [] }),
    watched: (watched) => ({ ...watched, pipelines: watched.pipelines.slice(0, 1).map((it) => ({ ...it, lag_seconds: 2, age_seconds: 0, resources: it.resources.map((one) => ({ ...one, held: 1 })) })) }),
    texts: ["Nothing runs out"],
  },
  many: {
    incidents: (list) => ({
      ...list,
      incidents: Array.from({ length: 30 }, (_, place) => ({
        ...list.incidents[0],
        incident: String(place).padStart(32, "0"),
        resource: `${"a-resource-with-a-long-name-".repeat(8)}${place}`,
        owner: { tenant: place % 2 === 0 ? "t".repeat(200) : "\u05d0\u05d1\u05d2 \u05d3\u05d4" },
      })),
    }),
    watched: (watched) => watched,
    texts: ["30 incidents are open", "\u2068\u05d0\u05d1\u05d2 \u05d3\u05d4\u2069"],
    places: { ".card": 4, ".more li": 26 },
  },
};

/** At twice the size of the desktop, as somebody sees it who needs it large. */
const ZOOMED = { viewport: { width: 720, height: 450 }, deviceScaleFactor: 2 };

async function states(browser) {
  for (const [name, state] of Object.entries(STATES)) {
    const { context, page, complaints } = await open(browser, { ...ZOOMED, colorScheme: "dark" });
    await page.addInitScript({ content: axeSource });
    for (const asked of ["incidents", "watched"]) {
      await page.route(`**/api/${asked}`, async (route) => {
        const answer = await route.fetch();
        await route.fulfill({ response: answer, json: state[asked](await answer.json()) });
      });
    }
    await visit(page, { path: "/" });
    await page.screenshot({ path: join(pictures, `${name}-zoomed-dark.png`), fullPage: true });
    await texts(page, state, name);
    for (const [place, count] of Object.entries(state.places ?? {})) {
      const seen = await page.locator(place).count();
      check(seen === count, `${name}: ${seen} of ${place}`);
    }
    await accessible(page, name);
    check(complaints.length === 0, `${name}: ${complaints.join("; ")}`);
    await context.close();
  }
}

/** When the server does not answer it is said above what was seen last, and taken back when it does. */
async function lost(browser) {
  const { context, page } = await open(browser, SIZES.phone);
  await visit(page, expected.screens[0]);
  await page.route("**/api/**", (route) => route.abort());
  const said = page.getByText("Plimsoll does not answer");
  await said.waitFor();
  await page.screenshot({ path: join(pictures, "lost-phone-light.png") });
  await texts(page, { texts: ["Below is what it said at", ...expected.screens[0].texts] }, "lost");
  await page.evaluate(() => window.scrollTo(0, 600));
  const top = await said.evaluate((it) => it.getBoundingClientRect().top);
  check(top >= 0, "that the server does not answer scrolls out of sight");
  await page.unroute("**/api/**");
  await said.waitFor({ state: "detached" });
  await context.close();
}

/** On paper it is dark ink, whatever the screen was. */
async function printed(browser) {
  const { context, page } = await open(browser, { ...SIZES.desktop, colorScheme: "dark" });
  await visit(page, { path: expected.focus });
  await page.emulateMedia({ media: "print", colorScheme: "dark" });
  const seen = await page.evaluate(() => ({ ink: getComputedStyle(document.documentElement).color, buttons: document.querySelector("button").offsetParent !== null }));
  check(seen.ink === "rgb(27, 35, 41)" && !seen.buttons, `printed: ${JSON.stringify(seen)}`);
  await page.screenshot({ path: join(pictures, "printed.png"), fullPage: true });
  await context.close();
}

const browser = await chromium.launch({ executablePath: process.env.PLIMSOLL_CHROMIUM, args: ["--disable-gpu"] });
try {
  for (const [size, options] of Object.entries(SIZES)) {
    for (const colorScheme of ["light", "dark"]) {
      for (const screen of expected.screens) {
        const where = `${screen.name}-${size}-${colorScheme}`;
        const { context, page, complaints } = await open(browser, { ...options, colorScheme });
        // Given to the page before its policy is, which would not let it in.
        await page.addInitScript({ content: axeSource });
        await visit(page, screen);
        await page.screenshot({ path: join(pictures, `${where}.png`), fullPage: true });
        await texts(page, screen, where);
        await accessible(page, where);
        check(complaints.length === 0, `${where}: ${complaints.join("; ")}`);
        await context.close();
      }
    }
  }
  await keyboard(browser);
  await undisturbed(browser);
  await copied(browser);
  await goesOn(browser);
  await states(browser);
  await lost(browser);
  await printed(browser);
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
} finally {
  await browser.close();
}
