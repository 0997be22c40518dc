// The utterances as rows: what was said, and what each system heard.

const COMPARED = DATA.systems.length > 1;
// Names that are long (files, as a rule) make room for letters; the headline says which is which.
const SHORT = DATA.systems.every((one) => one.name && one.name.length <= 16)
  ? DATA.systems.map((one) => one.name)
  : ["A", "B"];

function wordsOf(text) {
  return text ? text.split(" ") : [];
}

/** Confidences of a row's words, 0 to 1; empty where they are not known. */
function confidencesOf(digits) {
  const found = [];
  for (let place = 0; place < digits.length; place += 2) found.push(Number(digits.slice(place, place + 2)) / 99);
  return found;
}

function mean(numbers) {
  return numbers.length ? numbers.reduce((sum, one) => sum + one, 0) / numbers.length : null;
}

function countErrors(operations) {
  let errors = 0;
  for (let place = 0; place < operations.length; place += 1) if (operations[place] !== "h") errors += 1;
  return errors;
}

function countWords(text) {
  if (!text) return 0;
  let words = 1;
  for (let place = text.indexOf(" "); place >= 0; place = text.indexOf(" ", place + 1)) words += 1;
  return words;
}

/** What a system heard in one utterance. */
class Heard {
  constructor(system, index, reference) {
    const text = system.texts[index];
    this.text = text === 0 ? reference : text;
    this.operations = system.operations[index];
    this.confidences = system.confidences[index];
    this.errors = countErrors(this.operations);
    this.failed = system.failed[index] ?? null;
  }
}

class Row {
  constructor(id, index) {
    const { speakers, speaker_names: names, durations, references } = DATA.utterances;
    this.id = id;
    this.index = index;
    this.reference = references[index];
    this.speaker = speakers[index] < 0 ? null : names[speakers[index]];
    this.duration = durations[index];
    this.words = countWords(this.reference);
    this.heard = DATA.heard.map((system) => new Heard(system, index, this.reference));
    this.errors = this.heard[0].errors;
    this.change = COMPARED ? this.errors - this.heard[1].errors : 0;
  }

  get wer() {
    return this.words ? this.errors / this.words : this.errors ? Infinity : 0;
  }

  get confidence() {
    return mean(confidencesOf(this.heard[0].confidences));
  }
}

const ROWS = DATA.utterances.ids.map((id, index) => new Row(id, index));

/** What a row's alignment holds for one system: {operation, said, heard, place (of the word heard)}. */
function steps(row, system) {
  const said = wordsOf(row.reference);
  const heard = wordsOf(row.heard[system].text);
  const operations = row.heard[system].operations || "h".repeat(said.length);
  let one = 0;
  let other = 0;
  return Array.from(operations, (operation) => {
    const step = { operation, said: null, heard: null, place: null };
    if (operation !== "i") step.said = said[one++];
    if (operation !== "d") [step.heard, step.place] = [heard[other], other++];
    return step;
  });
}

/** Columns of a reference word and each system's, insertions side by side: {said, cells: [step or null, …]}. */
function columns(row) {
  const inserted = []; // by system, by place in the reference: the steps put in before it
  const aligned = []; // by system: the steps of the reference's words
  row.heard.forEach((_, system) => {
    const before = [[]];
    const kept = [];
    for (const step of steps(row, system)) {
      if (step.operation === "i") before.at(-1).push(step);
      else {
        kept.push(step);
        before.push([]);
      }
    }
    inserted.push(before);
    aligned.push(kept);
  });
  const found = [];
  for (let place = 0; place <= row.words; place += 1) {
    const most = Math.max(...inserted.map((before) => before[place].length));
    for (let number = 0; number < most; number += 1) {
      found.push({ said: null, cells: inserted.map((before) => before[place][number] ?? null) });
    }
    if (place < row.words) {
      found.push({ said: aligned[0][place].said, cells: aligned.map((kept) => kept[place]) });
    }
  }
  return found;
}

/** Whether a row holds an error: [operation, reference word or null, hypothesis word or null]. */
function holds(row, [operation, said, heard]) {
  if (!row.heard[0].operations.includes(operation)) return false;
  return steps(row, 0).some((one) => one.operation === operation && one.said === said && one.heard === heard);
}
