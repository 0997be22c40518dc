"use strict";
// Whatever a transcript or an id holds, it becomes text and never markup: everything goes in by textContent.
const DATA = JSON.parse(document.getElementById("data").textContent);
const COLUMNS = ["set", "id", "speaker", "text", "seconds", "level", "peak", "rate", "worst", "link", "unplayed"];
const HEADINGS = {
  id: "Utterance", speaker: "Speaker", text: "Transcript", seconds: "Seconds", level: "Level dB", peak: "Peak",
  rate: "Characters/s",
};
const NUMBERS = new Map([["seconds", 2], ["level", 1], ["peak", 2], ["rate", 1]]); // and their decimals
const UNITS = { seconds: "s", level: "dB", peak: "peak", rate: "char/s" }; // where there is no room for headings
const SILENCE = -100; // dB: what is quieter has its own finding, and would squeeze all others
const PAGE = 50;
const FEW = 12; // items shown until somebody asks for more
const LONG = 300; // characters of a transcript, likewise
const COLLATOR = new Intl.Collator("en", { numeric: true });
const ROWS = DATA.rows.map((row) => Object.fromEntries(COLUMNS.map((name, index) => [name, row[index]])));
const BY_NAME = new Map(ROWS.map((row) => [row.set + "\n" + row.id, row]));
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

/** A button that plays the recording in its place; a link if no browser plays it, nothing if there is none. */
function player(set, id) {
  const row = BY_NAME.get(set + "\n" + id);
  if (!row || !row.link) return "";
  if (row.unplayed) return link(row.link, row.unplayed, `Open the file: browsers do not play ${row.unplayed}`);
  const button = make("button", "play", "▶");
  button.title = "Listen";
  button.setAttribute("aria-label", "Listen to " + id);
  button.addEventListener("click", () => {
    const audio = make("audio");
    audio.controls = true;
    audio.addEventListener("error", () => {
      audio.replaceWith(link(row.link.replace(/#t=.*/, ""), "The browser cannot play this: open the file"));
    });
    audio.src = row.link;
    button.replaceWith(audio);
    audio.play().catch(() => {});
  });
  return button;
}

function link(to, text, title) {
  const made = make("a", "small file", text);
  made.href = to;
  if (title) made.title = title;
  return made;
}

/** Text, of which only the beginning is shown if it is very long. */
function shortened(text) {
  const holder = make("span", "", text);
  if (text.length > 1.2 * LONG) {
    const more = make("button", "more small", `… ${count(text.length - LONG)} more characters`);
    more.addEventListener("click", () => { holder.textContent = text; });
    holder.replaceChildren(text.slice(0, LONG), more);
  }
  return holder;
}

/** Draws the first few of them, and more when asked. */
function fill(holder, them, draw, many = FEW) {
  holder.append(...them.slice(0, many).map(draw));
  if (them.length <= many) return;
  const left = them.length - many;
  const more = make("button", "more small", left > 100 ? `Show 100 more of ${count(left)}` : `Show ${count(left)} more`);
  more.addEventListener("click", () => {
    more.remove();
    fill(holder, them.slice(many), draw, 100);
  });
  holder.append(more);
}

function themeButton() {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (document.documentElement.dataset.theme || (dark.matches ? "dark" : "light")) === "dark";
  const name = () => { place("theme").textContent = isDark() ? "Light" : "Dark"; };
  place("theme").addEventListener("click", () => {
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    name();
  });
  dark.addEventListener("change", name);
  name();
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
    cells.forEach((text, index) => {
      const cell = row.insertCell();
      cell.className = index ? "number" : "";
      cell.textContent = text;
      cell.dataset.label = names[index];
    });
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
  place("charts").hidden = !place("charts").children.length;
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
    fill(list, items, (item) => {
      const row = make("div");
      const name = [item.set, item.id].filter(Boolean).join("/");
      row.append(player(item.set, item.id), " ", make("span", "name", name), " ", shortened(item.says));
      return row;
    });
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
    const many = DATA.findings.reduce((sum, one) => sum + (!level || one.level === level ? one.count : 0), 0);
    const button = make("button", "small", `${level || "all"} ${count(many)}`);
    button.dataset.level = level;
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
  fill(place("unlikely"), DATA.unlikely, (one) => {
    const row = make("div");
    row.append(make("span", "doubt", one.doubt.toFixed(1)), player(one.set, one.id), " ");
    row.append(make("span", "name", `${one.set}/${one.id}`));
    const pair = make("div", "pair");
    pair.append(make("span", "", "transcript"), shortened(one.text));
    pair.append(make("span", "", "heard"), shortened(one.heard || "(nothing)"));
    row.append(pair);
    return row;
  });
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
    rows.sort((one, other) => {
      const [a, b] = [one[view.by], other[view.by]];
      if (a === null || b === null) return (a === null) - (b === null);
      return sign * (typeof a === "number" ? a - b : COLLATOR.compare(a, b));
    });
  }
  return rows;
}

function drawHead() {
  const head = place("utterances").createTHead().insertRow();
  for (const [name, heading] of Object.entries(HEADINGS)) {
    const cell = make("th", NUMBERS.has(name) ? "number" : "");
    const button = make("button", "small", heading);
    button.dataset.by = name;
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
    for (const name of Object.keys(HEADINGS)) {
      const cell = make("td", NUMBERS.has(name) ? "number" : name);
      const value = row[name];
      if (name === "id") {
        const mark = make("span", "mark " + row.worst);
        mark.title = row.worst || "nothing found";
        const holder = make("div", "who");
        holder.append(mark, player(row.set, row.id), make("span", "", `${row.set}/${row.id}`));
        cell.append(holder);
      } else if (NUMBERS.has(name)) {
        cell.textContent = value === null ? "" : value.toFixed(NUMBERS.get(name));
        cell.dataset.unit = UNITS[name];
      } else {
        cell.append(shortened(value));
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
    if (name === "page") place("all").scrollIntoView();
  };
  place("set").addEventListener("change", (event) => change("set", event.target.value));
  place("search").addEventListener("input", (event) => change("words", event.target.value));
  place("back").addEventListener("click", () => change("page", view.page - 1));
  place("next").addEventListener("click", () => change("page", view.page + 1));
}

function drawUnplayed() {
  const kinds = new Map();
  for (const { unplayed } of ROWS) if (unplayed) kinds.set(unplayed, (kinds.get(unplayed) || 0) + 1);
  const told = [...kinds].map(([kind, many]) => `${count(many)} ${many === 1 ? "recording is" : "recordings are"} ${kind}`);
  place("unplayed").hidden = !told.length;
  place("unplayed").textContent = `${told.join(", ")}, which browsers do not play: the links open the files.`;
}

themeButton();
drawVerdict();
drawSets();
drawCharts();
drawLevels();
drawFindings();
drawUnlikely();
drawUnplayed();
drawHead();
listenToControls();
drawUtterances();
