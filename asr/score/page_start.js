// The page put together.

function themeButton() {
  const button = element("button.small", { type: "button", id: "theme" });
  const name = () => {
    button.textContent = isDark() ? "Light" : "Dark";
  };
  button.addEventListener("click", () => {
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    name();
    tell("theme");
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    name();
    tell("theme");
  });
  name();
  return button;
}

function start() {
  const cards = [
    summaryCard(),
    comparisonCard(),
    curveCard(),
    groupCard(),
    tablesCard(),
    calibrationCard(),
    listCard(),
    receiptCard(),
  ];
  const names = {
    summary: "Summary",
    comparison: "Comparison",
    curves: "Learning curves",
    groups: "Speakers, lengths",
    confusions: "Words",
    calibration: "Calibration",
    utterances: "Utterances",
    receipt: "Receipt",
  };
  const shown = cards.filter(Boolean);
  document
    .getElementById("head")
    .append(
      element("div.top", {}, element("h1", {}, DATA.title), themeButton()),
      element(
        "nav.contents.small",
        { "aria-label": "Contents" },
        ...shown.map((one) => element("a", { href: `#${one.id}` }, names[one.id])),
      ),
    );
  document.getElementById("main").append(...shown);
  document
    .getElementById("foot")
    .append(`Scored by asr${DATA.receipt.versions?.asr ? ` ${DATA.receipt.versions.asr}` : ""}.`);
}

start();
performance.mark("list");
