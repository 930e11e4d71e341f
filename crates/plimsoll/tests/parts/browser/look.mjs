// Looks at the console's page in a real Chromium: every screen, two sizes, dark and light.
//
// usage: look.mjs URL EXPECTED-JSON PICTURES; the first thing that does not hold ends it with 1.
//
// EXPECTED: { screens: [{ name, path, texts: [text, …] }, …], focus: path of an incident,
//             copy: { path of an incident, text of its proof } }

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
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
} finally {
  await browser.close();
}
