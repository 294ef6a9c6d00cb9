// Any two variants: paired tests, flips both ways by benchmark and cluster, form against content.
"use strict";

FRISM.views.set("compare", {
  title: "Compare two",
  async show(main) {
    const { h, state, get } = FRISM, study = state.study, { FORM } = FRISM.answers;
    const names = study.variants.map((v) => v.name);
    const a = names.includes(get("a")) ? get("a") : study.learned[0] || names.at(-1);
    const b = names.includes(get("with")) && get("with") !== a ? get("with") : a === study.reference ? names.find((n) => n !== a) : study.reference;
    main.append(h("div", { class: "controls" }, FRISM.field("A", FRISM.select(names, a, (value) => FRISM.change({ a: value, with: value === b ? a : b }))),
      h("button", { type: "button", class: "swap", onclick: () => FRISM.change({ a: b, with: a }), "aria-label": `Swap: ${b} as A, ${a} as B` }, "⇄"),
      FRISM.field("B", FRISM.select(names.filter((n) => n !== a), b, (value) => FRISM.change({ a, with: value })))));
    if (!b) {
      main.append(h("p", {}, "This study has one variant alone."));
      return;
    }
    const [pairs, own, other, list, axes, benchmarks, text] = await Promise.all([FRISM.part(`pairs/${names.indexOf(a)}`), FRISM.answers.columns(a), FRISM.answers.columns(b),
      FRISM.answers.questions(), FRISM.readRows("axes"), FRISM.readRows("benchmarks"), FRISM.readRows("text")]);
    document.title = `${a} and ${b} – ${study.study}`;
    const FIELDS = ["difference", "difference_low", "difference_high", "p", "p_holm", "gained", "lost"];
    const alpha = 1 - study.statistics.confidence;
    const rows = Object.entries(pairs[b]).map(([key, values]) => {
      const row = Object.fromEntries(FIELDS.map((field, k) => [field, values[k]]));
      const [low, high] = [FRISM.number(row.difference_low), FRISM.number(row.difference_high)];
      return { key, name: key.replace(/^group:/, ""), group: key.startsWith("group:"), ...row, shown: FRISM.number(row.p_holm) < alpha && (low > 0 || high < 0) };
    });
    const score = (key, variant) => {
      const source = key.startsWith("group:") ? axes.find((r) => r.variant === variant && `group:${r.group}` === key)
        : key.startsWith("text:") ? text.find((r) => r.variant === variant && `text:${r.task}` === key) : benchmarks.find((r) => r.variant === variant && r.benchmark === key);
      return source || {};
    };
    const groups = rows.filter((row) => row.group), singles = rows.filter((row) => !row.group);
    const strong = groups.filter((row) => row.shown);
    main.append(h("p", { class: "lead" }, `${a} minus ${b} on the same questions. `, strong.length
      ? `Shown after Holm's adjustment: ${strong.map((r) => `${r.name} ${sign(r.difference)}`).join(", ")}.` : "No difference of a group is shown after Holm's adjustment."));
    main.append(FRISM.section("Differences", FRISM.forest([...groups, ...singles].map((row) => ({
      name: row.key.startsWith("text:") ? `${row.name.slice(5)} (text)` : row.name, value: FRISM.number(row.difference), low: FRISM.number(row.difference_low), high: FRISM.number(row.difference_high), strong: row.shown,
      words: `${sign(row.difference)} [${row.difference_low}, ${row.difference_high}], p ${row.p}, Holm ${row.p_holm}${row.shown ? ", shown" : ", not shown"}`,
    })), { label: `Differences ${a} minus ${b} with intervals`, xLabel: `${a} minus ${b}` }), h("p", { class: "note" }, "Full squares: shown, that is, the interval excludes 0 and p stays below the level after Holm's adjustment.")));

    const open = (row, rel) => FRISM.link("questions", { b: row.key, a, with: b, rel });
    const columns = [
      { key: "name", label: "over", value: (r) => r.name, cell: (r) => h("a", { href: FRISM.link("questions", { b: r.key, a, with: b }) }, r.group ? `${r.name} (group)` : r.key.startsWith("text:") ? `${r.key.slice(5)} (text)` : r.name) },
      { key: "n", label: "n", numeric: true, value: (r) => score(r.key, a).n || "" },
      { key: "score_a", label: `A: ${a}`, numeric: true, value: (r) => score(r.key, a).score || "", cell: (r) => h("span", { "data-col": "score_a" }, score(r.key, a).score || "") },
      { key: "score_b", label: `B: ${b}`, numeric: true, value: (r) => score(r.key, b).score || "", cell: (r) => h("span", { "data-col": "score_b" }, score(r.key, b).score || "") },
      { key: "difference", label: "difference", numeric: true, value: (r) => r.difference, cell: (r) => h("span", { class: `estimate${r.shown ? " strong" : ""}` }, h("span", { "data-col": "difference" }, r.difference), " ",
        h("span", { class: "ends" }, "[", h("span", { "data-col": "difference_low" }, r.difference_low), ", ", h("span", { "data-col": "difference_high" }, r.difference_high), "]")) },
      { key: "p", label: "p", numeric: true }, { key: "p_holm", label: "p Holm", numeric: true },
      { key: "gained", label: "gained", numeric: true, value: (r) => r.gained, cell: (r) => h("a", { href: open(r, "gained"), "data-col": "gained", "aria-label": `${r.gained} gained in ${r.name}: open them` }, r.gained) },
      { key: "lost", label: "lost", numeric: true, value: (r) => r.lost, cell: (r) => h("a", { href: open(r, "lost"), "data-col": "lost", "aria-label": `${r.lost} lost in ${r.name}: open them` }, r.lost) },
      { key: "shown", label: "shown", value: (r) => r.shown ? "yes" : "no" },
    ];
    main.append(FRISM.section("Paired tests", FRISM.table(columns, rows, { caption: `${a} against ${b}, group by group and benchmark by benchmark`,
      note: "p: exact McNemar test of the flips, for clusters the exact sign-flip test; p Holm: adjusted over all pairs of all groups, or of all benchmarks. A pair that a table of the study compares has that table's numbers, and p Holm over that table's tests." })));
    main.append(formSection(), clusterSection());

    // A flip is one of form where the wrong side could not be read, was cut off, loops, or is right as raw text.
    function formSection() {
      const counts = [];
      for (const bench of study.benchmarks) {
        for (const [rel, wrong] of [["gained", other], ["lost", own]]) {
          const found = { bench, rel, n: 0, unread: 0, truncated: 0, repeated: 0, raw: 0, form: 0, content: 0 };
          for (let k = bench.start; k < bench.start + bench.n; k += 1) {
            if (!(own.form[k] & other.form[k] & FORM.answered)) continue;
            const change = own.correct[k] - other.correct[k];
            if (rel === "gained" ? change <= 0 : change >= 0) continue;
            found.n += 1;
            const bits = wrong.form[k], raw = wrong.raw[k] > wrong.correct[k];
            if (bits & FORM.unread) found.unread += 1;
            if (bits & FORM.truncated) found.truncated += 1;
            if (bits & FORM.repeated) found.repeated += 1;
            if (raw) found.raw += 1;
            if (raw || bits & (FORM.unread | FORM.truncated | FORM.repeated)) found.form += 1;
            else found.content += 1;
          }
          if (found.n) counts.push(found);
        }
      }
      const number = (key, label, form) => ({ key, label, numeric: true, value: (r) => String(r[key]), cell: form ? (r) => r[key] ? h("a", { href: FRISM.link("questions", r.rel === "lost" ? { b: r.bench.key, a, with: b, rel: "lost", form } : { b: r.bench.key, a: b, with: a, rel: "lost", form }) }, String(r[key])) : "0" : null });
      const shownColumns = [
        { key: "bench", label: "benchmark", value: (r) => r.bench.key }, { key: "rel", label: "flip", value: (r) => r.rel === "gained" ? "gained: B wrong" : "lost: A wrong" },
        number("n", "flips"), number("form", "of form"), number("content", "of content"), number("unread", "nothing read", "unread"), number("truncated", "cut off", "truncated"), number("repeated", "loops", "repeated"), number("raw", "raw text right"),
      ].map((column) => (column.cell === null ? { ...column, cell: undefined } : column));
      return FRISM.section("Form against content", h("p", {}, "A flip is one of form where the answer that counts as wrong could not be read, was cut off, repeats itself, or is right when its raw text is judged; else the answer itself changed."),
        sampledNote(), FRISM.table(shownColumns, counts, { caption: `Flips between ${a} and ${b} by form and content` }));
    }

    function clusterSection() {
      const found = new Map();
      for (let k = 0; k < list.total; k += 1) {
        const c = list.cluster.of[k];
        if (!list.cluster.known[c] || !(own.form[k] & other.form[k] & FORM.answered)) continue;
        const one = found.get(c) || { c, n: 0, gained: 0, lost: 0 };
        one.n += 1;
        if (own.correct[k] > other.correct[k]) one.gained += 1;
        if (own.correct[k] < other.correct[k]) one.lost += 1;
        found.set(c, one);
      }
      const clusters = [...found.values()].filter((one) => one.gained + one.lost);
      if (!found.size) return FRISM.section("Clusters", h("p", {}, "Questions of this study stand alone: it has no clusters."));
      const known = (one) => list.cluster.known[one.c].split("\0");
      const go = (one, rel) => FRISM.link("questions", { b: known(one)[0], cluster: list.cluster.known[one.c], a, with: b, rel });
      return FRISM.section("Clusters", h("p", {}, `${clusters.length} of ${found.size} clusters (questions that stand or fall together) have a flip.`), sampledNote(),
        FRISM.table([{ key: "b", label: "benchmark", value: (r) => known(r)[0] }, { key: "c", label: "cluster", value: (r) => known(r)[1] }, { key: "n", label: "questions", numeric: true, value: (r) => String(r.n) },
          { key: "gained", label: "gained", numeric: true, value: (r) => String(r.gained), cell: (r) => h("a", { href: go(r, "gained") }, String(r.gained)) },
          { key: "lost", label: "lost", numeric: true, value: (r) => String(r.lost), cell: (r) => h("a", { href: go(r, "lost") }, String(r.lost)) },
          { key: "net", label: "net", numeric: true, value: (r) => String(r.gained - r.lost) }],
        clusters.sort((x, y) => Math.abs(y.gained - y.lost) - Math.abs(x.gained - x.lost)), { caption: "Flips by cluster", filter: clusters.length > 12 }));
    }

    function sampledNote() {
      return study.sampled ? h("p", { class: "note" }, "Counted on the questions that this page holds; the tests above are over all of them.") : null;
    }
    function sign(text) {
      return FRISM.number(text) > 0 && !text.startsWith("+") ? `+${text}` : text;
    }
  },
});
