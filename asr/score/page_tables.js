// What was confused, left out and put in; and the receipt.

function frequencyTable(title, headings, lines, operation) {
  if (!lines.length) return null;
  const body = lines.map((line) => {
    const words = line.slice(0, -1);
    const error =
      operation === "s" ? ["s", ...words] : operation === "d" ? ["d", words[0], null] : ["i", null, words[0]];
    const label =
      operation === "s"
        ? `${words[0]} heard as ${words[1]}`
        : `${words[0]} ${operation === "d" ? "left out" : "put in"}`;
    const only = () => tell("only", { label, test: (row) => holds(row, error) });
    return element(
      "tr",
      {},
      element("td.number", {}, count(line.at(-1))),
      ...words.map((word, place) =>
        element(
          "td",
          {},
          place === 0
            ? element(
                "button.link",
                { type: "button", title: `Show the utterances with ${label}`, onclick: only },
                word,
              )
            : word,
        ),
      ),
    );
  });
  return element(
    "div.frequency",
    {},
    element("h3", {}, title),
    element(
      "div.scroll.tall",
      { tabindex: 0, role: "region", "aria-label": title },
      element(
        "table",
        {},
        element(
          "thead",
          {},
          element(
            "tr",
            {},
            element("th.number", {}, "times"),
            ...headings.map((heading) => element("th", {}, heading)),
          ),
        ),
        element("tbody", {}, ...body),
      ),
    ),
  );
}

function tablesCard() {
  const tables = [
    frequencyTable("Confused", ["reference", "hypothesis"], DATA.confusions, "s"),
    frequencyTable("Left out", ["deletion"], DATA.deletions, "d"),
    frequencyTable("Put in", ["insertion"], DATA.insertions, "i"),
  ].filter(Boolean);
  if (!tables.length) return null;
  return card(
    "confusions",
    "Which words",
    element("p.small.soft", {}, "The most frequent; a word shows the utterances that hold the error."),
    element("div.frequencies", {}, ...tables),
  );
}

function receiptCard() {
  const line = ([key, value]) =>
    element(
      "tr",
      {},
      element("th", {}, key),
      element("td", {}, value !== null && typeof value === "object" ? JSON.stringify(value) : String(value ?? "–")),
    );
  const fields = Object.entries(DATA.receipt);
  if (!fields.length) return null;
  return element(
    "section.card",
    { id: "receipt", "aria-label": "Receipt" },
    element(
      "details",
      {},
      element("summary", {}, element("h2", {}, "Receipt: how this number came about")),
      element("div.scroll", {}, element("table.small.receipt", {}, element("tbody", {}, ...fields.map(line)))),
    ),
  );
}
