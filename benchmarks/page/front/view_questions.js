// Every question: its picture, the prompt as sent, the gold answer, and what each variant said, was read as, and took.
"use strict";

FRISM.views.set("questions", {
  title: "Questions",
  async show(main) {
    const { h, state, get } = FRISM, study = state.study, api = FRISM.answers;
    const list = await api.questions();
    const pictured = study.variants.map((v) => v.name), models = study.owners.filter((o) => !pictured.includes(o));
    const NAMES = ["b", "c", "cluster", "a", "with", "out", "rel", "form", "rule", "longer", "q", "mark", "order", "seed"];
    const filter = Object.fromEntries(NAMES.map((name) => [name, get(name)]));
    if (!study.owners.includes(filter.a)) filter.a = study.learned[0] || pictured.at(-1);
    if (!study.owners.includes(filter.with) || filter.with === filter.a) filter.with = filter.a === study.reference ? "" : study.reference;
    if (filter.rel && !filter.with) filter.with = pictured.find((n) => n !== filter.a) || "";
    let found = [], current = -1, shown = 0;

    // --- filters ---
    const owners = [...pictured, ...models];
    const categories = () => {
      const of = new Set(api.benchmarksOf(filter.b).flatMap((one) => d3.range(one.start, one.start + one.n).map((k) => list.category.of[k])));
      return [...of].map((c) => list.category.known[c]).filter(Boolean).sort();
    };
    const categoryBox = h("div", {});
    const refillCategories = () => {
      const known = categories();
      categoryBox.replaceChildren(...(known.length ? [FRISM.field("Category", FRISM.select([["", "all"], ...known], filter.c, (v) => set({ c: v })))] : []));
    };
    const groups = [...new Set(study.benchmarks.map((one) => one.heading))];
    const benchmarkOptions = [["", "all"], { group: "Groups", options: groups.map((g) => [`group:${g}`, g]) },
      { group: "Benchmarks", options: study.benchmarks.filter((one) => one.axis !== "text").map((one) => [one.key, one.name]) },
      { group: "In words alone", options: study.benchmarks.filter((one) => one.axis === "text").map((one) => [one.key, one.name]) }].filter((o) => Array.isArray(o) || o.options.length);
    const search = h("input", { type: "search", value: filter.q, placeholder: "words of the question or the answer", autocomplete: "off", onfocus: () => api.searchTexts().catch(() => null), oninput: (e) => { clearTimeout(search.wait); search.wait = setTimeout(() => set({ q: e.target.value }), 60); } });
    const longer = h("input", { type: "number", min: 0, value: filter.longer, oninput: (e) => set({ longer: e.target.value }) });
    const seed = h("input", { type: "number", min: 0, value: filter.seed || "0", oninput: (e) => set({ seed: e.target.value }) });
    const seedField = FRISM.field("Seed", seed);
    const raw = h("button", { type: "button", onclick: searchRaw }, "Search the raw answers of A");
    const filters = h("details", { class: "filters", open: matchMedia("(min-width: 60rem)").matches }, h("summary", {}, "Filters"), h("div", { class: "controls stacked" },
      FRISM.field("Benchmark", FRISM.select(benchmarkOptions, filter.b, (v) => { set({ b: v, c: "", cluster: "" }); refillCategories(); })), categoryBox,
      FRISM.field("Variant A", FRISM.select(owners, filter.a, (v) => set({ a: v }))),
      FRISM.field("Variant B", FRISM.select([["", "none"], ...owners], filter.with, (v) => set({ with: v }))),
      FRISM.field("A against B", FRISM.select(api.RELATIONS, filter.rel, (v) => set({ rel: v }))),
      FRISM.field("A is", FRISM.select([["", "right or wrong"], ["right", "right"], ["wrong", "wrong"]], filter.out, (v) => set({ out: v }))),
      FRISM.field("Form of A's answer", FRISM.select([["", "any"], ["unread", "nothing could be read"], ["truncated", "cut off at the limit"], ["repeated", "repeats itself"]], filter.form, (v) => set({ form: v }))),
      FRISM.field("Rule that read A's answer", FRISM.select([["", "any"], ...study.rules], filter.rule, (v) => set({ rule: v }))),
      FRISM.field("A's answer longer than (tokens)", longer), FRISM.field("Text", search), raw,
      FRISM.field("A's marks", FRISM.select([["", "any"], ["marked", "reviewed"], ["unmarked", "not reviewed"]], filter.mark, (v) => set({ mark: v }))),
      FRISM.field("Order", FRISM.select([["", "as asked"], ["longest", "longest answer of A first"], ["drawn", "drawn at random, for a review"]], filter.order, (v) => set({ order: v }))), seedField,
      h("button", { type: "button", onclick: () => { FRISM.change(Object.fromEntries([...NAMES, "k"].map((n) => [n, ""]))); } }, "Clear all filters")));
    refillCategories();

    function set(changes) {
      Object.assign(filter, changes);
      FRISM.change(changes, { quiet: true });
      refresh();
    }

    // --- the list ---
    const HEIGHT = 44;
    const inner = h("div", { class: "rows", role: "presentation" });
    const box = h("div", { class: "question-list", role: "listbox", tabindex: 0, "aria-label": "Questions" }, inner);
    const count = h("p", { class: "count", "aria-live": "polite" });
    let a = null, b = null, only = null, ticket = 0;

    async function refresh({ keep = true } = {}) {
      const mine = ++ticket;
      seedField.hidden = filter.order !== "drawn";
      raw.hidden = !filter.q;
      only = null;
      const [result, ca, cb] = await Promise.all([api.find(filter), api.columns(filter.a), filter.with ? api.columns(filter.with) : null]);
      if (mine !== ticket) return;
      [a, b] = [ca, cb];
      main.dataset.filtered = String(result.seconds);
      await apply(result.found, keep);
    }

    async function apply(positions, keep = true) {
      const before = keep && current >= 0 ? current : list.places.has(get("k")) ? list.places.get(get("k")) : -1;
      found = positions;
      const all = d3.sum(api.benchmarksOf(filter.b), (one) => one.n);
      count.textContent = `${found.length.toLocaleString("en")} of ${all.toLocaleString("en")} questions${study.sampled ? ` (this page holds ${list.total.toLocaleString("en")} of ${d3.sum(study.benchmarks, (x) => x.of).toLocaleString("en")})` : ""}`;
      inner.style.height = `${found.length * HEIGHT}px`;
      const at = found.indexOf(before);
      current = at >= 0 ? before : found.length ? found[0] : -1;
      shown = Math.max(0, at);
      scrollTo(shown);
      draw();
      await open(current);
      main.dataset.turn = String(Number(main.dataset.turn || 0) + 1); // for those who measure
    }

    function draw() {
      const first = Math.max(0, Math.floor(box.scrollTop / HEIGHT) - 8), last = Math.min(found.length, Math.ceil((box.scrollTop + (box.clientHeight || 600)) / HEIGHT) + 8);
      inner.replaceChildren(...found.slice(first, last).map((k, i) => {
        const row = h("div", { role: "option", id: `q${k}`, "aria-selected": k === current ? "true" : "false", "aria-setsize": found.length, "aria-posinset": first + i + 1, class: "question-row", onclick: () => go(first + i) },
          h("span", { class: "what" }, `${study.benchmarks[list.of[k]].name} ${list.index[k]}`), verdict(a, k, "A"), b ? verdict(b, k, "B") : null);
        row.style.top = `${(first + i) * HEIGHT}px`;
        return row;
      }));
      if (!found.length) inner.replaceChildren(h("p", { class: "none" }, "No question meets all filters."));
      if (current >= 0) box.setAttribute("aria-activedescendant", `q${current}`);
      else box.removeAttribute("aria-activedescendant");
    }

    function verdict(columns, k, name) {
      const bits = columns.form[k];
      if (!(bits & api.FORM.answered)) return h("span", { class: "verdict" }, `${name} –`);
      return h("span", { class: `verdict ${kind(columns.correct[k])}` }, `${name} `, sign(columns.correct[k]));
    }

    function scrollTo(place) {
      const top = place * HEIGHT;
      if (top < box.scrollTop || top + HEIGHT > box.scrollTop + box.clientHeight) box.scrollTop = Math.max(0, top - box.clientHeight / 3);
    }

    function go(place) {
      if (place < 0 || place >= found.length) return;
      shown = place;
      current = found[place];
      scrollTo(place);
      draw();
      FRISM.change({ k: api.keyOfQuestion(current, list) }, { quiet: true });
      open(current);
    }

    box.addEventListener("scroll", () => requestAnimationFrame(draw));
    new ResizeObserver(() => { // it gets its height when it enters the document
      if (!found.length) return;
      scrollTo(shown);
      draw();
    }).observe(box);
    box.addEventListener("keydown", (event) => {
      const page = Math.max(1, Math.floor(box.clientHeight / HEIGHT) - 1);
      const place = { ArrowDown: shown + 1, ArrowUp: shown - 1, PageDown: Math.min(found.length - 1, shown + page), PageUp: Math.max(0, shown - page), Home: 0, End: found.length - 1 }[event.key];
      if (place === undefined) return;
      event.preventDefault();
      go(place);
    });

    async function searchRaw() {
      clearTimeout(search.wait);
      filter.q = search.value;
      FRISM.change({ q: filter.q }, { quiet: true });
      const mine = ++ticket;
      raw.disabled = true;
      const without = await api.find({ ...filter, q: "" });
      only = await api.searchAnswers(without.found, filter.a, filter.q, (done, all) => {
        count.textContent = `Searching the raw answers: ${done} of ${all} parts`;
        return mine === ticket;
      });
      raw.disabled = false;
      if (mine === ticket) apply(only);
    }

    // --- one question ---
    const detail = h("div", { class: "question", "aria-live": "off" });
    let opened = 0;
    async function open(k) {
      const mine = ++opened, started = performance.now();
      if (k < 0) {
        detail.replaceChildren(h("p", { class: "none" }, "No question meets all filters."));
        return;
      }
      let content;
      try {
        content = await api.open(k);
      } catch (error) {
        detail.replaceChildren(h("p", { class: "fault", role: "alert" }, error.message));
        return;
      }
      if (mine !== opened) return;
      const bench = study.benchmarks[list.of[k]], key = api.keyOfQuestion(k, list), place = found.indexOf(k);
      const button = (label, target, words) => h("button", { type: "button", disabled: target === null, title: words, onclick: () => target !== null && go(target) }, label);
      const flip = (step) => {
        if (!b) return null;
        for (let at = place + step; at >= 0 && at < found.length; at += step) {
          const q = found[at];
          if (a.form[q] & b.form[q] & api.FORM.answered && a.correct[q] !== b.correct[q]) return at;
        }
        return null;
      };
      const cluster = list.cluster.known[list.cluster.of[k]], category = list.category.known[list.category.of[k]];
      detail.replaceChildren(
        h("div", { class: "question-head" }, h("h2", { id: "question-title", tabindex: -1 }, `${bench.name} ${list.index[k]}`),
          h("div", { class: "moves" }, button("← previous", place > 0 ? place - 1 : null, "Previous question"), button("next →", place < found.length - 1 ? place + 1 : null, "Next question"),
            b ? button("← flip", flip(-1), "Previous question on which A and B differ") : null, b ? button("flip →", flip(1), "Next question on which A and B differ") : null)),
        h("p", { class: "note" }, `${place + 1} of ${found.length}`, bench.title ? ` · ${bench.title}` : "", ` · ${bench.heading}`, category ? ` · category ${category}` : "", cluster ? [" · cluster ", h("a", { href: FRISM.link("questions", { b: bench.key, cluster, a: filter.a, with: filter.with }) }, cluster.split("\0")[1])] : "", " · ", h("a", { href: FRISM.link("questions", { k: key, a: filter.a, with: filter.with }) }, "link to this question"), " · ",
          h("a", { href: FRISM.link("provenance", { variant: filter.a, key: bench.key }) }, "chain")),
        h("div", { class: "asked" }, prompt(content.prompt, bench, list.index[k]), ...Object.entries(content.prompts || {}).map(([owner, parts]) => h("details", {}, h("summary", {}, `As ${owner} was asked`), prompt(parts, bench, list.index[k]))),
          h("p", { class: "gold" }, "Gold answer: ", h("strong", { class: "text" }, content.gold || "(empty)"), content.limit ? ` · at most ${content.limit} tokens` : "")),
        h("div", { class: "two" }, answerBlock("A", filter.a, content, k, key), filter.with ? answerBlock("B", filter.with, content, k, key) : null),
        everyone(content, k, key));
      detail.dataset.opened = String((performance.now() - started) / 1000);
      detail.dataset.key = key;
      FRISM.say(`${bench.name} ${list.index[k]}, ${place + 1} of ${found.length}`);
    }

    function prompt(parts, bench, index) {
      if (!parts.length) return h("p", { class: "note" }, "The prompt could not be made again when this page was written: its data were missing.");
      let turn = 0;
      const pictures = parts.filter((part) => part[0] === "picture").length;
      return h("div", { class: "prompt" }, h("h3", {}, "Prompt as sent"), ...parts.map((part) => {
        if (part[0] !== "picture") return h("div", {}, part[0] === "user" ? null : h("p", { class: "note" }, part[0]), h("pre", { class: "text" }, part[1]));
        turn += 1;
        if (part.length < 4) return h("p", { class: "lacking" }, "(a picture that cannot be decoded)");
        const source = `files/${encodeURIComponent(study.study)}/pictures/${encodeURIComponent(part[1])}`;
        return h("a", { href: source, class: "picture" }, h("img", { src: source, width: part[2], height: part[3], alt: `Picture ${pictures > 1 ? `${turn} of ${pictures} ` : ""}of question ${index} of ${bench.name}, ${part[2]} by ${part[3]} pixels; opens alone` }));
      }));
    }

    function answersOf(owner, content) {
      const place = study.owners.indexOf(owner);
      return content.of[place].map((n, i) => ({ ...api.readAnswer(content.answers[n]), seconds: content.seconds[place][i] }));
    }

    function answerBlock(letter, owner, content, k, key) {
      const answers = answersOf(owner, content);
      if (!answers.length) return h("article", { class: "answer" }, h("h3", {}, `${letter}: ${owner}`), h("p", { class: "none" }, "was not asked this question."));
      return h("article", { class: "answer" }, h("h3", {}, `${letter}: `, pictured.includes(owner) ? h("a", { href: FRISM.link("variant", { variant: owner }) }, owner) : owner),
        ...answers.flatMap((answer, i) => [answers.length > 1 ? h("h4", {}, `Sample ${i + 1}`) : null, facts(answer), rawText(answer), ]), review(owner, answers[0], key));
    }

    function facts(answer) {
      const rows = [
        ["scored", [h("span", { class: `verdict ${kind(answer.correct)}` }, sign(answer.correct))]],
        ["read as", answer.extracted === null ? h("em", {}, "nothing") : h("strong", { class: "text" }, answer.extracted)],
        ["rule", h("a", { href: FRISM.link("questions", { a: filter.a, with: filter.with, rule: answer.rule }) }, answer.rule || "")],
        ["raw text judged", answer.correctRaw === null ? "unknown" : sign(answer.correctRaw)],
        answer.judge === null ? null : ["judge model", sign(answer.judge)],
        ["tokens", answer.tokens === null ? "unknown" : String(answer.tokens)], ["seconds", answer.seconds === null ? "unknown" : String(answer.seconds)],
        answer.truncated || answer.repeated ? ["form", [answer.truncated ? "cut off at the token limit" : "", answer.repeated ? "repeats itself" : ""].filter(Boolean).join(", ")] : null,
      ].filter(Boolean);
      return h("dl", { class: "facts" }, ...rows.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
    }

    function rawText(answer) {
      const { raw: text, span } = answer;
      const pre = h("pre", { class: "text raw", tabindex: 0, role: "region", "aria-label": "Raw answer" });
      if (!text) pre.append(h("em", {}, "(empty)"));
      else if (span) pre.append(text.slice(0, span[0]), h("mark", { title: "the part that was read as the answer" }, text.slice(span[0], span[1])), text.slice(span[1]));
      else pre.append(text);
      return pre;
    }

    function review(owner, answer, key) {
      const cut = key.indexOf("/"), [bench, index] = [key.slice(0, cut), key.slice(cut + 1)];
      const known = FRISM.marks.get(bench, index, owner) || { verdict: "", note: "", reading: "" };
      const note = h("input", { type: "text", value: known.note || "", onchange: keep });
      const reading = h("input", { type: "text", value: known.reading || "", onchange: keep });
      const verdictChoice = FRISM.select(FRISM.marks.VERDICTS, known.verdict, keep);
      const readingField = FRISM.field("What the answer says", reading);
      const said = h("p", { class: "note", role: "status" });
      function keep() {
        readingField.hidden = verdictChoice.value !== "misread";
        const stored = FRISM.marks.put(bench, index, owner, { verdict: verdictChoice.value, note: note.value, reading: reading.value, rule: answer.rule, extracted: answer.extracted });
        said.textContent = stored ? (verdictChoice.value ? "Kept in this browser." : "") : "This browser keeps nothing for this page: export your marks before you leave.";
      }
      readingField.hidden = known.verdict !== "misread";
      return h("details", { class: "review", open: Boolean(known.verdict) }, h("summary", {}, `Review: ${FRISM.marks.VERDICTS.find(([v]) => v === known.verdict)[1]}`),
        h("div", { class: "controls" }, FRISM.field(`Your verdict on ${owner}'s answer`, verdictChoice), readingField, FRISM.field("Note", note)), said);
    }

    function everyone(content, k, key) {
      const rows = study.owners.map((owner) => ({ owner, answers: answersOf(owner, content) })).filter((row) => row.answers.length)
        .flatMap(({ owner, answers }) => answers.map((answer, i) => ({ owner, sample: answers.length > 1 ? i + 1 : null, ...answer })));
      return FRISM.section("Every variant's answer", FRISM.table([
        { key: "owner", label: "variant", value: (r) => r.owner, cell: (r) => [pictured.includes(r.owner) ? h("a", { href: FRISM.link("questions", { k: key, a: r.owner, with: filter.with === r.owner ? filter.a : filter.with }) }, r.owner) : r.owner, r.sample ? ` · sample ${r.sample}` : ""] },
        { key: "correct", label: "scored", value: (r) => String(r.correct), cell: (r) => h("span", { class: `verdict ${kind(r.correct)}` }, sign(r.correct)) },
        { key: "extracted", label: "read as", value: (r) => r.extracted || "", cell: (r) => r.extracted === null ? h("em", {}, "nothing") : h("span", { class: "text clip" }, r.extracted) },
        { key: "rule", label: "rule", value: (r) => r.rule || "" },
        ...(rows.some((r) => r.judge !== null) ? [{ key: "judge", label: "judge model", value: (r) => sign(r.judge) }] : []),
        { key: "tokens", label: "tokens", numeric: true, value: (r) => r.tokens === null ? "" : String(r.tokens) },
        { key: "seconds", label: "seconds", numeric: true, value: (r) => r.seconds === null ? "" : String(r.seconds) },
        { key: "raw", label: "raw answer", value: (r) => r.raw, cell: (r) => {
          const more = h("details", {}, h("summary", { class: "text" }, r.raw.trim() ? clip(r.raw.trim()) : "(empty)"));
          more.addEventListener("toggle", () => { if (more.open && more.children.length === 1) more.append(rawText(r)); });
          return more;
        } },
      ], rows, { caption: `Every answer to ${key}`, quiet: true }));
    }

    function kind(score) {
      return score === 1 ? "right" : score === 0 ? "wrong" : "partly";
    }
    function sign(score) {
      return score === null || Number.isNaN(score) ? "–" : score === 1 ? "✓ right" : score === 0 ? "✗ wrong" : `◐ ${Number(score.toFixed(4))}`;
    }
    function clip(text) {
      const line = text.replace(/\s+/g, " ");
      return line.length > 70 ? `${line.slice(0, 69)}…` : line;
    }

    main.append(h("div", { class: "question-view" }, h("div", { class: "aside" }, filters, count, box), detail));
    await refresh({ keep: false });
    if (filter.q && !found.length) say("Words in raw answers are found by the button below the text.");
    function say(words) {
      count.textContent += `. ${words}`;
    }
  },
});
