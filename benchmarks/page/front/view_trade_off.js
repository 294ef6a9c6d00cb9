// The trade-off: variants by two scores, with intervals, front, sweeps and budget; any of them opens.
"use strict";

FRISM.views.set("trade-off", {
  title: "Trade-off",
  async show(main) {
    const { h, state, get } = FRISM, study = state.study;
    const [axes, benchmarks, tokens, selection, pareto] = await Promise.all(["axes", "benchmarks", "tokens", "selection", "pareto"].map((name) => FRISM.readRows(name)));
    const groups = [...new Set(axes.map((row) => row.group))];
    const sources = new Map(); // by key: {label, rows by variant, value, low, high, n, fewer}
    for (const group of groups) add(`group:${group}`, `${group} (mean of its benchmarks)`, axes.filter((r) => r.group === group), "score", "low", "high");
    for (const one of [...new Set(benchmarks.map((row) => row.benchmark))]) add(one, one, benchmarks.filter((r) => r.benchmark === one), "score", "low", "high");
    for (const group of [...new Set(tokens.map((row) => row.group))]) add(`tokens:${group}`, `tokens per answer, ${group}`, tokens.filter((r) => r.group === group), "tokens", "tokens_low", "tokens_high", true);
    for (const group of groups) {
      const rows = axes.filter((r) => r.group === group && r.retention !== "");
      if (rows.length) add(`retention:${group}`, `retention of ${group}`, rows, "retention", "retention_low", "retention_high");
    }
    function add(key, label, rows, value, low, high, fewer = false) {
      if (rows.length) sources.set(key, { key, label, rows: new Map(rows.map((row) => [row.variant, row])), value, low, high, fewer });
    }
    const keys = [...sources.keys()];
    const first = (wanted, other) => sources.has(wanted) ? wanted : keys[Math.min(other, keys.length - 1)];
    const choose = (name, fallback) => sources.has(get(name)) ? get(name) : fallback;
    const xKey = choose("x", first("group:perception", 0)), yKey = choose("y", first("group:reasoning", 1));
    const x = sources.get(xKey), y = sources.get(yKey);
    const onDev = xKey === "group:perception" && yKey === "group:reasoning";
    const wanted = (name, fallback) => (get(name, fallback ? "1" : "0") === "1");
    const selected = new Set(get("sel").split(",").filter(Boolean));

    const points = study.variants.filter((v) => x.rows.has(v.name) && y.rows.has(v.name)).map((v) => {
      const a = x.rows.get(v.name), b = y.rows.get(v.name), chosen = selection.find((row) => row.variant === v.name && row.chosen === "yes");
      const words = (row, source) => row[source.low] ? `${row[source.value]} [${row[source.low]}, ${row[source.high]}]` : row[source.value];
      return {
        name: v.name, role: v.role, x: FRISM.number(a[x.value]), xLow: FRISM.number(a[x.low]), xHigh: FRISM.number(a[x.high]),
        y: FRISM.number(b[y.value]), yLow: FRISM.number(b[y.low]), yHigh: FRISM.number(b[y.high]), chosen: selected.has(v.name),
        href: FRISM.link("variant", { variant: v.name }),
        lines: [v.name, parameters(v, chosen), `${x.label}: ${words(a, x)}, n = ${a.n}`, `${y.label}: ${words(b, y)}, n = ${b.n}`].filter(Boolean),
      };
    }).filter((p) => Number.isFinite(p.x) && Number.isFinite(p.y));
    const measured = onDev && new Map(pareto.map((row) => [row.variant, row.front === "yes"]));
    for (const p of points) {
      p.front = measured && measured.has(p.name) ? measured.get(p.name) : !points.some((q) => q !== p && better(q, p));
    }
    function better(q, p) {
      const [dx, dy] = [(q.x - p.x) * (x.fewer ? -1 : 1), (q.y - p.y) * (y.fewer ? -1 : 1)];
      return dx >= 0 && dy >= 0 && (dx > 0 || dy > 0);
    }
    const own = pareto.find((row) => row.variant === study.reference);
    const reference = points.find((p) => p.name === study.reference);
    const showSweeps = onDev && wanted("sweeps", false);
    const sweeps = showSweeps ? sweepLines(selection, study) : [];

    const controls = h("div", { class: "controls" },
      FRISM.field("Across", FRISM.select(options(), xKey, (value) => FRISM.change({ x: value }))),
      FRISM.field("Up", FRISM.select(options(), yKey, (value) => FRISM.change({ y: value }))),
      h("fieldset", { class: "checks" }, h("legend", {}, "Show"),
        toggle("intervals", "intervals", true), toggle("front", "front", true), toggle("names", "names", true),
        onDev ? toggle("budget", "budget", true) : null, onDev ? toggle("sweeps", "sweeps on dev", false) : null));
    function options() {
      const kinds = [["group:", "Groups"], ["", "Benchmarks"], ["tokens:", "Tokens"], ["retention:", "Retention"]];
      return kinds.map(([start, group]) => ({ group, options: keys.filter((key) => start ? key.startsWith(start) : !/^(group|tokens|retention):/.test(key)).map((key) => [key, sources.get(key).label]) })).filter((kind) => kind.options.length);
    }
    function toggle(name, label, fallback) {
      return FRISM.check(label, wanted(name, fallback), (on) => FRISM.change({ [name]: on === fallback ? "" : on ? "1" : "0" }));
    }

    const chart = FRISM.scatter(points, sweeps, {
      label: `${y.label} against ${x.label}, ${points.length} variants; arrow keys go from one to the next, Enter opens it`,
      xLabel: x.label, yLabel: y.label, intervals: wanted("intervals", true), front: wanted("front", true), labels: wanted("names", true),
      fewer: x.fewer, budget: onDev && wanted("budget", true) && reference ? reference.x - study.statistics.budget : NaN,
      budgetLabel: `${study.reference} − ${study.statistics.budget}`,
    });

    const columns = [
      { key: "select", label: "select", fixed: true, cell: (p) => {
        const box = h("input", { type: "checkbox", checked: selected.has(p.name), "aria-label": `Select ${p.name}` });
        box.addEventListener("change", () => {
          if (box.checked) selected.add(p.name);
          else selected.delete(p.name);
          FRISM.change({ sel: [...selected].join(",") }, { quiet: true });
          draw();
        });
        return box;
      } },
      { key: "name", label: "variant", value: (p) => p.name, cell: (p) => [shape(p.role), h("a", { href: p.href }, p.name)] },
      { key: "role", label: "role", value: (p) => p.role },
      ...[[x, "across"], [y, "up"]].flatMap(([source, key]) => [
        {
          key, label: source.label, numeric: true, value: (p) => source.rows.get(p.name)[source.value],
          cell: (p) => estimate(source.rows.get(p.name), source, p.name),
        },
        { key: `n-${key}`, label: "n", numeric: true, value: (p) => source.rows.get(p.name).n },
      ]),
      { key: "front", label: "front", value: (p) => p.front ? "yes" : "" },
    ];
    const list = FRISM.table(columns, points, { caption: "Variants of the chart", heads: false, filter: points.length > 12, quiet: true });
    const beside = h("div", {});

    function estimate(row, source, name) {
      const key = /^(tokens|retention):/.test(source.key) ? source.key.replace(/^\w+:/, "group:") : source.key;
      const value = h("a", { href: FRISM.link("questions", { b: key, a: name }), "data-col": source.value }, row[source.value]);
      return row[source.low] ? h("span", { class: "estimate" }, value, " ", h("span", { class: "ends" }, `[${row[source.low]}, ${row[source.high]}]`)) : value;
    }

    function draw() {
      const names = [...selected].filter((name) => points.some((p) => p.name === name));
      if (!names.length) {
        beside.replaceChildren(h("p", { class: "note" }, "Select variants in the table to compare them side by side."));
        return;
      }
      const rows = [...groups.map((g) => [`group:${g}`, g]), ...[...new Set(benchmarks.map((r) => r.benchmark))].map((b) => [b, b])];
      const side = names.map((name) => ({ key: name, label: name, numeric: true,
        value: ([key]) => (sources.get(key).rows.get(name) || {}).score || "",
        cell: ([key]) => {
          const row = sources.get(key).rows.get(name);
          return row ? estimate(row, sources.get(key), name) : "";
        } }));
      const pair = names.length === 2 ? h("p", {}, h("a", { href: FRISM.link("compare", { a: names[0], with: names[1] }) }, `Compare ${names[0]} with ${names[1]} by paired tests`)) : h("p", { class: "note" }, names.length > 2 ? "Intervals are of single scores: select two to see the paired test of their difference." : "");
      beside.replaceChildren(FRISM.table([{ key: "over", label: "group or benchmark", value: ([, label]) => label }, ...side], rows, { caption: `Selected: ${names.join(", ")}` }), pair);
    }
    draw();

    main.append(
      h("p", { class: "lead" }, own ? `What each variant gains in reasoning, and what it costs in perception. ` : "", `${study.variants.length} variants answered the same ${d3.sum(study.benchmarks.filter((b) => b.axis !== "text"), (b) => b.of)} questions with pictures. Bars are ${Math.round(study.statistics.confidence * 100)}% intervals; two variants are told apart by paired tests, not by whether their bars overlap.`),
      controls, chart, legend(), FRISM.section("Variants", list), FRISM.section("Selected variants side by side", beside));

    function legend() {
      const roles = { reference: "unmodified model", learned: "learned, with controls", control: "control", baseline: "other methods" };
      return h("ul", { class: "legend" }, ...Object.entries(roles).filter(([role]) => points.some((p) => p.role === role)).map(([role, words]) => h("li", {}, shape(role), words)),
        wanted("front", true) ? h("li", {}, h("span", { class: "line-sample" }), "front: no other is as good on both") : null);
    }
    function shape(role) {
      const svg = d3.create("svg").attr("viewBox", "-8 -8 16 16").attr("class", `shape ${role}`).attr("aria-hidden", "true");
      const kinds = { reference: d3.symbolStar, learned: d3.symbolDiamond2, control: d3.symbolTriangle, baseline: d3.symbolCircle };
      svg.append("path").attr("d", d3.symbol(kinds[role], 80)());
      return svg.node();
    }

    // What the config fixes, and the chosen values of what was swept.
    function parameters(v, chosen) {
      const points = selection.filter((row) => row.variant === v.name).map((row) => JSON.parse(row.params));
      const varied = Object.keys(points[0] || {}).filter((key) => new Set(points.map((p) => JSON.stringify(p[key]))).size > 1);
      const taken = chosen ? varied.map((key) => `${key}=${JSON.parse(chosen.params)[key]}`) : [];
      const words = [v.params, ...taken].filter(Boolean).join(", ");
      return words ? `${v.method || v.checkpoint}: ${words}` : v.method || v.checkpoint;
    }
    function sweepLines(rows, { variants }) {
      const lines = [];
      for (const v of variants) {
        const all = rows.filter((row) => row.variant === v.name);
        if (all.length < 2) continue;
        const params = all.map((row) => JSON.parse(row.params));
        const varied = Object.keys(params[0]).filter((key) => new Set(params.map((p) => JSON.stringify(p[key]))).size > 1);
        const along = d3.greatest(varied, (key) => new Set(params.map((p) => JSON.stringify(p[key]))).size);
        const others = varied.filter((key) => key !== along);
        const parts = d3.group(d3.range(all.length), (k) => JSON.stringify(others.map((key) => params[k][key])));
        for (const part of parts.values()) {
          lines.push({ name: v.name, role: v.role, points: part.map((k) => ({
            x: FRISM.number(all[k].perception), y: FRISM.number(all[k].reasoning), chosen: all[k].chosen === "yes",
            text: `${varied.map((key) => `${key}=${params[k][key]}`).join(", ")}: perception ${all[k].perception}, reasoning ${all[k].reasoning} (n = ${all[k].perception_n} and ${all[k].reasoning_n})`,
          })) });
        }
      }
      return lines;
    }
  },
});
