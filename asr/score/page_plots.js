// Learning curves, bars by group, and the calibration diagram.

const EPOCHS = DATA.history.map((one, place) => one.epoch ?? place + 1);

function curveCard() {
  const charts = [
    [
      "Loss",
      [
        ["loss", "train", "--second"],
        ["dev_loss", "dev", "--accent"],
      ],
      "",
    ],
    [
      "Error rates on dev",
      [
        ["dev_wer", "WER", "--accent"],
        ["dev_cer", "CER", "--second"],
      ],
      " %",
    ],
  ];
  const shown = charts
    .map(([title, lines, unit]) => [
      title,
      lines.filter(([key]) => DATA.history.some((one) => Number.isFinite(one[key]))),
      unit,
    ])
    .filter(([, lines]) => lines.length);
  if (DATA.history.length < 2 || !shown.length) return null;
  return card(
    "curves",
    "Learning curves",
    element("div.columns", {}, ...shown.map(([title, lines, unit]) => curve(title, lines, unit))),
  );
}

/** Ticks of a scale of square roots, on which small values at the end of training can be told apart. */
function rootTicks(most) {
  const round = [1, 2, 5]
    .flatMap((one) => [-4, -3, -2, -1, 0, 1, 2, 3, 4].map((power) => one * 10 ** power))
    .sort((a, b) => a - b);
  const end = round.find((one) => one >= most * 0.999) ?? most;
  const found = [0];
  for (const one of round) {
    if (one <= end && Math.sqrt(one / end) - Math.sqrt(found.at(-1) / end) >= 0.12) found.push(one);
  }
  if (found.at(-1) !== end) found.push(end);
  return found;
}

function curve(title, lines, unit) {
  const rest = "by epoch, on a scale of square roots";
  const readout = element("span.soft.small.number", {}, rest);
  const height = 230;
  const series = lines.map(([key, name, colour]) => ({
    name,
    colour,
    values: DATA.history.map((one) => (Number.isFinite(one[key]) ? one[key] : null)),
  }));
  const most = Math.max(...series.flatMap((one) => one.values.filter((value) => value !== null)));
  const scale = rootTicks(most);
  const describe = (place) =>
    `epoch ${EPOCHS[place]}: ${series
      .map((one) => `${one.name} ${one.values[place] === null ? "–" : one.values[place].toPrecision(3)}${unit}`)
      .join(", ")}`;
  const last = EPOCHS.length - 1;

  function draw(width) {
    const [left, right, top, bottom] = [48, 46, 10, 30];
    const x = (place) => left + (place / last) * (width - left - right);
    const y = (value) => top + (1 - Math.sqrt(Math.max(0, value) / scale.at(-1))) * (height - top - bottom);
    const svg = drawn("svg", {
      width,
      height,
      viewBox: `0 0 ${width} ${height}`,
      role: "img",
      tabindex: 0,
      "aria-label": `${title} by epoch; at the end, ${describe(last)}`,
    });
    for (const value of scale) {
      svg.append(
        drawn("line", { class: "grid", x1: left, x2: width - right, y1: y(value), y2: y(value) }),
        drawn(
          "text",
          { class: "tick", x: left - 6, y: y(value) + 4, "text-anchor": "end" },
          `${tickText(value)}${unit}`,
        ),
      );
    }
    for (const epoch of ticks(EPOCHS[last], Math.max(2, Math.floor(width / 110)))) {
      const place = EPOCHS.indexOf(epoch);
      if (place >= 0)
        svg.append(
          drawn("text", { class: "tick", x: x(place), y: height - 6, "text-anchor": "middle" }, tickText(epoch)),
        );
    }
    svg.append(drawn("text", { class: "tick", x: 0, y: height - 6 }, "epoch"));
    let above = -Infinity;
    const ends = [];
    for (const one of series) {
      const points = one.values.map((value, place) =>
        value === null ? null : `${x(place).toFixed(1)},${y(value).toFixed(1)}`,
      );
      svg.append(
        drawn("polyline", {
          class: "curve",
          points: points.filter(Boolean).join(" "),
          style: { stroke: `var(${one.colour})` },
        }),
      );
      const place = one.values.findLastIndex((value) => value !== null);
      ends.push({ one, at: y(one.values[place]) });
    }
    for (const { one, at } of ends.sort((a, b) => a.at - b.at)) {
      const place = Math.min(Math.max(at, above + 14), height - bottom + (ends.length > 1 ? 2 : 0));
      above = place;
      svg.append(
        drawn(
          "text",
          { class: "label", x: width - right + 8, y: place + 4, style: { fill: `var(${one.colour})` } },
          one.name,
        ),
      );
    }
    const cursor = drawn("g", { class: "hover", visibility: "hidden" });
    svg.append(cursor);
    let current = last;
    const show = (place) => {
      current = Math.min(last, Math.max(0, place));
      readout.textContent = describe(current);
      cursor.setAttribute("visibility", "visible");
      cursor.replaceChildren(
        drawn("line", { class: "cursor", x1: x(current), x2: x(current), y1: top, y2: height - bottom }),
        ...series
          .filter((one) => one.values[current] !== null)
          .map((one) =>
            drawn("circle", {
              cx: x(current),
              cy: y(one.values[current]),
              r: 3.5,
              style: { fill: `var(${one.colour})` },
            }),
          ),
      );
    };
    svg.addEventListener("pointermove", (event) => {
      const at = event.clientX - svg.getBoundingClientRect().left;
      show(Math.round(((at - left) / (width - left - right)) * last));
    });
    svg.addEventListener("pointerleave", () => {
      cursor.setAttribute("visibility", "hidden");
      readout.textContent = rest;
    });
    svg.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!step) return;
      event.preventDefault();
      show(current + step);
    });
    return svg;
  }
  return element("div", {}, element("div.caption", {}, element("h3", {}, title), readout), figure(height, draw));
}

const FIRST_GROUPS = 30;

function groupCard() {
  const { speakers, durations, lengths } = DATA.groups;
  const named = speakers.length > 1 ? [...speakers].sort((a, b) => rate(b, 3) - rate(a, 3)) : [];
  const plots = [
    [`WER by speaker${named.length > FIRST_GROUPS ? ", the worst first" : ""}`, named, true],
    ["WER by duration", durations, false],
    ["WER by length of the reference", lengths, false],
  ].filter(([, groups]) => groups.length);
  if (!plots.length) return null;
  const legend = element(
    "p.small.soft.legend",
    {},
    element("span", {}, element("i.key.bar"), COMPARED ? SHORT[0] : "WER [%]"),
    COMPARED ? element("span", {}, element("i.key.tick"), SHORT[1]) : null,
    element("span", {}, element("i.key.mean"), `all utterances, ${percent(DATA.systems[0].wer)} %`),
  );
  return card(
    "groups",
    "Where the errors are",
    legend,
    element(
      `div.columns${named.length ? ".first-tall" : ""}`,
      {},
      ...plots.map(([title, groups, speakers_]) => bars(title, groups, speakers_)),
    ),
  );
}

function rate(group, column) {
  return group[2] ? group[column] / group[2] : group[column] ? Infinity : 0;
}

function bars(title, groups, bySpeaker) {
  const finite = groups.flatMap((one) => [rate(one, 3), COMPARED ? rate(one, 4) : 0]).filter(Number.isFinite);
  const most = Math.max(0.001, DATA.systems[0].wer ?? 0, ...finite);
  const place = (value) => `${Math.min(100, (100 * value) / most).toFixed(2)}%`;
  const line = ([name, utterances, words, errors, other]) => {
    const own = rate([name, utterances, words, errors], 3);
    const shown = name ?? "(not named)";
    const told =
      `${shown}: ${words ? `${percent(own)} %` : "no words"}, ${counted(errors, "error")} in ` +
      `${counted(words, "word")} of ${counted(utterances, "utterance")}` +
      (COMPARED ? `; ${SHORT[1]} ${words ? percent(other / words) : "–"} %` : "");
    const label =
      bySpeaker && name !== null
        ? element(
            "button.link.name",
            {
              type: "button",
              title: `Show the utterances of ${shown}`,
              onclick: () => tell("only", { label: `speaker ${shown}`, test: (row) => row.speaker === name }),
            },
            shown,
          )
        : element("span.name", {}, shown);
    return element(
      "li",
      { title: told },
      label,
      element(
        "span.track",
        { "aria-hidden": "true", style: { "--mean": place(DATA.systems[0].wer ?? 0) } },
        element("span.bar", { style: { width: place(Number.isFinite(own) ? own : most) } }),
        COMPARED && words ? element("span.tick", { style: { left: place(other / words) } }) : null,
      ),
      element("span.number.value", {}, words ? percent(own, 1) : "–"),
      element("span.number.soft.small.words", {}, counted(words, "word")),
    );
  };
  const list = element("ul.bars", {}, ...groups.slice(0, FIRST_GROUPS).map(line));
  const more =
    groups.length > FIRST_GROUPS
      ? element(
          "button.small",
          {
            type: "button",
            onclick: (event) => {
              list.append(...groups.slice(FIRST_GROUPS).map(line));
              event.currentTarget.remove();
            },
          },
          `Show all ${count(groups.length)}`,
        )
      : null;
  return element("div.group", {}, element("h3", {}, title), list, more);
}

function calibrationCard() {
  const bins = DATA.calibration.filter(([, , words]) => words);
  if (!bins.length) return null;
  const error = DATA.systems[0].calibration_error;
  const all = bins.reduce((sum, [, , words]) => sum + words, 0);
  const largest = Math.max(...bins.map(([, , words]) => words));
  const height = 330;
  function draw(width) {
    const [left, right, top, foot] = [44, 12, 10, 96];
    const x = (value) => left + value * (width - left - right);
    const y = (value) => top + (1 - value) * (height - top - foot);
    const base = height - 34; // of the counts
    const svg = drawn("svg", {
      width,
      height,
      viewBox: `0 0 ${width} ${height}`,
      role: "img",
      "aria-label": `Share of right words by confidence; expected calibration error ${percent(error)} %`,
    });
    for (const value of [0, 0.25, 0.5, 0.75, 1]) {
      svg.append(
        drawn("line", { class: "grid", x1: left, x2: width - right, y1: y(value), y2: y(value) }),
        drawn("text", { class: "tick", x: left - 6, y: y(value) + 4, "text-anchor": "end" }, `${100 * value} %`),
      );
    }
    for (const [low, high, words, sure, right_] of bins) {
      const told =
        `confidence ${low.toFixed(2)} to ${high.toFixed(2)}: ${counted(words, "word")}, mean confidence ` +
        `${sure.toFixed(3)}, ${percent(right_, 1)} % right`;
      const wide = Math.max(1, x(high) - x(low) - 2);
      const tall = Math.max(1, (44 * words) / largest);
      svg.append(
        drawn(
          "g",
          { class: "bin" },
          drawn("title", {}, told),
          drawn("rect", { class: "hit", x: x(low), y: top, width: wide, height: base - top }),
          drawn("rect", {
            class: "accuracy",
            x: x(low) + 1,
            y: y(right_),
            width: wide,
            height: Math.max(1, y(0) - y(right_)),
          }),
          drawn("circle", { class: "point", cx: x(sure), cy: y(right_), r: 3 }),
          drawn("rect", { class: "counts", x: x(low) + 1, y: base - tall, width: wide, height: tall }),
        ),
      );
    }
    svg.append(
      drawn("line", { class: "diagonal", x1: x(0), y1: y(0), x2: x(1), y2: y(1) }),
      drawn("line", { class: "axis", x1: left, x2: width - right, y1: y(0), y2: y(0) }),
      drawn("line", { class: "axis", x1: left, x2: width - right, y1: base, y2: base }),
      drawn("text", { class: "tick", x: left - 6, y: base - 36, "text-anchor": "end" }, count(largest)),
      drawn("text", { class: "tick", x: left - 6, y: base, "text-anchor": "end" }, "0"),
    );
    for (const value of [0, 0.2, 0.4, 0.6, 0.8, 1]) {
      svg.append(
        drawn("text", { class: "tick", x: x(value), y: base + 15, "text-anchor": "middle" }, value.toFixed(1)),
      );
    }
    svg.append(
      drawn(
        "text",
        { class: "tick", x: (left + width - right) / 2, y: height - 4, "text-anchor": "middle" },
        "confidence",
      ),
    );
    return svg;
  }
  return card(
    "calibration",
    "Do the confidences hold?",
    element(
      "p.small.soft",
      {},
      `Share of right words among those of like confidence (bars; dots at their mean confidence), ` +
        `against the diagonal on which it would be told truly; below, how many words. Expected calibration error ` +
        `${percent(error)} % over ${counted(all, "word")}.`,
    ),
    figure(height, draw),
  );
}
