// Unpack the answers' columns, and find the questions that a filter asks for.
"use strict";

(() => {
  const FORM = { answered: 1, unread: 2, truncated: 4, repeated: 8 };
  const ARRAYS = { u1: Uint8Array, u2: Uint16Array, u4: Uint32Array, f8: Float64Array };
  const unpacked = new Map();

  function bytes(text) {
    const plain = atob(text), found = new Uint8Array(plain.length);
    for (let k = 0; k < plain.length; k += 1) found[k] = plain.charCodeAt(k);
    return found;
  }

  function unpack(column) {
    if (column.values) {
      const codes = bytes(column.codes), values = Float64Array.from([...column.values, ...Array(256 - column.values.length).fill(NaN)]);
      return Float64Array.from(codes, (code) => values[code]);
    }
    return new ARRAYS[column.type](bytes(column.data).buffer);
  }

  // One variant's columns: correct, raw, judge (or null), form, tokens, rule, extracted(position).
  async function columns(owner) {
    const study = FRISM.state.study, key = `${study.study}/${owner}`;
    if (!unpacked.has(key)) {
      unpacked.set(key, (async () => {
        const packed = await FRISM.part(`columns/${study.owners.indexOf(owner)}`);
        const codes = unpack(packed.extracted.codes), texts = packed.extracted.texts;
        const tokens = unpack(packed.tokens);
        return {
          correct: unpack(packed.correct), raw: unpack(packed.raw), judge: packed.judge ? unpack(packed.judge) : null,
          form: unpack(packed.form), tokens, rule: unpack(packed.rule), codes, texts,
          extracted: (k) => codes[k] ? texts[codes[k] - 1] : null,
        };
      })());
      unpacked.get(key).catch(() => unpacked.delete(key));
    }
    return unpacked.get(key);
  }

  // What tells questions apart, unpacked once a study.
  const lists = new Map();
  async function questions() {
    const study = FRISM.state.study;
    if (!lists.has(study.study)) {
      lists.set(study.study, FRISM.part("questions").then((content) => {
        const total = content.index.length, of = new Uint16Array(total);
        study.benchmarks.forEach((one, k) => of.fill(k, one.start, one.start + one.n));
        const places = new Map();
        content.index.forEach((index, k) => places.set(`${study.benchmarks[of[k]].key}/${index}`, k));
        return { ...content, total, of, places };
      }));
    }
    return lists.get(study.study);
  }

  let searchable = null;
  async function searchTexts() {
    const name = FRISM.state.study.study;
    if (!searchable || searchable.name !== name) {
      const texts = await FRISM.part("search");
      searchable = { name, texts: texts.map((text) => text.toLowerCase()) };
    }
    return searchable.texts;
  }

  // The benchmarks that a key names: one, a group, or all.
  function benchmarksOf(key) {
    const all = FRISM.state.study.benchmarks.map((one, k) => ({ ...one, k }));
    if (!key) return all;
    if (key.startsWith("group:")) return all.filter((one) => one.heading === key.slice(6));
    return all.filter((one) => one.key === key);
  }

  const RELATIONS = [
    ["", "any"], ["gained", "A above B (gained)"], ["lost", "A below B (lost)"], ["flip", "A and B differ in score"],
    ["both", "both right"], ["neither", "both wrong"], ["words", "read differently, scored alike"],
  ];

  // Find the positions that a filter asks for, in order. filter: {b, c, cluster, a, with, out, rel, form, rule, longer, q, mark, order, seed}
  async function find(filter) {
    const study = FRISM.state.study, list = await questions();
    const a = filter.a ? await columns(filter.a) : null, b = filter.with ? await columns(filter.with) : null;
    const texts = filter.q ? await searchTexts() : null;
    const words = (filter.q || "").toLowerCase().split(/\s+/).filter(Boolean);
    const category = filter.c ? list.category.known.indexOf(filter.c) : -1;
    const cluster = filter.cluster ? list.cluster.known.indexOf(filter.cluster) : -1;
    const rule = filter.rule ? study.rules.indexOf(filter.rule) + 1 : 0;
    const longer = filter.longer ? Number(filter.longer) : 0;
    const form = FORM[filter.form] || 0;
    const marks = filter.mark ? FRISM.marks.positions(filter.a, list) : null;
    const started = performance.now(), found = [];
    for (const one of benchmarksOf(filter.b)) {
      for (let k = one.start; k < one.start + one.n; k += 1) {
        if (category >= 0 && list.category.of[k] !== category) continue;
        if (cluster >= 0 && list.cluster.of[k] !== cluster) continue;
        if (a) {
          if (!(a.form[k] & FORM.answered)) continue;
          if (filter.out === "right" && !(a.correct[k] === 1)) continue;
          if (filter.out === "wrong" && !(a.correct[k] < 1)) continue;
          if (form && !(a.form[k] & form)) continue;
          if (rule && a.rule[k] !== rule) continue;
          if (longer && !(a.tokens[k] > longer)) continue;
          if (b && filter.rel) {
            if (!(b.form[k] & FORM.answered)) continue;
            const up = a.correct[k] > b.correct[k], down = a.correct[k] < b.correct[k];
            if (filter.rel === "gained" && !up) continue;
            if (filter.rel === "lost" && !down) continue;
            if (filter.rel === "flip" && !up && !down) continue;
            if (filter.rel === "both" && !(a.correct[k] === 1 && b.correct[k] === 1)) continue;
            if (filter.rel === "neither" && !(a.correct[k] === 0 && b.correct[k] === 0)) continue;
            if (filter.rel === "words" && (up || down || a.extracted(k) === b.extracted(k))) continue;
          }
        }
        if (marks && (filter.mark === "marked") !== marks.has(k)) continue;
        if (words.length) {
          const said = a && a.extracted(k);
          const line = texts[k] + (said ? ` ${said.toLowerCase()}` : "");
          if (!words.every((word) => line.includes(word) || list.index[k].toLowerCase() === word)) continue;
        }
        found.push(k);
      }
    }
    if (filter.order === "longest" && a) found.sort((x, y) => a.tokens[y] - a.tokens[x] || x - y);
    if (filter.order === "drawn") shuffle(found, Number(filter.seed) || 0);
    return { found, seconds: (performance.now() - started) / 1000 };
  }

  // Shuffle by a seed: a sample to review is the same for everybody, and no filter bends it.
  function shuffle(list, seed) {
    const lot = (k) => {
      let x = (k + 1) * 2654435761 ^ (seed + 1) * 40503;
      x = Math.imul(x ^ (x >>> 16), 2246822507);
      x = Math.imul(x ^ (x >>> 13), 3266489909);
      return (x ^ (x >>> 16)) >>> 0;
    };
    list.sort((x, y) => lot(x) - lot(y) || x - y);
  }

  // The full texts of one question: its prompt and every variant's answer.
  async function open(position) {
    const chunks = FRISM.state.study.chunks;
    const number = d3.bisectRight(chunks, position) - 1;
    const texts = await FRISM.part(`texts/${number}`);
    return texts[position - chunks[number]];
  }

  // Look for words in the raw answers of variant `a`, chunk by chunk; `each` hears of the progress and may end it.
  async function searchAnswers(positions, owner, q, each) {
    const study = FRISM.state.study, words = q.toLowerCase().split(/\s+/).filter(Boolean);
    const place = study.owners.indexOf(owner), found = [];
    const byChunk = d3.group(positions, (k) => d3.bisectRight(study.chunks, k) - 1);
    let done = 0;
    for (const [number, own] of byChunk) {
      const texts = await FRISM.part(`texts/${number}`);
      for (const k of own) {
        const question = texts[k - study.chunks[number]];
        const said = question.of[place].map((answer) => question.answers[answer][0]).join("\n").toLowerCase();
        if (words.every((word) => said.includes(word))) found.push(k);
      }
      done += 1;
      if (each(done, byChunk.size) === false) break;
    }
    return found;
  }

  // One answer, as benchmarks/page/texts.py lists it.
  function readAnswer([raw, extracted, rule, correct, correctRaw, judge, form, tokens, span]) {
    return { raw, extracted, rule, correct, correctRaw, judge, truncated: Boolean(form & FORM.truncated), repeated: Boolean(form & FORM.repeated), tokens, span };
  }

  function keyOfQuestion(position, list) {
    return `${FRISM.state.study.benchmarks[list.of[position]].key}/${list.index[position]}`;
  }

  Object.assign(FRISM, { answers: { FORM, RELATIONS, columns, questions, benchmarksOf, find, open, searchAnswers, readAnswer, keyOfQuestion, searchTexts } });
})();
