// What opening an utterance shows: its recording, to hear and to see.

/** What stands behind the list in the file, which may still be loading. */
async function detailOf(row) {
  const find = () => document.getElementById(`detail-${row.index}`);
  if (!find() && document.readyState === "loading") {
    await new Promise((resolve) => hear("DOMContentLoaded", resolve));
  }
  return find() ? JSON.parse(find().textContent) : {};
}

function bytesOf(base64) {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}

/** {word, begin, end} of a system's words as they were recognised, times in s; empty where there are none. */
function timedWordsOf(row, detail, system) {
  const times = detail.times?.[system] ?? [];
  const words = (detail[`hypothesis-${system}`] ?? row.heard[system].text).split(/\s+/).filter(Boolean);
  if (times.length !== 2 * words.length) return [];
  return words.map((word, place) => ({ word, begin: times[2 * place] / 100, end: times[2 * place + 1] / 100 }));
}

async function openRecording(row, holder, words) {
  holder.replaceChildren(element("p.small.soft", {}, "Loading …"));
  const detail = await detailOf(row);
  const before = ["reference", ...row.heard.map((_, system) => `hypothesis-${system}`)].map((key, place) =>
    detail[key] === undefined
      ? null
      : element("p.small", {}, element("span.soft", {}, `${NAMES[place]} before normalisation: `), detail[key]),
  );
  const source = detail.audio ? await waveOf(detail.audio) : detail.link;
  const player = source ? playerOf(row, detail, source) : null;
  holder.replaceChildren(
    ...before.filter(Boolean),
    ...(detail.error ? [element("p.small.bad", {}, `The recording cannot be shown: ${detail.error}`)] : []),
    ...(player ? [player.bar] : []),
  );
  if (!holder.childElementCount)
    holder.append(element("p.small.soft", {}, "There is no recording to this utterance."));
  if (!player) return;
  const playable = (system) => {
    const timed = timedWordsOf(row, detail, system);
    if (!timed.length || timed.length !== wordsOf(row.heard[system].text).length) return null;
    return (_, place) => player.play(timed[place].begin, timed[place].end);
  };
  if (row.heard.some((_, system) => playable(system))) words.firstElementChild.replaceWith(alignment(row, playable));
  if (detail.spectrogram || detail.posteriors) holder.append(await pictures(row, detail, player));
}
