// Keep a reviewer's marks in the browser: whether an answer was read as its author meant it.
"use strict";

FRISM.marks = (() => {
  const VERDICTS = [
    ["", "not reviewed"], ["right", "read correctly"], ["misread", "misread: wrong extraction"],
    ["gold", "gold answer is wrong"], ["ambiguous", "ambiguous"],
  ];

  function name() {
    return `frism-marks:${FRISM.state.study.study}`;
  }

  function all() {
    return FRISM.memory.read(name(), {});
  }

  function keyOf(benchmark, index, variant) {
    return JSON.stringify([benchmark, index, variant]);
  }

  function get(benchmark, index, variant) {
    return all()[keyOf(benchmark, index, variant)] || null;
  }

  // Keep a mark; null removes it. Returns whether the browser kept it.
  function put(benchmark, index, variant, mark) {
    const marks = all(), key = keyOf(benchmark, index, variant);
    if (mark && mark.verdict) marks[key] = mark;
    else delete marks[key];
    return FRISM.memory.write(name(), marks);
  }

  function list() {
    return Object.entries(all()).map(([key, mark]) => {
      const [benchmark, index, variant] = JSON.parse(key);
      return { benchmark, index, variant, ...mark };
    });
  }

  // The positions of marked questions, of one variant or of any.
  function positions(variant, questions) {
    return new Set(list().filter((mark) => !variant || mark.variant === variant).map((mark) => questions.places.get(`${mark.benchmark}/${mark.index}`)));
  }

  function write() {
    const study = FRISM.state.study;
    return `${JSON.stringify({ format: "frism-marks", version: 1, study: study.study, record: study.record, marks: list() }, null, 1)}\n`;
  }

  // Take marks from an exported file; returns how many. Throws a sentence for another file.
  function read(text) {
    let content;
    try {
      content = JSON.parse(text);
    } catch {
      throw new Error("the file is not JSON: choose one that this page exported.");
    }
    if (!content || content.format !== "frism-marks" || !Array.isArray(content.marks)) throw new Error("the file holds no marks: choose one that this page exported.");
    if (content.study !== FRISM.state.study.study) throw new Error(`the marks are of the study ${String(content.study)}, not of this one.`);
    const marks = all();
    const known = new Set(VERDICTS.map(([key]) => key).filter(Boolean));
    let count = 0;
    for (const { benchmark, index, variant, ...mark } of content.marks) {
      if (![benchmark, index, variant].every((part) => typeof part === "string") || !known.has(mark.verdict)) continue;
      marks[keyOf(benchmark, index, variant)] = mark;
      count += 1;
    }
    FRISM.memory.write(name(), marks);
    return count;
  }

  function clear() {
    FRISM.memory.write(name(), {});
  }

  return { VERDICTS, get, put, list, positions, write, read, clear };
})();
