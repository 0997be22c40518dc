// A row's words, reference above hypothesis, coloured and marked by what went wrong.

const MARKS = { h: "hit", s: "substitution", d: "deletion", i: "insertion" };
const NAMES = COMPARED ? ["reference", ...SHORT] : ["reference", "hypothesis"];
const ABBREVIATED = COMPARED ? ["ref", "A", "B"] : ["ref", "hyp"];
const SHADED = DATA.heard.some((system) => system.confidences.some(Boolean));

/** The deeper the shade, the less sure; it lies over the tint of an error, and text on it stays readable. */
function shade(confidence) {
  return `color-mix(in srgb, var(--doubt) ${Math.round(100 * (1 - confidence))}%, var(--tint, transparent))`;
}

/** Hebrew, Arabic and their kin run from right to left, and so must their columns. */
function direction(row) {
  const text = row.reference || row.heard[0].text;
  return /^\P{L}*[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]/u.test(text) ? "rtl" : "ltr";
}

function heardWord(step, system, confidences, play) {
  if (!step) return element("span.heard.none", {}, "\u00a0");
  const kind = MARKS[step.operation];
  if (step.operation === "d")
    return element("span.heard.gap.deletion-gap", { title: `${NAMES[system + 1]}: left out` }, "–");
  const sure = confidences[step.place];
  const told = [kind === "hit" ? "" : kind, sure === undefined ? "" : `confidence ${sure.toFixed(2)}`]
    .filter(Boolean)
    .join(", ");
  const attributes = {
    title: told || null,
    "data-place": step.place,
    "data-system": system,
    style: sure === undefined ? {} : { background: shade(sure) },
  };
  const name = kind === "hit" ? "heard" : `heard.${kind}-mark`;
  if (!play) return element(`span.${name}`, attributes, step.heard);
  return element(
    `button.${name}`,
    {
      ...attributes,
      type: "button",
      title: [told, "play"].filter(Boolean).join(", "),
      onclick: () => play(system, step.place),
    },
    step.heard,
  );
}

/**
 * `play(system)` gives what plays a word of that system, or null. A column is marked by what the first system did
 * there; what the second did shows in its own cells alone.
 */
function alignment(row, play = null) {
  const confidences = row.heard.map((one) => confidencesOf(one.confidences));
  const labels = element(
    "span.pair.labels",
    { "aria-hidden": "true" },
    ...ABBREVIATED.map((name) => element("span", {}, name)),
  );
  const pairs = columns(row).map(({ said, cells }) => {
    const kind = cells[0] ? MARKS[cells[0].operation] : "hit";
    const left =
      said === null
        ? element("span.said.gap", {}, "+")
        : element(kind === "deletion" ? "span.said.deletion-mark" : "span.said", {}, said);
    return element(
      `span.pair.${kind}`,
      {},
      left,
      ...cells.map((step, system) => heardWord(step, system, confidences[system], play && play(system))),
    );
  });
  return element(
    COMPARED ? "div.alignment.two" : "div.alignment",
    {},
    labels,
    element("div.pairs", { dir: direction(row) }, ...pairs),
  );
}

function wordLegend() {
  const kinds = [
    ["substitution", "substituted"],
    ["deletion", "left out"],
    ["insertion", "put in"],
  ];
  const example = { substitution: ["six", "sex"], deletion: ["six", "–"], insertion: ["+", "six"] };
  return element(
    "div.words-legend.small.soft",
    {},
    element("span", {}, COMPARED ? `Reference, A: ${NAMES[1]}, B: ${NAMES[2]}` : "Reference above hypothesis"),
    ...kinds.map(([kind, name]) =>
      element(
        "span.example",
        {},
        element(
          `span.pair.${kind}`,
          { "aria-hidden": "true" },
          element(
            `span.said${kind === "insertion" ? ".gap" : kind === "deletion" ? ".deletion-mark" : ""}`,
            {},
            example[kind][0],
          ),
          element(`span.heard${kind === "deletion" ? ".gap" : `.${kind}-mark`}`, {}, example[kind][1]),
        ),
        name,
      ),
    ),
    SHADED
      ? element(
          "span.example",
          {},
          "confidence",
          element(
            "span.ramp",
            { "aria-hidden": "true" },
            ...[1, 0.8, 0.6, 0.4, 0.2, 0].map((sure) =>
              element("i", { style: { background: shade(sure) } }, sure.toFixed(1)),
            ),
          ),
        )
      : null,
  );
}
