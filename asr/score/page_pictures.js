// Seeing an utterance: words in time, spectrogram, posteriors, and a cursor over them.

const LEAST_SCALE = 130; // pixels a second, so that words have room under each other
const WIDEST = 12000; // pixels; browsers refuse wider canvases
const SPECTROGRAM_HEIGHT = 120;
const POSTERIOR_HEIGHT = 84;
const LABELS_HEIGHT = 30;

hear("theme", () => document.querySelectorAll(".pictures").forEach((one) => one.redraw()));

async function inflated(base64) {
  const stream = new Blob([bytesOf(base64)]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Shades by frame, from low to high frequency; differences from band to band are summed up again. */
async function shadesOf(base64, bands) {
  const bytes = await inflated(base64);
  for (let place = 0; place < bytes.length; place += 1) if (place % bands) bytes[place] += bytes[place - 1];
  return bytes;
}

async function posteriorsOf(base64) {
  const bytes = await inflated(base64);
  const entries = bytes.length / 5;
  const numbers = new DataView(bytes.buffer);
  let frame = 0;
  return Array.from({ length: entries }, (_, place) => {
    frame += numbers.getUint16(2 * place, true);
    return {
      frame,
      token: numbers.getUint16(2 * (entries + place), true),
      probability: bytes[4 * entries + place] / 255,
    };
  });
}

const SHADES = {
  // from quiet to loud
  light: [
    [255, 255, 255],
    [214, 226, 240],
    [143, 170, 208],
    [74, 96, 160],
    [44, 38, 92],
    [18, 10, 36],
  ],
  dark: [
    [24, 26, 30],
    [44, 42, 84],
    [98, 56, 130],
    [184, 84, 112],
    [244, 152, 84],
    [255, 240, 190],
  ],
};

function ramp(share, stops) {
  const place = Math.min(0.9999, Math.max(0, share)) * (stops.length - 1);
  const low = Math.floor(place);
  return [0, 1, 2].map(
    (channel) => stops[low][channel] + (place - low) * (stops[low + 1][channel] - stops[low][channel]),
  );
}

function sharp(width, height) {
  const scale = Math.max(0.25, Math.min(devicePixelRatio || 1, 2, 16000 / width));
  const canvas = element("canvas", { "aria-hidden": "true", style: { width: `${width}px`, height: `${height}px` } });
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  const pen = canvas.getContext("2d");
  pen.scale(scale, scale);
  return [canvas, pen];
}

function colour(name) {
  const probe = element("span", { style: { color: `var(${name})`, display: "none" } });
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

function drawSpectrogram(shades, seconds, scale, times) {
  const { bands, levels, shift } = DATA.spectrogram;
  const frames = Math.floor(shades.length / bands);
  const stops = SHADES[isDark() ? "dark" : "light"];
  const colours = Array.from({ length: levels }, (_, level) => ramp(level / (levels - 1), stops));
  const [canvas, pen] = sharp(seconds * scale, SPECTROGRAM_HEIGHT);
  if (frames) {
    const image = new ImageData(frames, bands);
    for (let frame = 0; frame < frames; frame += 1) {
      for (let band = 0; band < bands; band += 1) {
        const [red, green, blue] = colours[Math.min(levels - 1, shades[frame * bands + band])];
        image.data.set([red, green, blue, 255], 4 * ((bands - 1 - band) * frames + frame));
      }
    }
    const small = element("canvas");
    [small.width, small.height] = [frames, bands];
    small.getContext("2d").putImageData(image, 0, 0);
    pen.imageSmoothingQuality = "high";
    pen.drawImage(small, 0, 0, frames * shift * scale, SPECTROGRAM_HEIGHT);
  }
  for (const { begin, end } of times) {
    for (const [at, dashes] of [
      [begin, []],
      [end, [2, 3]],
    ]) {
      pen.strokeStyle = colour("--boundary");
      pen.setLineDash(dashes);
      pen.beginPath();
      pen.moveTo(at * scale + 0.5, 0);
      pen.lineTo(at * scale + 0.5, SPECTROGRAM_HEIGHT);
      pen.stroke();
    }
  }
  return canvas;
}

/** Stretches of frames in which a token is probable at all: [token, [[frame, probability], …]]. */
function stretches(entries) {
  const open = new Map();
  const found = [];
  for (const { frame, token, probability } of entries) {
    const points = open.get(token);
    if (points && frame - points.at(-1)[0] <= 1) points.push([frame, probability]);
    else {
      const begun = [[frame, probability]];
      open.set(token, begun);
      found.push([token, begun]);
    }
  }
  return found;
}

function drawPosteriors(entries, seconds, scale) {
  const { tokens, shift } = DATA.posteriors;
  const [canvas, pen] = sharp(seconds * scale, POSTERIOR_HEIGHT + LABELS_HEIGHT);
  const x = (frame) => (frame + 0.5) * shift * scale;
  const y = (probability) => LABELS_HEIGHT + (1 - probability) * (POSTERIOR_HEIGHT - 2) + 1;
  const light = isDark() ? 68 : 40;
  const labels = [];
  for (const [token, points] of stretches(entries)) {
    const blank = token === 0;
    const hue = (token * 137.5) % 360;
    pen.beginPath();
    pen.moveTo(x(points[0][0] - 1), y(0));
    for (const [frame, probability] of points) pen.lineTo(x(frame), y(probability));
    pen.lineTo(x(points.at(-1)[0] + 1), y(0));
    pen.strokeStyle = blank ? colour("--faint") : `hsl(${hue} 65% ${light}%)`;
    pen.lineWidth = blank ? 1 : 1.5;
    pen.stroke();
    if (blank) continue;
    pen.fillStyle = `hsl(${hue} 65% ${light}% / 0.14)`;
    pen.fill();
    const [frame, probability] = points.reduce((best, one) => (one[1] > best[1] ? one : best));
    if (probability >= 0.1) labels.push({ token, at: x(frame), probability, hue });
  }
  pen.font = "12px ui-monospace, 'DejaVu Sans Mono', monospace";
  pen.textAlign = "center";
  const lanes = [[], []];
  for (const { token, at, probability } of labels.sort((a, b) => b.probability - a.probability)) {
    const text = /^(\s+|<space>)$/.test(tokens[token]) ? "␣" : tokens[token];
    const half = pen.measureText(text).width / 2 + 1.5;
    const centre = Math.min(Math.max(at, half), seconds * scale - half);
    const lane = lanes.find((taken) => taken.every(([begin, end]) => centre + half <= begin || centre - half >= end));
    if (!lane) continue;
    lane.push([centre - half, centre + half]);
    pen.fillStyle = colour(probability >= 0.5 ? "--ink" : "--soft");
    pen.fillText(text, centre, LABELS_HEIGHT - 6 - 13 * lanes.indexOf(lane));
  }
  return canvas;
}

/** Words where they are said, on as many lines as they need in order not to cover each other. */
function timedWords(timed, scale, width, player, name) {
  const pen = element("canvas").getContext("2d");
  pen.font = getComputedStyle(document.body).font;
  const taken = [];
  const labels = timed.map(({ word, begin, end }) => {
    const wide = Math.max(pen.measureText(word).width * 0.85 + 14, 18);
    const left = Math.max(0, Math.min(begin * scale, width - wide));
    let lane = taken.findIndex((until) => until <= left);
    if (lane < 0) lane = taken.push(0) - 1;
    taken[lane] = left + wide + 2;
    return element(
      "button.timed",
      {
        type: "button",
        title: `${begin.toFixed(2)} – ${end.toFixed(2)} s`,
        style: { left: `${left}px`, top: `${lane * 23}px` },
        onclick: () => player.play(begin, end),
      },
      word,
    );
  });
  return element(
    "div.timeline",
    { role: "group", "aria-label": `Words of ${name}`, style: { height: `${taken.length * 23 + 2}px` } },
    ...labels,
  );
}

async function pictures(row, detail, player) {
  const shades = detail.spectrogram ? await shadesOf(detail.spectrogram, DATA.spectrogram.bands) : null;
  const entries = detail.posteriors ? await posteriorsOf(detail.posteriors) : null;
  const seconds = row.duration || (shades ? (shades.length / DATA.spectrogram.bands) * DATA.spectrogram.shift : 1);
  const holder = element("div.pictures.scroll", {
    tabindex: 0,
    role: "group",
    "aria-label": `Recording of ${row.id}`,
  });
  const inner = element("div.inner");
  const cursor = element("div.cursor", { "aria-hidden": "true" });
  let scale = 1;

  function draw() {
    const room = holder.clientWidth || 600;
    scale = Math.min(Math.max(room / seconds, LEAST_SCALE), Math.max(WIDEST / seconds, 10));
    const width = Math.ceil(Math.max(seconds * scale, 1));
    inner.style.width = `${width}px`;
    const timed = row.heard
      .map((_, system) => [timedWordsOf(row, detail, system), system])
      .filter(([one]) => one.length);
    const spoken = (one, system) => [
      COMPARED ? element("p.small.soft.pinned", {}, NAMES[system + 1]) : null,
      timedWords(one, scale, width, player, NAMES[system + 1]),
    ];
    inner.replaceChildren(
      ...timed.flatMap(([one, system]) => spoken(one, system)).filter(Boolean),
      ...(shades ? [drawSpectrogram(shades, seconds, scale, timed[0]?.[0] ?? [])] : []),
      ...(entries ? [drawPosteriors(entries, seconds, scale)] : []),
      cursor,
    );
    player.follow(player.now);
  }
  player.follow = (now) => {
    cursor.style.transform = `translateX(${(now * scale).toFixed(1)}px)`;
    const [left, room] = [holder.scrollLeft, holder.clientWidth];
    if (!player.audio.paused && (now * scale < left || now * scale > left + room - 40))
      holder.scrollLeft = now * scale - 60;
  };
  inner.addEventListener("click", (event) => {
    if (event.target.tagName === "CANVAS") player.seek((event.clientX - inner.getBoundingClientRect().left) / scale);
  });
  holder.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -0.1, ArrowRight: 0.1 }[event.key];
    if (step === undefined || event.target !== holder) return;
    event.preventDefault();
    player.seek(Math.min(seconds, Math.max(0, player.now + step)));
  });
  holder.append(inner);
  holder.redraw = draw;
  let seen = 0;
  new ResizeObserver(() => {
    if (!holder.clientWidth || holder.clientWidth === seen) return;
    seen = holder.clientWidth;
    draw();
  }).observe(holder);
  const caption = [
    shades
      ? `Log-mel spectrogram, ${DATA.spectrogram.bands} bands; lines where words begin, dotted where they end.`
      : null,
    entries ? "Below, the probability of each token from 0 to 1, frame by frame; the grey line is the blank." : null,
    "Click to move, a word to hear it.",
  ]
    .filter(Boolean)
    .join(" ");
  return element("div", {}, holder, element("p.small.soft", {}, caption));
}
