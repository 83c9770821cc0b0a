// Visits pages in a real browser and prints one line of JSON for each visit: what a viewer would see wrong.
// Standard input: {"origin", "browser", "modules", "screenshots", "visits": [{"name", "path", "theme", "width", "height", "axe", "keyboard", "inSight", "language", "steps"}]}.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

const settleWithin = 30_000; // milliseconds
const input = JSON.parse(readFileSync(0, "utf8"));
const require = createRequire(path.join(input.modules, "package.json"));
const { chromium } = require("playwright-core");
const axeSource = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const browser = await chromium.launch({
  executablePath: input.browser,
  args: [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
  ],
});
try {
  for (const visit of input.visits) console.log(JSON.stringify({ name: visit.name, ...(await look(visit)) }));
} finally {
  await browser.close();
}

async function look(visit) {
  const context = await browser.newContext({
    viewport: { width: visit.width, height: visit.height }, colorScheme: visit.theme, reducedMotion: "reduce", locale: visit.language || "en-US", timezoneId: "UTC",
  });
  const seen = { errors: [], foreign: [], refused: [], scripts: 0 };
  const sizes = [];
  context.on("page", (page) => {
    page.on("console", (m) => m.type() === "error" && seen.errors.push(m.text()));
    page.on("pageerror", (e) => seen.errors.push(String(e.stack ?? e)));
    page.on("request", (r) => {
      const url = new URL(r.url());
      if (url.origin !== input.origin && !["data:", "blob:"].includes(url.protocol)) seen.foreign.push(r.url());
    });
    page.on("response", (r) => {
      if (r.status() >= 400) seen.refused.push(`${r.status()} ${r.request().method()} ${r.url()}`);
      if (r.request().resourceType() === "script") sizes.push(r.request().sizes());
    });
  });
  let page = await context.newPage();
  const session = await context.newCDPSession(page);
  await session.send("Performance.enable");
  const began = Date.now();
  try {
    await page.goto(input.origin + visit.path, { waitUntil: "load" });
    await settled(page);
    const times = await page.evaluate(() => ({
      paint: performance.getEntriesByName("first-contentful-paint")[0]?.startTime,
      answers: Math.max(0, ...performance.getEntriesByType("resource").map((e) => e.responseEnd)),
    }));
    const settledAfter = Date.now() - began;
    const { metrics } = await session.send("Performance.getMetrics");
    seen.ms = { ...times, settled: settledAfter, main: 1000 * (metrics.find((m) => m.name === "TaskDuration")?.value ?? 0) };
    if (visit.steps) page = await take(visit, page, context);
    if (!visit.inSight) await scrollThrough(page);
    seen.place = await page.evaluate(() => location.pathname + location.search);
    seen.title = await page.title();
    seen.language = await page.evaluate(() => document.documentElement.lang);
    seen.text = await page.evaluate(() => document.body.innerText);
    seen.panels = await page.evaluate(panelStates);
    seen.overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    if (input.screenshots) await page.screenshot({ path: path.join(input.screenshots, visit.name + ".png"), fullPage: true });
    if (visit.axe) seen.axe = await faults(page);
    if (visit.keyboard) seen.unreached = await unreached(page);
  } catch (error) {
    seen.errors.push(String(error));
    if (input.screenshots) await page.screenshot({ path: path.join(input.screenshots, visit.name + ".png") }).catch(() => {});
  }
  for (const size of sizes) seen.scripts += (await size.catch(() => ({ responseBodySize: 0 }))).responseBodySize;
  await context.close();
  return seen;
}

// take does what a viewer does, step by step, and returns the page of the last one.
async function take(visit, first, context) {
  const pages = [first];
  let page = first;
  for (const [i, step] of visit.steps.entries()) {
    try {
      const n = step.page ?? 0;
      if (!pages[n]) {
        pages[n] = await context.newPage();
        await pages[n].goto(input.origin + visit.path, { waitUntil: "load" });
        await settled(pages[n]);
      }
      page = pages[n];
      await page.bringToFront();
      await act(page, step, visit);
    } catch (error) {
      if (input.screenshots) await page.screenshot({ path: path.join(input.screenshots, visit.name + ".png"), fullPage: true }).catch(() => {});
      throw new Error(`step ${i + 1}, ${JSON.stringify(step)}: ${error}`);
    }
  }
  await settled(page);
  return page;
}

async function act(page, step, visit) {
  const place = step.at && page.locator(step.at).filter({ visible: true }).first();
  switch (step.do) {
    case "go":
      await page.goto(input.origin + step.text, { waitUntil: "load" });
      return settled(page);
    case "click":
      return place.click();
    case "check":
      return place.check();
    case "fill":
      return place.fill(step.text);
    case "write": // paste into an editor, instead of what is there
      await place.click();
      await page.keyboard.press("ControlOrMeta+A");
      return place.evaluate((at, text) => {
        const data = new DataTransfer();
        data.setData("text/plain", text);
        at.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true, composed: true }));
      }, step.text);
    case "type": // over what is there
      await place.click();
      await page.keyboard.press("ControlOrMeta+A");
      return page.keyboard.type(step.text);
    case "press":
      if (place) await place.focus();
      return page.keyboard.press(step.text);
    case "see":
      return page.locator(step.at).filter({ hasText: step.text, visible: true }).first().waitFor();
    case "miss":
      return page.locator(step.at).filter({ hasText: step.text, visible: true }).first().waitFor({ state: "hidden" });
    case "hold": // requests to a path, until "release"
      visit.held = [];
      return page.route((url) => url.pathname === step.text, (route) => (visit.held ? void visit.held.push(route) : route.continue()));
    case "release": {
      const held = visit.held;
      visit.held = undefined;
      return Promise.all(held.map((route) => route.continue()));
    }
    case "shot":
      if (input.screenshots) await page.screenshot({ path: path.join(input.screenshots, `${visit.name}-${step.text}.png`), fullPage: true });
      return;
    default:
      throw new Error("no such step");
  }
}

// settled waits until no panel in sight waits for an answer, and the page draws nothing anew.
async function settled(page) {
  await page.waitForFunction(
    () => {
      const main = document.querySelector("main");
      if (!main || main.childElementCount === 0) return false;
      return [...document.querySelectorAll("[aria-busy=true], [data-kind][data-state=waiting]")].every((p) => {
        const box = p.getBoundingClientRect();
        return box.bottom < 0 || box.top > innerHeight;
      });
    },
    undefined,
    { timeout: settleWithin, polling: 20 },
  );
}

async function scrollThrough(page) {
  for (let y = 0; ; y += 600) {
    const more = await page.evaluate((to) => {
      scrollTo(0, to);
      return to < document.documentElement.scrollHeight - innerHeight;
    }, y);
    await page.waitForTimeout(50); // the observer of panels in sight runs after a frame
    await settled(page);
    if (!more || y > 60_000) break;
  }
  await page.evaluate(() => scrollTo(0, 0));
}

function panelStates() {
  return [...document.querySelectorAll("[data-kind][data-state]")].map((p) => ({
    id: Number(p.id.replace("panel-", "")), kind: p.dataset.kind, state: p.dataset.state, title: p.querySelector("h3")?.textContent?.trim() ?? "",
    text: ["failed", "unknown"].includes(p.dataset.state) ? p.innerText.slice(0, 300) : undefined,
  }));
}

async function faults(page) {
  await page.evaluate(axeSource);
  const result = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  return result.violations
    .filter((v) => v.impact === "serious" || v.impact === "critical")
    .map((v) => `${v.id}: ${v.help}: ${v.nodes.slice(0, 3).map((n) => n.html.slice(0, 200)).join(" | ")}`);
}

// unreached returns the visible controls that Tab does not lead to.
async function unreached(page) {
  const count = await page.evaluate(() => {
    const controls = [...document.querySelectorAll("a[href], button, input, select, summary, [tabindex='0']")].filter(
      (c) => !c.disabled && c.checkVisibility({ visibilityProperty: true }) && !c.closest("[inert]") && c.tabIndex >= 0,
    );
    controls.forEach((c, i) => (c.__number = i));
    globalThis.__controls = controls;
    document.activeElement?.blur?.();
    return controls.length;
  });
  const reached = new Set();
  for (let i = 0; i < count + 10; i++) {
    await page.keyboard.press("Tab");
    const at = await page.evaluate(() => document.activeElement?.__number);
    if (at !== undefined) reached.add(at);
  }
  return page.evaluate((list) => globalThis.__controls.filter((c, i) => !list.includes(i) && c.isConnected).map((c) => c.outerHTML.slice(0, 200)), [...reached]);
}
