// The controls of a page: each check uses them as a person does, and compares with the rows of the table.
export async function controls(page, fail) {
  const rows = page.locator("table.processes tbody tr");
  const all = await rows.count();
  const shown = () => rows.evaluateAll((rows) => rows.filter((row) => row.getClientRects().length > 0).length);
  const form = page.locator("form.filters");
  if (all === 0) return;
  if (!(await form.isVisible())) fail("the filters are not shown");
  await filters(page, form, rows, all, shown, fail);
  await sorting(page, fail);
  await links(page, fail);
  await copying(page, fail);
}

async function filters(page, form, rows, all, shown, fail) {
  for (const name of ["verdict", "gpu", "rank"]) {
    const select = form.locator(`select[name=${name}]`);
    if (!(await select.count())) continue;
    const values = await select.locator("option").evaluateAll((options) => options.map((option) => option.value));
    for (const value of values.filter(Boolean)) {
      await select.selectOption(value);
      const expected = await rows.evaluateAll((rows, [name, value]) =>
        rows.filter((row) => (row.getAttribute(`data-${name}`) ?? "").split(" ").includes(value)).length, [name, value]);
      const got = await shown();
      if (got !== expected || got === 0) fail(`${name} ${value}: ${got} rows are shown, not ${expected}`);
      const said = await form.locator("output").textContent();
      const words = got === all ? `${all} processes` : `${got} of ${all} processes`;
      if (said !== words) fail(`it says ${said}, not ${words}`);
    }
    await form.locator("button[type=reset]").click();
    await page.waitForFunction((all) => document.querySelectorAll("table.processes tbody tr:not([hidden])").length === all, all);
  }
  await form.locator("input[type=search]").fill("no such text anywhere");
  if (await shown() !== 0) fail("a text that is nowhere shows rows");
  const name = (await rows.first().locator("td").nth(2).textContent()).trim();
  await form.locator("input[type=search]").fill(name.toUpperCase());
  if (await shown() === 0) fail(`the text ${name} shows no row`);
  await form.locator("input[type=search]").fill("");
  if (await shown() !== all) fail("without a text not all rows are shown");
}

// Every column, by click and by key.
async function sorting(page, fail) {
  const headings = page.locator("table.processes thead th");
  for (let column = 0; column < await headings.count(); column++) {
    const button = headings.nth(column).locator("button");
    const keys = () => page.locator("table.processes tbody tr").evaluateAll((rows, column) =>
      rows.map((row) => row.cells[column].dataset.sort ?? row.cells[column].textContent), column);
    const before = await keys();
    // Not under the first column, which stays where it is.
    await button.evaluate((button) => button.scrollIntoView({ block: "center", inline: "center" }));
    await button.click();
    const up = await keys();
    if (await headings.nth(column).getAttribute("aria-sort") !== "ascending") fail("aria-sort is not ascending");
    await button.focus();
    await page.keyboard.press("Enter");
    const down = await keys();
    if (await headings.nth(column).getAttribute("aria-sort") !== "descending") fail("aria-sort is not descending");
    const order = new Intl.Collator("en", { numeric: true });
    const isSorted = (keys, sign) => keys.every((key, at) => at === 0 || sign * order.compare(keys[at - 1], key) <= 0);
    if (!isSorted(up, 1) || !isSorted(down, -1)) fail(`column ${column} is not sorted: ${up} / ${down}`);
    if ([...up].sort().join() !== [...before].sort().join()) fail(`sorting column ${column} changed the rows`);
    if (await page.locator("table.processes th[aria-sort]").count() !== 1) fail("several columns are sorted");
  }
}

// A link from a process to its finding unfolds the finding.
async function links(page, fail) {
  const link = page.locator("table.processes td a[href^='#f']").first();
  if (!(await link.count())) return;
  const id = (await link.getAttribute("href")).slice(1);
  await follow(page, link);
  if (!(await page.locator(`#${id}`).isVisible())) fail(`the link to ${id} does not unfold it`);
  const back = page.locator(`#${id} a[href^='#p']`).first();
  await page.locator("form.filters input[type=search]").fill("no such text anywhere");
  await follow(page, back);
  const row = page.locator((await back.getAttribute("href")));
  await row.waitFor({ state: "visible", timeout: 5000 }).catch(() => fail("a link to a filtered row does not show it"));
}

// By key: the column that stays in its place may cover a link that is longer than the page is wide.
async function follow(page, link) {
  await link.focus();
  await page.keyboard.press("Enter");
}

async function copying(page, fail) {
  const button = page.locator("button.copy").first();
  if (!(await button.count())) return;
  await page.evaluate(() => { for (const details of document.querySelectorAll("details")) details.open = true; });
  const command = await button.locator("xpath=../pre").textContent();
  await button.click();
  await page.waitForFunction(() => /Copied|Selected/.test(document.querySelector("button.copy").textContent));
  const selected = await page.evaluate(() => getSelection().toString());
  if (selected !== command) fail(`copying selects ${JSON.stringify(selected)}`);
  if (command.includes("\n")) fail("a command has several lines");
}
