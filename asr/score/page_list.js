// The list of utterances: search, filters, order, pages. Only the rows of one page exist as elements.

const ON_A_PAGE = 50;
const SORTS = {
  order: ["file order", (row) => row.index],
  id: ["id", (row) => row.id],
  speaker: ["speaker", (row) => row.speaker ?? ""],
  duration: ["duration", (row) => row.duration ?? -1],
  words: ["words", (row) => row.words],
  errors: ["errors", (row) => row.errors],
  wer: ["WER", (row) => row.wer],
  confidence: ["confidence", (row) => row.confidence ?? 2],
  change: ["change", (row) => row.change],
};
const FILTERS = {
  all: ["All", () => true],
  errors: ["With errors", (row) => row.errors > 0],
  failed: ["Failed", (row) => row.heard.some((one) => one.failed !== null)],
  better: ["Got better", (row) => row.change < 0],
  worse: ["Got worse", (row) => row.change > 0],
  other: ["Texts differ", (row) => COMPARED && row.heard[0].text !== row.heard[1].text],
};
const SCOPES = {
  anywhere: [
    "anywhere",
    (row) => `${row.id} ${row.speaker ?? ""} ${row.reference} ${row.heard.map((one) => one.text).join(" ")}`,
  ],
  id: ["in ids", (row) => row.id],
  speaker: ["in speakers", (row) => row.speaker ?? ""],
  reference: ["in references", (row) => row.reference],
  hypothesis: ["in hypotheses", (row) => row.heard.map((one) => one.text).join(" ")],
};
const KNOWN = {
  speaker: ROWS.some((row) => row.speaker !== null),
  duration: ROWS.some((row) => row.duration !== null),
  confidence: ROWS.some((row) => row.confidence !== null),
  change: COMPARED,
};
const FIRST_DOWN = new Set(["duration", "words", "errors", "wer"]); // where the largest matter most

const list = {
  query: "",
  scope: "anywhere",
  filter: "all",
  only: null,
  sort: "order",
  down: false,
  page: 0,
  found: ROWS,
};

function chosenRows() {
  const [, fits] = FILTERS[list.filter];
  const [, text] = SCOPES[list.scope];
  const terms = list.query.toLowerCase().split(/\s+/).filter(Boolean);
  const found = ROWS.filter((row) => {
    if (!fits(row) || (list.only && !list.only.test(row))) return false;
    if (!terms.length) return true;
    const within = text(row).toLowerCase();
    return terms.every((term) => within.includes(term));
  });
  const [, key] = SORTS[list.sort];
  const sign = list.down ? -1 : 1;
  const collator = new Intl.Collator("en", { numeric: true });
  const keyed = found.map((row) => [key(row), row]);
  keyed.sort(
    ([one, a], [other, b]) =>
      sign * (typeof one === "string" ? collator.compare(one, other) : one === other ? 0 : one - other) ||
      a.index - b.index,
  );
  return keyed.map(([, row]) => row);
}

function listCard() {
  const rows = element("div.rows");
  const status = element("p.small.soft.status", { role: "status" });
  const only = element("p.only");
  const pager = element("div.pager");
  const search = element("input", {
    type: "search",
    placeholder: "id, speaker or words",
    "aria-label": "Search the utterances",
    id: "search",
  });
  const scope = element(
    "select",
    { "aria-label": "Where to search", id: "scope" },
    ...Object.entries(SCOPES)
      .filter(([name]) => KNOWN[name] ?? true)
      .map(([name, [label]]) => element("option", { value: name }, label)),
  );
  const filters = Object.entries(FILTERS)
    .map(([name, [label, fits]]) => [name, label, ROWS.reduce((sum, row) => sum + (fits(row) ? 1 : 0), 0)])
    .filter(([name, , number]) => name === "all" || name === "errors" || (COMPARED && name !== "failed") || number)
    .map(([name, label, number]) =>
      element(
        "button",
        { type: "button", "data-filter": name, onclick: () => change({ filter: name, ...orderOf(name) }) },
        `${label} `,
        element("span.number.soft", {}, count(number)),
      ),
    );
  const sorts = Object.entries(SORTS)
    .filter(([name]) => KNOWN[name] ?? true)
    .map(([name, [label]]) =>
      element(
        `button.sort.${name}`,
        {
          type: "button",
          "data-sort": name,
          onclick: () => change({ sort: name, down: list.sort === name ? !list.down : FIRST_DOWN.has(name) }),
        },
        label,
      ),
    );

  function orderOf(name) {
    if (name === "better" || name === "worse") return { sort: "change", down: name === "worse" };
    return list.sort === "change" ? { sort: "order", down: false } : {};
  }

  function change(what) {
    Object.assign(list, { page: 0 }, what);
    list.found = chosenRows();
    show();
  }

  function show() {
    const pages = Math.max(1, Math.ceil(list.found.length / ON_A_PAGE));
    list.page = Math.min(list.page, pages - 1);
    const first = list.page * ON_A_PAGE;
    const part = list.found.slice(first, first + ON_A_PAGE);
    silence();
    rows.replaceChildren(...part.map(rowElement));
    status.textContent = list.found.length
      ? `${count(first + 1)}–${count(first + part.length)} of ${counted(list.found.length, "utterance")}`
      : "No utterance is like that.";
    for (const button of filters) button.setAttribute("aria-pressed", String(button.dataset.filter === list.filter));
    for (const button of sorts) {
      const on = button.dataset.sort === list.sort;
      button.setAttribute("aria-pressed", String(on));
      button.setAttribute(
        "aria-label",
        `Sort by ${SORTS[button.dataset.sort][0]}${on ? (list.down ? ", descending" : ", ascending") : ""}`,
      );
      button.dataset.direction = on ? (list.down ? "\u00a0↓" : "\u00a0↑") : "";
    }
    only.replaceChildren(
      ...(list.only
        ? [
            element(
              "button.chip",
              { type: "button", title: "Show all again", onclick: () => change({ only: null }) },
              `Only: ${list.only.label} `,
              element("span", { "aria-hidden": "true" }, "×"),
            ),
          ]
        : []),
    );
    pager.replaceChildren(
      ...(pages > 1
        ? [
            element("button", { type: "button", disabled: list.page === 0, onclick: () => turn(-1) }, "← Previous"),
            element("span.small.number", {}, `page ${count(list.page + 1)} of ${count(pages)}`),
            element(
              "button",
              { type: "button", disabled: list.page === pages - 1, onclick: () => turn(1) },
              "Next →",
            ),
          ]
        : []),
    );
  }

  function turn(by) {
    list.page += by;
    show();
    document.getElementById("utterances").scrollIntoView();
  }

  let waiting = null;
  search.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => change({ query: search.value }), ROWS.length > 5000 ? 200 : 30);
  });
  scope.addEventListener("change", () => change({ scope: scope.value }));
  const jump = () => document.getElementById("utterances").scrollIntoView();
  hear("only", (event) => {
    search.value = "";
    change({ only: event.detail, filter: "all", query: "" });
    jump();
  });
  hear("filter", (event) => {
    change({ filter: event.detail, ...orderOf(event.detail) });
    jump();
  });
  const made = card(
    "utterances",
    "Utterances",
    element("div.controls", {}, element("span.search", {}, search, scope), element("span.buttons", {}, ...filters)),
    only,
    wordLegend(),
    element("div.heads", { role: "group", "aria-label": "Order" }, ...sorts),
    status,
    rows,
    pager,
  );
  made.classList.toggle("alone", !COMPARED);
  show();
  return made;
}

function cell(name, label, ...content) {
  return element(`span.cell.${name}`, { "data-label": label }, ...content);
}

function rowElement(row) {
  const detail = element("div.detail", { hidden: true });
  const words = element("div");
  const failures = row.heard
    .map((one, system) =>
      one.failed === null
        ? null
        : element("p.small.bad", {}, `${COMPARED ? `${SHORT[system]} failed` : "Failed"}: ${one.failed}`),
    )
    .filter(Boolean);
  words.replaceChildren(alignment(row), ...failures);
  const open = element(
    "button.link.open",
    { type: "button", "aria-expanded": "false", onclick: () => toggle() },
    row.id,
  );
  let made = null;
  function toggle() {
    const opening = detail.hidden;
    open.setAttribute("aria-expanded", String(opening));
    detail.hidden = !opening;
    if (opening && !made) made = openRecording(row, detail, words);
    if (!opening) silence();
  }
  return element(
    "article.row",
    { "data-id": row.id },
    element(
      "div.meta",
      {
        onclick: (event) => {
          if (!event.target.closest("button")) toggle();
        },
      },
      cell("id", "", open),
      KNOWN.speaker ? cell("speaker", "speaker", row.speaker ?? "–") : null,
      KNOWN.duration
        ? cell("duration.number", "", row.duration === null ? "–" : `${row.duration.toFixed(1)} s`)
        : null,
      cell("words.number", "words", count(row.words)),
      cell(`errors.number${row.errors ? ".some" : ""}`, "errors", count(row.errors)),
      cell("wer.number", "WER", row.wer === Infinity ? "–" : `${percent(row.wer, 0)} %`),
      KNOWN.confidence
        ? cell("confidence.number", "confidence", row.confidence === null ? "–" : row.confidence.toFixed(2))
        : null,
      COMPARED
        ? cell(
            `change.number${row.change < 0 ? ".good" : row.change > 0 ? ".bad" : ""}`,
            "change",
            row.change ? `${row.change > 0 ? "+" : "−"}${Math.abs(row.change)}` : "0",
          )
        : null,
    ),
    words,
    detail,
  );
}
