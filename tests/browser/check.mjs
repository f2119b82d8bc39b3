// Opens pages and pictures in Chromium and reports what is wrong with them, one line each.
//
//     node check.mjs CHROMIUM FOLDER [SCREENSHOTS]
//
// FOLDER has *.html and *.svg. A page whose name begins with "hostile" is of a document in which every text is an attack.
import { mkdirSync, readFileSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";
import { controls } from "./controls.mjs";
import { overlaps } from "./overlaps.mjs";

const [executablePath, folder, screenshots] = process.argv.slice(2);
const WIDTHS = [400, 1280, 1920];
const SCHEMES = ["light", "dark"];
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const faults = [];

// A page that reports whatever it should not do.
async function opened(browser, file, options) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  // The machine may be busy.
  context.setDefaultTimeout(240_000);
  const address = pathToFileURL(path.join(folder, file)).href;
  const fail = (text) => faults.push(`${file} (${options.colorScheme}): ${text}`);
  await context.route("**", (route) => {
    const wanted = route.request().url();
    if (wanted.split("#")[0] === address) return route.continue();
    fail(`it requests ${wanted}`);
    return route.abort();
  });
  const page = await context.newPage();
  page.on("console", (message) => fail(`the console says: ${message.text()}`));
  page.on("pageerror", (error) => fail(`an error of the script: ${error.message}`));
  page.on("dialog", (dialog) => { fail("a dialog"); return dialog.dismiss(); });
  page.on("popup", () => fail("a window opens"));
  await page.addInitScript(() => {
    addEventListener("securitypolicyviolation", (event) =>
      console.error(`the policy forbids ${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
  });
  await page.goto(address);
  return { page, context, fail };
}

async function picture(page, file, name) {
  if (!screenshots) return;
  mkdirSync(screenshots, { recursive: true });
  const [width, height] = await page.evaluate(() => [innerWidth, document.documentElement.scrollHeight ?? innerHeight]);
  // Chromium cannot make an image of a page of any height.
  const clip = { x: 0, y: 0, width, height: Math.min(height, 5000) };
  await page.screenshot({ path: path.join(screenshots, `${path.parse(file).name}-${name}.png`), fullPage: true, clip });
}

async function looked(page, file, scheme, fail) {
  for (const width of WIDTHS) {
    await page.setViewportSize({ width, height: 900 });
    for (const text of await page.evaluate(overlaps)) fail(`at ${width}: ${text}`);
    const scrolled = await page.evaluate(() => document.documentElement.scrollWidth);
    if (file.endsWith(".html") && scrolled > width) fail(`at ${width} the page is ${scrolled} wide`);
    await picture(page, file, `${width}-${scheme}`);
  }
}

// Everything in light colours; of the dark ones the contrast.
async function accessible(page, colorScheme, fail) {
  await page.evaluate(axe);
  await page.evaluate(() => { for (const details of document.querySelectorAll("details")) details.open = true; });
  const rules = colorScheme === "dark" ? { runOnly: ["color-contrast"] } : {};
  const { violations } = await page.evaluate((rules) => axe.run({ resultTypes: ["violations"], ...rules }), rules);
  for (const { id, nodes } of violations) {
    const [{ html, failureSummary }] = nodes;
    fail(`accessibility: ${id} (${nodes.length}): ${html.slice(0, 200)} ${failureSummary}`);
  }
}

// Text that acts on what is around it would have to be in the page as a letter.
async function harmless(page, file, fail) {
  const source = readFileSync(path.join(folder, file), "utf8");
  const acting = source.match(/[\p{Cc}\p{Cf}\u2028\u2029]/gu)?.filter((letter) => letter !== "\n");
  if (acting?.length) fail(`it has letters that act: ${JSON.stringify([...new Set(acting)])}`);
  const strange = await page.evaluate(() => ({
    scripts: document.scripts.length,
    loaded: document.querySelectorAll("img, iframe, object, embed, link, base, video, audio, source, [src], [style]:not([style=\"\"])").length,
    handlers: [...document.querySelectorAll("*")].filter((of) => [...of.attributes].some((at) => at.name.startsWith("on"))).length,
    links: [...document.querySelectorAll("[href]")].filter((of) => !of.getAttribute("href").startsWith("#")).length,
    ran: "pwned" in globalThis,
  }));
  const expected = { scripts: 1, loaded: 0, handlers: 0, links: 0, ran: false };
  if (JSON.stringify(strange) !== JSON.stringify(expected)) fail(`it has ${JSON.stringify(strange)}`);
}

// Links and folded parts work without script, and all rows are there.
async function withoutScript(browser, file) {
  const { page, context, fail } = await opened(browser, file, { colorScheme: "light", javaScriptEnabled: false });
  const hidden = ["form.filters", "button"];
  for (const selector of hidden) {
    if (await page.locator(`${selector}:visible`).count()) fail(`without script ${selector} is shown`);
  }
  const rows = page.locator("tbody tr");
  const visible = page.locator("section > .scroll tbody tr:visible");
  if (await rows.count() && !(await visible.count())) fail("without script no row is shown");
  const summary = page.locator("details > summary").first();
  if (await summary.count()) {
    await summary.click();
    if (!(await page.locator("details > :not(summary)").first().isVisible())) fail("without script nothing unfolds");
  }
  await picture(page, file, "without-script");
  await context.close();
}

// The policy is in force: what another script would do is forbidden.
async function forbids(browser, file) {
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(pathToFileURL(path.join(folder, file)).href);
  // What the policy forbids gets no further than this event.
  const requests = [];
  page.on("requestfailed", (request) => { if (request.failure().errorText !== "csp") requests.push(request.url()); });
  page.on("requestfinished", (request) => requests.push(request.url()));
  const ran = await page.evaluate(async () => {
    const script = document.createElement("script");
    script.textContent = "globalThis.pwned = true";
    document.body.append(script);
    const image = document.createElement("img");
    image.src = "https://example.org/x.png";
    document.body.append(image);
    document.body.setAttribute("style", "color: red");
    const fetched = await fetch("https://example.org/").then(() => true, () => false);
    await new Promise((done) => setTimeout(done, 200));
    return { script: "pwned" in globalThis, fetched, style: getComputedStyle(document.body).color === "rgb(255, 0, 0)" };
  });
  if (ran.script || ran.fetched || ran.style || requests.length) {
    faults.push(`${file}: the policy lets through ${JSON.stringify(ran)} ${requests}`);
  }
  await context.close();
}

async function printed(page, file) {
  if (!screenshots) return;
  await page.emulateMedia({ media: "print" });
  await page.setViewportSize({ width: 794, height: 1123 });
  await picture(page, file, "print");
  await page.emulateMedia({ media: "screen" });
}

const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
const files = readdirSync(folder).filter((name) => /\.(html|svg)$/.test(name)).sort();
const pages = files.filter((name) => name.endsWith(".html"));
for (const file of files) {
  if (process.env.TRACE) console.error(new Date().toISOString(), file);
  for (const colorScheme of SCHEMES) {
    const { page, context, fail } = await opened(browser, file, { colorScheme });
    await looked(page, file, colorScheme, fail);
    if (file.endsWith(".html")) {
      await page.setViewportSize({ width: 1280, height: 900 });
      if (colorScheme === "light") await printed(page, file);
      await harmless(page, file, fail);
      // Attacks in every text are no worse to read than other texts, and take minutes.
      if (!file.startsWith("hostile")) await accessible(page, colorScheme, fail);
      if (colorScheme === "light") await controls(page, fail).catch((error) => fail(error.message.slice(0, 300)));
    }
    if (process.env.TRACE) console.error(new Date().toISOString(), file, colorScheme, 'closing');
    await context.close();
  }
  if (file.endsWith(".html")) await withoutScript(browser, file);
}
if (pages.length) await forbids(browser, pages[0]);
await browser.close();
console.log(`${pages.length} pages and ${files.length - pages.length} pictures`);
for (const fault of faults) console.log(fault);
process.exitCode = faults.length ? 1 : 0;
