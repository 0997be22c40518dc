"use strict";
// Whatever a transcript or an id holds, it becomes text and never markup: everything goes in by textContent.
const DATA = JSON.parse(document.getElementById("data").textContent);
const COLUMNS = ["set", "id", "speaker", "text", "seconds", "level", "peak", "rate", "worst", "link"];
const HEADINGS = {
  id: "Utterance", speaker: "Speaker", text: "Transcript", seconds: "Seconds", level: "Level dB", peak: "Peak",
  rate: "Characters/s",
};
const NUMBERS = new Map([["seconds", 2], ["level", 1], ["peak", 2], ["rate", 1]]); // and their decimals
const SILENCE = -100; // dB: what is quieter has its own finding, and would squeeze all others
const PAGE = 100;
const ROWS = DATA.rows.map((row) => Object.fromEntries(COLUMNS.map((name, index) => [name, row[index]])));
const LINKS = new Map(ROWS.map((row) => [row.set + "\n" + row.id, row.link]));
const place = (id) => document.getElementById(id);

function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

function count(number) {
  return number.toLocaleString("en");
}

function player(set, id) {
  const link = LINKS.get(set + "\n" + id);
  if (!link) return null;
  const button = make("button", "play", "▶");
  button.title = "Listen";
  button.setAttribute("aria-label", "Listen to " + id);
  button.addEventListener("click", () => {
    const audio = make("audio");
    audio.controls = true;
    audio.addEventListener("error", () => {
      const open = make("a", "small", "The browser cannot play this: open the file");
      open.href = link.replace(/#t=.*/, "");
      audio.replaceWith(open);
    });
    audio.src = link;
    button.replaceWith(audio);
    audio.play().catch(() => {});
  });
  return button;
}

function drawVerdict() {
  const verdict = place("verdict");
  const failed = DATA.errors > 0;
  const shown = failed ? "Something must be fixed." : "Nothing must be fixed.";
  verdict.append(make("b", failed ? "error" : "good", shown));
  verdict.append(make("span", "", `${count(DATA.errors)} ${DATA.errors === 1 ? "error" : "errors"}, `));
  verdict.append(make("span", "", `${count(DATA.warnings)} ${DATA.warnings === 1 ? "warning" : "warnings"}`));
  for (const sentence of DATA.assumed) place("assumed").append(make("li", "", sentence));
}

function drawSets() {
  const table = place("sets");
  const head = table.createTHead().insertRow();
  const names = ["Set", "Utterances", "Hours", "Words", "Speakers", "Shortest", "Median", "Longest", "Hz", "Channels"];
  names.forEach((name, index) => head.append(make("th", index ? "number" : "", name)));
  const body = table.createTBody();
  for (const one of DATA.manifests) {
    const seconds = (name) => (name in one.seconds ? one.seconds[name].toFixed(2) + " s" : "");
    const cells = [
      one.name, count(one.utterances), one.hours.toFixed(3), count(one.words), count(one.speakers), seconds("0%"),
      seconds("50%"), seconds("100%"), Object.keys(one.rates).join(" "), Object.keys(one.channels).join(" "),
    ];
    const row = body.insertRow();
    cells.forEach((text, index) => row.append(make("td", index ? "number" : "", text)));
  }
}

function shape(tag, attributes, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

function histogram(title, name, unit, logarithmic, digits) {
  const values = ROWS.map((row) => row[name]).filter((value) => value !== null && value > SILENCE);
  if (!values.length) return null;
  const to = logarithmic ? Math.log : (value) => value;
  const from = logarithmic ? Math.exp : (value) => value;
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) [low, high] = [Math.min(low, to(value)), Math.max(high, to(value))];
  if (high - low < 1e-9) [low, high] = [low - 0.5, high + 0.5];
  const bins = new Array(30).fill(0);
  for (const value of values) bins[Math.min(29, Math.floor(((to(value) - low) / (high - low)) * 30))] += 1;
  const [width, height, floor] = [380, 150, 126];
  const most = Math.max(...bins);
  const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": title });
  const text = (value) => from(value).toFixed(digits);
  bins.forEach((many, index) => {
    if (!many) return;
    const tall = Math.max(1.5, (many / most) * (floor - 16));
    const bar = shape("rect", {
      class: "bar-of", x: 4 + index * 12.4, y: floor - tall, width: 11.2, height: tall, rx: 1.5,
    });
    const [left, right] = [0, 1].map((more) => low + ((index + more) / 30) * (high - low));
    bar.append(shape("title", {}, `${text(left)} to ${text(right)} ${unit}: ${count(many)}`));
    svg.append(bar);
  });
  svg.append(shape("line", { x1: 2, x2: width - 2, y1: floor + 0.5, y2: floor + 0.5 }));
  [["start", 4, low], ["middle", width / 2, (low + high) / 2], ["end", width - 4, high]].forEach(([anchor, x, value]) => {
    svg.append(shape("text", { x, y: height - 8, "text-anchor": anchor }, `${text(value)}${anchor === "end" ? " " + unit : ""}`));
  });
  svg.append(shape("text", { x: 4, y: 10 }, `most: ${count(most)}`));
  const card = make("div", "card");
  card.append(make("h2", "", title), svg);
  return card;
}

function drawCharts() {
  const charts = [
    histogram("Duration", "seconds", "s", false, 1),
    histogram("Level, root mean square", "level", "dB", false, 0),
    histogram("Speaking rate", "rate", "characters/s", true, 1),
  ];
  place("charts").append(...charts.filter(Boolean));
}

const findingState = { level: "", words: "" };

function drawFindings() {
  const words = findingState.words.toLowerCase();
  const holder = place("findings");
  holder.replaceChildren();
  for (const finding of DATA.findings) {
    if (findingState.level && finding.level !== findingState.level) continue;
    const whole = [finding.check, finding.says, finding.advice].join(" ").toLowerCase();
    const items = finding.items.filter(
      (item) => !words || whole.includes(words) || `${item.set}/${item.id} ${item.says}`.toLowerCase().includes(words));
    if (words && !items.length && !whole.includes(words)) continue;
    const details = make("details");
    details.open = finding.level !== "information" || Boolean(words);
    const summary = make("summary");
    summary.append(make("span", "level " + finding.level, finding.level));
    const said = make("span", "", finding.says + " ");
    said.append(make("span", "check", finding.check));
    summary.append(said);
    details.append(summary, make("p", "advice", finding.advice));
    const list = make("div", "items");
    for (const item of items) {
      const row = make("div");
      const button = item.id && player(item.set, item.id);
      if (button) row.append(button, " ");
      const name = [item.set, item.id].filter(Boolean).join("/");
      if (name) row.append(make("span", "name", name), " ");
      row.append(make("span", "", item.says));
      list.append(row);
    }
    const left = finding.count - finding.items.length;
    if (left) list.append(make("div", "soft small", `and ${count(left)} more, in doctor.json`));
    details.append(list);
    holder.append(details);
  }
  if (!holder.children.length) {
    holder.append(make("p", "soft", DATA.findings.length ? "No finding fits." : "Nothing was found at all."));
  }
}

function drawLevels() {
  for (const level of ["", "error", "warning", "information"]) {
    const many = DATA.findings.filter((one) => !level || one.level === level).length;
    const button = make("button", "small", `${level || "all"} ${many}`);
    button.setAttribute("aria-pressed", String(level === findingState.level));
    button.addEventListener("click", () => {
      findingState.level = level;
      for (const other of place("levels").children) other.setAttribute("aria-pressed", String(other === button));
      drawFindings();
    });
    place("levels").append(button);
  }
  place("find").addEventListener("input", (event) => {
    findingState.words = event.target.value;
    drawFindings();
  });
}

function drawUnlikely() {
  if (!DATA.unlikely) return;
  place("doubted").hidden = false;
  for (const one of DATA.unlikely) {
    const row = make("div");
    row.append(make("span", "doubt", one.doubt.toFixed(1)));
    const button = player(one.set, one.id);
    if (button) row.append(button, " ");
    row.append(make("span", "name", `${one.set}/${one.id}`));
    const pair = make("div", "pair");
    pair.append(make("span", "", "transcript"), make("span", "", one.text));
    pair.append(make("span", "", "heard"), make("span", "", one.heard || "(nothing)"));
    row.append(pair);
    place("unlikely").append(row);
  }
  if (!DATA.unlikely.length) place("unlikely").append(make("p", "soft", "The model hears every transcript as it stands."));
}

const view = { set: "", words: "", by: "", down: false, page: 0 };

function chosen() {
  const words = view.words.toLowerCase();
  const rows = ROWS.filter((row) =>
    (!view.set || row.set === view.set) &&
    (!words || `${row.set}/${row.id}\n${row.speaker}\n${row.text}`.toLowerCase().includes(words)));
  if (view.by) {
    const sign = view.down ? -1 : 1;
    const key = (row) => (view.by === "id" ? row.set + "/" + row.id : row[view.by]);
    rows.sort((one, other) => {
      const [a, b] = [key(one), key(other)];
      if (a === null || b === null) return (a === null) - (b === null);
      return sign * (typeof a === "number" ? a - b : a.localeCompare(b));
    });
  }
  return rows;
}

function drawHead() {
  const head = place("utterances").createTHead().insertRow();
  for (const [name, heading] of Object.entries(HEADINGS)) {
    const cell = make("th", NUMBERS.has(name) ? "number" : "");
    const button = make("button", "small", heading);
    button.addEventListener("click", () => {
      view.down = view.by === name && !view.down;
      [view.by, view.page] = [name, 0];
      for (const other of head.cells) other.removeAttribute("aria-sort");
      cell.setAttribute("aria-sort", view.down ? "descending" : "ascending");
      drawUtterances();
    });
    cell.append(button);
    head.append(cell);
  }
  place("utterances").createTBody();
}

function drawUtterances() {
  const rows = chosen();
  const pages = Math.max(1, Math.ceil(rows.length / PAGE));
  const body = place("utterances").tBodies[0];
  body.replaceChildren();
  for (const row of rows.slice(view.page * PAGE, (view.page + 1) * PAGE)) {
    const line = body.insertRow();
    for (const [name, heading] of Object.entries(HEADINGS)) {
      const cell = make("td", NUMBERS.has(name) ? "number" : name);
      if (name === "id") {
        const mark = make("span", "mark " + row.worst);
        mark.title = row.worst || "nothing found";
        cell.append(mark, player(row.set, row.id), ` ${row.set}/${row.id}`);
      } else {
        const known = row[name] !== null && row[name] !== undefined;
        cell.textContent = !known ? "" : NUMBERS.has(name) ? row[name].toFixed(NUMBERS.get(name)) : row[name];
        cell.dataset.label = heading;
      }
      line.append(cell);
    }
  }
  place("shown").textContent = `${count(rows.length)} of ${count(ROWS.length)}`;
  place("page").textContent = `page ${view.page + 1} of ${pages}`;
  place("back").disabled = view.page === 0;
  place("next").disabled = view.page + 1 >= pages;
}

function listenToControls() {
  const sets = ["", ...DATA.manifests.map((one) => one.name)];
  for (const name of sets) {
    const option = make("option", "", name || "all sets");
    option.value = name;
    place("set").append(option);
  }
  const change = (name, value) => {
    view[name] = value;
    if (name !== "page") view.page = 0;
    drawUtterances();
  };
  place("set").addEventListener("change", (event) => change("set", event.target.value));
  place("search").addEventListener("input", (event) => change("words", event.target.value));
  place("back").addEventListener("click", () => change("page", view.page - 1));
  place("next").addEventListener("click", () => change("page", view.page + 1));
}

drawVerdict();
drawSets();
drawCharts();
drawLevels();
drawFindings();
drawUnlikely();
drawHead();
listenToControls();
drawUtterances();
