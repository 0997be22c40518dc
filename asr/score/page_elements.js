"use strict";
// Elements, numbers and the data. Whatever comes from the data becomes text or a number, never markup.

const DATA = JSON.parse(document.getElementById("data").textContent);
const SVG = "http://www.w3.org/2000/svg";

/** `name` is a tag with classes ("div.card"). Attributes that begin with "on" are listeners; `style` is an object. */
function element(name, attributes = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  const made = document.createElement(tag);
  made.classList.add(...classes);
  return furnish(made, attributes, children);
}

function drawn(name, attributes = {}, ...children) {
  return furnish(document.createElementNS(SVG, name), attributes, children);
}

function furnish(made, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key === "style") for (const [name, one] of Object.entries(value)) made.style.setProperty(name, one);
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** A card with a heading that the contents link to. */
function card(id, heading, ...children) {
  return element(
    "section.card",
    { id, "aria-labelledby": `${id}-heading` },
    element("h2", { id: `${id}-heading` }, heading),
    ...children,
  );
}

/** A drawing as wide as its place, drawn anew when that changes; `draw(width)` gives the SVG. */
function figure(height, draw) {
  const holder = element("div.figure", { style: { height: `${height}px` } });
  let width = 0;
  new ResizeObserver(() => {
    const now = Math.floor(holder.clientWidth);
    if (!now || now === width) return;
    width = now;
    holder.replaceChildren(draw(width));
  }).observe(holder);
  return holder;
}

const NUMBERS = new Intl.NumberFormat("en-GB");

function count(number) {
  return NUMBERS.format(number);
}

function counted(number, one, many = `${one}s`) {
  return `${count(number)} ${number === 1 ? one : many}`;
}

function percent(rate, digits = 2) {
  return rate === null || rate === undefined ? "–" : (100 * rate).toFixed(digits);
}

/** The upper end of an interval: no number of words makes it 0. */
function upperPercent(rate) {
  return Math.max(0.01, 100 * rate).toFixed(2);
}

function span(seconds) {
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  if (seconds < 3600) return `${(seconds / 60).toFixed(1)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

function probability(p) {
  if (p < 0.0001) return "p < 0.0001";
  return `p = ${p.toFixed(p < 0.1 ? 4 : 2)}`;
}

/** Round numbers from 0 to at least `most`, about `wanted` of them. */
function ticks(most, wanted) {
  const raw = (most || 1) / wanted;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].find((one) => one * power >= raw * 0.999) * power;
  const found = [];
  for (let number = 0; number < Math.ceil((most || 1) / step - 1e-9) + 1; number += 1) found.push(number * step);
  return found;
}

function tickText(value) {
  return String(Number(value.toPrecision(6)));
}

function hear(eventName, listener) {
  document.addEventListener(eventName, listener);
}

function tell(eventName, detail) {
  document.dispatchEvent(new CustomEvent(eventName, { detail }));
}

function isDark() {
  const theme = document.documentElement.dataset.theme;
  return theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}
