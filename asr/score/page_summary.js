// The headline: error rates with their intervals, what they are made of, and the comparison of two systems.

function intervalFigure() {
  const drawnSystems = DATA.systems.filter((one) => one.wer !== null);
  const ends = drawnSystems.map((one) => one.intervals[0].high ?? one.wer);
  const scale = ticks(100 * Math.max(...ends, 0.0001) * 1.08, 5);
  const lane = 34;
  const height = drawnSystems.length * lane + 26;
  return figure(height, (width) => {
    const [left, right] = [8, 14];
    const x = (rate_) => left + ((100 * rate_) / scale.at(-1)) * (width - left - right);
    const told = drawnSystems.map((one) => `${one.name || "WER"} ${percent(one.wer)} %`).join(", ");
    const svg = drawn("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": told });
    const base = height - 22;
    for (const value of scale) {
      svg.append(
        drawn("line", { class: "grid", x1: x(value / 100), x2: x(value / 100), y1: 0, y2: base }),
        drawn(
          "text",
          {
            class: "tick",
            x: x(value / 100),
            y: height - 6,
            "text-anchor": value === 0 ? "start" : value === scale.at(-1) ? "end" : "middle",
          },
          value === 0 ? "0" : `${tickText(value)} %`,
        ),
      );
    }
    drawnSystems.forEach((one, place) => {
      const middle = place * lane + (drawnSystems.length > 1 ? 23 : 16);
      const { low, high } = one.intervals[0];
      const colour = place ? "var(--second)" : "var(--accent)";
      if (drawnSystems.length > 1)
        svg.append(drawn("text", { class: "label", x: left, y: middle - 12, style: { fill: colour } }, SHORT[place]));
      if (high !== null) {
        svg.append(
          drawn("rect", {
            x: x(low),
            y: middle - 5,
            width: Math.max(2, x(high) - x(low)),
            height: 10,
            rx: 5,
            style: { fill: colour, opacity: 0.28 },
          }),
        );
      }
      svg.append(drawn("circle", { cx: x(one.wer), cy: middle, r: 6, style: { fill: colour } }));
    });
    return svg;
  });
}

function intervalText(found) {
  if (found.high === null) return found.basis;
  return `95 % interval ${percent(found.low)} – ${upperPercent(found.high)} %, ${found.basis}`;
}

function errorBar(system, place) {
  const kinds = [
    ["substitution", system.substitutions],
    ["deletion", system.deletions],
    ["insertion", system.insertions],
  ];
  const all = kinds.reduce((sum, [, number]) => sum + number, 0);
  if (!all) return element("p", {}, `No errors in ${counted(system.words, "word")}.`);
  return element(
    "div.errors",
    {},
    COMPARED ? element("p.small.soft", {}, `${SHORT[place]}: ${counted(all, "error")}`) : null,
    element(
      "div.stack",
      { role: "img", "aria-label": kinds.map(([name, number]) => counted(number, name)).join(", ") },
      ...kinds
        .filter(([, number]) => number)
        .map(([name, number]) => element(`span.${name}`, { style: { "flex-grow": number } })),
    ),
    element(
      "p.small.legend",
      {},
      ...kinds.map(([name, number]) =>
        element(
          "span",
          {},
          element(`i.key.${name}`),
          element("b.number", {}, count(number)),
          ` ${number === 1 ? name : `${name}s`}`,
        ),
      ),
    ),
  );
}

function tile(name, value, unit, told) {
  return element(
    "div.tile",
    { title: told },
    element("dt.small.soft", {}, name),
    element("dd", {}, element("span.figures.number", {}, value), unit ? element("span.soft", {}, ` ${unit}`) : null),
  );
}

function summaryCard() {
  const own = DATA.systems[0];
  const errors = own.substitutions + own.deletions + own.insertions;
  const tiles = [
    tile(
      "CER, characters",
      percent(own.cer),
      "%",
      `${counted(own.character_errors, "error")} in ${counted(own.characters, "character")}, spaces included`,
    ),
    tile(
      "SER, sentences",
      percent(own.utterances ? own.wrong / own.utterances : null),
      "%",
      `${count(own.wrong)} of ${counted(own.utterances, "utterance")}`,
    ),
    own.calibration_error === null
      ? null
      : tile(
          "ECE, calibration",
          percent(own.calibration_error),
          "%",
          "How far, on average, confidence is from the share of right words",
        ),
    tile("Utterances", count(own.utterances), "", ""),
    tile("Words", count(own.words), "", "of the references"),
    own.seconds ? tile("Speech", ...span(own.seconds).split(" "), "") : null,
    tile("Failed", count(own.failed), "", "without a hypothesis, scored as deletions"),
  ];
  return card(
    "summary",
    "Word error rate",
    element(
      "div.lead",
      {},
      element(
        "div",
        {},
        element(
          "p.big",
          {},
          element("span.number", {}, percent(own.wer)),
          element("span.unit", {}, own.wer === null ? " undefined" : " %"),
        ),
        element("p.small", {}, `${counted(errors, "error")} in ${counted(own.words, "word")}`),
        ...own.intervals.map((found, place) => element(place ? "p.small.soft" : "p.small", {}, intervalText(found))),
        own.wer === null
          ? element("p.small", {}, "The references hold no words, so a rate of errors in words has no meaning.")
          : intervalFigure(),
      ),
      element("div", {}, element("dl.tiles", {}, ...tiles.filter(Boolean)), ...DATA.systems.map(errorBar)),
    ),
    element("p.small.soft", {}, DATA.how),
    DATA.split ? element("p.small.soft", {}, `Split: ${DATA.split}`) : null,
    DATA.extra
      ? element(
          "p.small.soft",
          {},
          `${counted(DATA.extra, "hypothesis", "hypotheses")} without a reference were passed over.`,
        )
      : null,
    DATA.notes.length ? element("ul.notes.small", {}, ...DATA.notes.map((note) => element("li", {}, note))) : null,
  );
}

function signed(rate_) {
  return `${rate_ > 0 ? "+" : rate_ < 0 ? "−" : ""}${Math.abs(100 * rate_).toFixed(2)}`;
}

function comparisonCard() {
  if (!COMPARED) return null;
  const [own, other] = DATA.systems;
  const better = ROWS.filter((row) => row.change < 0).length;
  const worse = ROWS.filter((row) => row.change > 0).length;
  const difference = own.wer === null ? null : 100 * (own.wer - other.wer);
  const show = (name) => () => tell("filter", name);
  return card(
    "comparison",
    "Against another system",
    element(
      "p.small",
      {},
      element("span.name-tag.own", {}, SHORT[0]),
      ` ${own.name === SHORT[0] ? "" : own.name} WER `,
      element("b.number", {}, `${percent(own.wer)} %`),
      own.intervals[0].high === null
        ? ""
        : ` (${percent(own.intervals[0].low)} – ${upperPercent(own.intervals[0].high)})`,
    ),
    element(
      "p.small",
      {},
      element("span.name-tag.other", {}, SHORT[1]),
      ` ${other.name === SHORT[1] ? "" : other.name} WER `,
      element("b.number", {}, `${percent(other.wer)} %`),
      other.intervals[0].high === null
        ? ""
        : ` (${percent(other.intervals[0].low)} – ${upperPercent(other.intervals[0].high)})`,
      other.failed ? `, ${counted(other.failed, "utterance")} failed` : "",
    ),
    difference === null
      ? null
      : element(
          "p",
          {},
          "The first less the second: ",
          element(
            `b.number.${difference < 0 ? "good" : difference > 0 ? "bad" : "same"}`,
            {},
            `${signed(difference / 100)} points`,
          ),
          DATA.difference
            ? `, 95 % interval ${signed(DATA.difference.low)} to ${signed(DATA.difference.high)}.`
            : ".",
        ),
    element(
      "p.buttons",
      {},
      element("button", { type: "button", onclick: show("better") }, `What got better: ${count(better)}`),
      element("button", { type: "button", onclick: show("worse") }, `What got worse: ${count(worse)}`),
    ),
    element(
      "div.columns.tests",
      {},
      ...DATA.tests.map((test) =>
        element(
          "div",
          {},
          element("h3", {}, test.name, " ", element("span.number.soft", {}, probability(test.p))),
          element("p.small", {}, test.sentence),
        ),
      ),
    ),
  );
}
