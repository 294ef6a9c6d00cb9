// One variant: what it is, what it changed, what it scores, how it answers, what it cost, how it was learned.
"use strict";

FRISM.views.set("variant", {
  title: "Variant",
  async show(main) {
    const { h, state, get } = FRISM, study = state.study;
    const names = study.variants.map((v) => v.name);
    const fallback = study.learned[0] || names.find((n) => n !== study.reference) || names[0];
    const name = names.includes(get("variant")) ? get("variant") : fallback;
    const about = study.variants.find((v) => v.name === name);
    const [content, axes, benchmarks, style, tokens, selection, pareto] = await Promise.all([
      FRISM.part(`variants/${names.indexOf(name)}`), ...["axes", "benchmarks", "style", "tokens", "selection", "pareto"].map((t) => FRISM.readRows(t))]);
    const [costs, text, gates, ranks, energy, ties] = await Promise.all(["costs", "text", "gates_by_layer", "gates_by_rank", "energy_by_layer", "tied"].map((t) => FRISM.readRows(t)));
    const mine = (rows) => rows.filter((row) => row.variant === name);
    document.title = `${name} – ${study.study}`;

    main.append(
      h("div", { class: "controls" }, FRISM.field("Variant", FRISM.select(names, name, (value) => FRISM.change({ variant: value }))),
        h("p", { class: "links" }, name === study.reference ? null : h("a", { href: FRISM.link("compare", { a: name, with: study.reference }) }, `Compare with ${study.reference}`),
          h("a", { href: FRISM.link("questions", { a: name, with: name === study.reference ? "" : study.reference }) }, "Its answers"),
          h("a", { href: FRISM.link("provenance", { variant: name }) }, "Its chain"))),
      FRISM.section(name, recipe()),
      FRISM.section("Scores", FRISM.studyTable("axes", mine(axes), { hide: ["variant"], caption: `${name}: groups`, download: null }),
        FRISM.studyTable("benchmarks", mine(benchmarks), { hide: ["variant"], caption: `${name}: benchmarks`, download: null, filter: false })));
    if (mine(text).length) main.append(FRISM.section("In words alone", FRISM.studyTable("text", mine(text), { hide: ["variant"], caption: `${name}: text tasks`, download: null, filter: false })));
    if (name !== study.reference && mine(pareto).length) main.append(FRISM.section("Trade-off and perception budget", FRISM.studyTable("pareto", mine(pareto), { hide: ["variant"], caption: `${name}: front and budget`, download: null })));
    if (mine(ties).length) main.append(FRISM.section("Told apart from others?", h("p", { class: "note" }, "Variants that share a letter are told apart by no test, all pairs tested, Holm over all of them."), FRISM.studyTable("tied", mine(ties), { hide: ["variant"], caption: `${name}: ties`, download: null, filter: false })));
    main.append(FRISM.section("How it answers", FRISM.studyTable("style", mine(style), { hide: ["variant"], caption: `${name}: form of its answers`, download: null }),
      FRISM.studyTable("tokens", mine(tokens), { hide: ["variant"], caption: `${name}: score and tokens`, download: null })));
    main.append(changed());
    if (content.learning || mine(gates).length) main.append(learned());
    const points = mine(selection);
    main.append(FRISM.section("Chosen on dev", h("p", {}, content.choice ? `${content.choice.rule}${content.choice.budget_missed ? "; no point met the budget" : ""}.` : "No choice to make."),
      FRISM.studyTable("selection", points, { hide: ["variant"], caption: `${name}: points on dev`, download: null, mark: (row) => row.chosen === "yes" })));
    if (mine(costs).length) main.append(FRISM.section("Costs", FRISM.studyTable("costs", mine(costs), { hide: ["variant"], caption: `${name}: seconds and memory`, download: null })));

    function recipe() {
      const r = content.recipe || {};
      const rows = [
        ["role", about.role + (about.reference ? ` of ${about.reference}` : "")], ["method", about.method || "a checkpoint"], ["checkpoint", about.checkpoint],
        ["scope", r.scope], ["seed", r.seed], ["spectrum", r.spectrum ? Object.entries(r.spectrum).map(([k, v]) => `${k} ${v === null ? "whole" : v}`).join(", ") : null],
        ["parameters", Object.entries(r.params || {}).map(([k, v]) => `${k}=${typeof v === "object" ? JSON.stringify(v) : v}`).join(", ")],
        ["coefficients", r.coefficients ? `sha256 ${r.coefficients}` : null],
      ].filter(([, value]) => value !== null && value !== undefined && value !== "");
      return h("dl", { class: "facts" }, ...rows.flatMap(([k, v]) => [h("dt", {}, k), h("dd", {}, String(v))]));
    }

    function changed() {
      const norms = content.norms;
      if (!norms || !norms.layers.length) return FRISM.section("What it changed", h("p", {}, "Its change was not measured layer by layer."));
      const rows = norms.layers.map((layer, k) => ({ layer: String(layer), norm: String(norms.norm[k]), ...Object.fromEntries(Object.entries(norms.modules).map(([m, v]) => [m, String(v[k])])) }));
      const columns = ["layer", "norm", ...Object.keys(norms.modules)].map((key) => ({ key, label: key.replaceAll("_", " "), numeric: true }));
      const parts = [h("p", {}, "Frobenius norm of merged minus unmodified weights, by layer."),
        FRISM.bars(rows.map((r) => ({ name: r.layer, value: Number(r.norm) })), { label: `Norm of ${name}'s change by layer`, xLabel: "layer", yLabel: "norm" }),
        h("details", {}, h("summary", {}, "By layer and module"), FRISM.table(columns, rows, { caption: `${name}: norms of its change` }))];
      if (mine(energy).length) parts.push(h("details", {}, h("summary", {}, "Energy beside that of the task vector"), FRISM.studyTable("energy_by_layer", mine(energy), { hide: ["variant"], download: null })));
      return FRISM.section("What it changed", ...parts);
    }

    function learned() {
      const parts = [];
      if (content.learning) {
        const { step, ...curves } = content.learning;
        const x = step || d3.range(Object.values(curves)[0].length);
        const kinds = d3.groups(Object.entries(curves), ([key]) => key.replace(/_q\d+$/, ""));
        parts.push(h("div", { class: "panels" }, ...kinds.map(([kind, own]) => h("div", {}, h("h3", {}, kind.replaceAll("_", " ")),
          FRISM.curves(x, own.map(([key, values]) => ({ name: key.replace(`${kind}_`, "").replaceAll("_", " "), values })), { label: `${kind} by step, from ${own[0][1][0]} to ${own[0][1].at(-1)}`, xLabel: "step", yLabel: kind.replaceAll("_", " ") })))));
      }
      const layers = mine(gates).filter((row) => row.layer !== "all");
      if (layers.length) {
        const value = new Map(layers.map((row) => [`${row.module}/${row.layer}`, row.mean]));
        parts.push(FRISM.heat([...new Set(layers.map((r) => r.module))], [...new Set(layers.map((r) => r.layer))], (m, l) => value.get(`${m}/${l}`), { caption: `${name}: mean gate by module and layer (0 shut, 1 open)`, corner: "module" }));
      }
      const tenths = mine(ranks).filter((row) => row.module === "all" && row.tenth !== "tail");
      if (tenths.length) parts.push(h("h3", {}, "Gates by rank"), FRISM.curves(tenths.map((r) => Number(r.tenth)), ["q10", "q50", "q90", "mean"].filter((k) => k in tenths[0]).map((k) => ({ name: k, values: tenths.map((r) => FRISM.number(r[k])) })), { label: "Gates by tenth of the spectrum, from the largest singular values", xLabel: "tenth of the spectrum, 1 the largest", yLabel: "gate", points: true }),
        h("p", {}, h("a", { href: FRISM.link("findings", { table: "gates_by_rank" }) }, "The table")));
      return FRISM.section("What was learned", ...parts);
    }
  },
});
