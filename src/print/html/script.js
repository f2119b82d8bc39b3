// Sorts and filters tables, copies commands, and opens what a link leads to. The page is complete without it.
"use strict";
(() => {
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];

  // Controls that do nothing without this script are hidden until now.
  for (const control of all("form.filters, button.copy")) control.hidden = false;

  // Sorting: a button in each heading of a column. "10" comes after "9".
  const order = new Intl.Collator("en", { numeric: true });
  const key = (row, column) => {
    const cell = row.cells[column];
    return cell.dataset.sort ?? cell.textContent;
  };
  const sort = (table, heading) => {
    const column = heading.cellIndex;
    const isAscending = heading.getAttribute("aria-sort") !== "ascending";
    const sign = isAscending ? 1 : -1;
    const body = table.tBodies[0];
    const rows = [...body.rows];
    rows.sort((one, other) => sign * order.compare(key(one, column), key(other, column)));
    body.append(...rows);
    for (const other of all("th[aria-sort]", table)) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", isAscending ? "ascending" : "descending");
  };
  for (const table of all("table.sortable")) {
    for (const heading of all("thead th", table)) {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...heading.childNodes);
      button.addEventListener("click", () => sort(table, heading));
      heading.append(button);
    }
  }

  // Filtering: the numbers of GPUs and ranks are lists in attributes of the rows.
  const matches = (row, fields) => {
    const text = fields.text.trim().toLowerCase();
    return ["verdict", "gpu", "rank"].every((name) => {
      const wanted = fields[name] ?? "";
      return wanted === "" || (row.dataset[name] ?? "").split(" ").includes(wanted);
    }) && row.textContent.toLowerCase().includes(text);
  };
  const filter = (form) => {
    const fields = { text: "", ...Object.fromEntries(new FormData(form)) };
    const rows = all("tbody tr", form.parentElement.querySelector("table.sortable"));
    for (const row of rows) row.hidden = !matches(row, fields);
    const shown = rows.filter((row) => !row.hidden).length;
    const word = form.dataset.counted;
    form.querySelector("output").textContent =
      shown === rows.length ? `${rows.length} ${word}` : `${shown} of ${rows.length} ${word}`;
  };
  for (const form of all("form.filters")) {
    form.addEventListener("input", () => filter(form));
    // The fields are empty only after the event.
    form.addEventListener("reset", () => setTimeout(() => filter(form)));
    form.addEventListener("submit", (event) => event.preventDefault());
    // A browser that comes back to the page fills the fields in again.
    filter(form);
  }

  // Copying. From a file some browsers have no clipboard for pages: then the text is selected instead.
  const select = (element) => getSelection().selectAllChildren(element);
  for (const button of all("button.copy")) {
    const code = button.parentElement.querySelector("code");
    const say = (word) => {
      button.textContent = word;
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    };
    button.addEventListener("click", async () => {
      select(code);
      try {
        await navigator.clipboard.writeText(code.textContent);
        say("Copied");
      } catch {
        say("Selected");
      }
    });
  }

  // What a link leads to may be folded, or filtered out.
  const show = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    if (target.hidden) target.closest("section")?.querySelector("form.filters")?.reset();
    for (let at = target; at; at = at.parentElement) if (at.localName === "details") at.open = true;
    setTimeout(() => target.scrollIntoView());
  };
  addEventListener("hashchange", show);
  if (location.hash) show();

  // On paper nothing is folded.
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = all("details:not([open])");
    for (const details of folded) details.open = true;
  });
  addEventListener("afterprint", () => {
    for (const details of folded) details.open = false;
  });
})();
