// Hearing an utterance: a button, the time, and a clock that the pictures follow.

const PLAYED_RATE = 16000; // the highest that the page holds

let playing = null; // one recording at a time

function silence() {
  if (playing) playing.pause();
}

/**
 * The address of an MP3 turned into WAV: browsers find their place in a WAV to the sample, but miss it by up to a tenth
 * of a second in an MP3 of variable bit rate, which is half a word.
 */
async function waveOf(base64) {
  try {
    const sound = await new OfflineAudioContext(1, 1, PLAYED_RATE).decodeAudioData(bytesOf(base64).buffer);
    const samples = Int16Array.from(sound.getChannelData(0), (one) => Math.max(-1, Math.min(1, one)) * 32767);
    const header = new DataView(new ArrayBuffer(44));
    const letters = (place, text) =>
      Array.from(text, (letter, number) => header.setUint8(place + number, letter.charCodeAt(0)));
    letters(0, "RIFF");
    header.setUint32(4, 36 + samples.byteLength, true);
    letters(8, "WAVEfmt ");
    header.setUint32(16, 16, true);
    header.setUint16(20, 1, true); // PCM
    header.setUint16(22, 1, true); // channel
    header.setUint32(24, PLAYED_RATE, true);
    header.setUint32(28, 2 * PLAYED_RATE, true);
    header.setUint16(32, 2, true);
    header.setUint16(34, 16, true);
    letters(36, "data");
    header.setUint32(40, samples.byteLength, true);
    return URL.createObjectURL(new Blob([header, samples], { type: "audio/wav" }));
  } catch {
    return `data:audio/mpeg;base64,${base64}`;
  }
}

/** Play button, time, and a clock that the pictures follow. */
function playerOf(row, detail, source) {
  const base = Number(/#t=([\d.]+)/.exec(detail.link ?? "")?.[1] ?? 0);
  const audio = element("audio", { preload: detail.audio ? "auto" : "metadata", src: source });
  const button = element("button.play", { type: "button", "aria-label": `Play ${row.id}` }, "▶ Play");
  const time = element("span.number.small.soft");
  const trouble = element("p.small.bad");
  const length = () => row.duration ?? (Number.isFinite(audio.duration) ? audio.duration : 0);
  let end = Infinity;
  const player = { audio, now: 0, follow: () => {}, bar: null, seek: null, play: null };

  function tick() {
    player.now = Math.min(Math.max(0, audio.currentTime - base), length() || Infinity);
    time.textContent = `${player.now.toFixed(2)} / ${length().toFixed(2)} s`;
    player.follow(player.now);
    if (audio.currentTime - base >= end) audio.pause();
    if (!audio.paused && audio.isConnected) requestAnimationFrame(tick);
  }
  player.seek = (at) => {
    audio.currentTime = base + at;
    tick();
  };
  player.play = (from, to = Infinity) => {
    if (playing !== audio) silence();
    playing = audio;
    end = Math.min(to, row.duration ?? Infinity);
    if (from !== null) audio.currentTime = base + from;
    audio.play().catch((error) => {
      if (error.name !== "AbortError") trouble.textContent = `It cannot be played: ${error.message}`;
    });
  };
  button.addEventListener("click", () => {
    if (!audio.paused) return audio.pause();
    const over = audio.ended || player.now >= length() - 0.02;
    return player.play(over || (!audio.currentTime && base) ? 0 : null);
  });
  audio.addEventListener("play", () => {
    button.textContent = "❚❚ Pause";
    tick();
  });
  audio.addEventListener("pause", () => {
    button.textContent = "▶ Play";
    tick();
  });
  audio.addEventListener("error", () => {
    trouble.textContent = detail.audio
      ? "This browser cannot play MP3."
      : `The file that the page links to cannot be played: ${decodeURIComponent(detail.link)}. ` +
        "It was moved, or is of a kind that this browser does not know.";
  });
  const linked = detail.link ? element("a.small", { href: detail.link }, "linked file") : null;
  player.bar = element("div.player", {}, audio, button, time, linked, trouble);
  tick();
  return player;
}
