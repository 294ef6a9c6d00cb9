// What the study shows in words, all its tables and figures, and what analyses found inside the models.
"use strict";

FRISM.views.set("findings", {
  title: "Findings",
  async show(main) {
    const { h, state, get } = FRISM, study = state.study;
    const known = study.tables.map((t) => t.name);
    const name = known.includes(get("table")) ? get("table") : "";
    const filled = study.tables.filter((t) => t.rows || t.name === name), empty = study.tables.filter((t) => !filled.includes(t));
    const list = h("details", { class: "contents", open: matchMedia("(min-width: 60rem)").matches }, h("summary", {}, "Tables and figures"), h("nav", { "aria-label": "Tables and figures" }, h("ul", {}, h("li", {}, h("a", { href: FRISM.link("findings"), "aria-current": name ? null : "page" }, "Summary in words")),
      study.figures.length ? h("li", {}, h("a", { href: FRISM.link("findings", { figures: "1" }), "aria-current": get("figures") ? "page" : null }, "All figures")) : null,
      mechanisms().length ? h("li", {}, h("a", { href: FRISM.link("findings", { inside: "1" }), "aria-current": get("inside") ? "page" : null }, "Inside the models")) : null,
      ...filled.map((t) => h("li", {}, h("a", { href: FRISM.link("findings", { table: t.name }), "aria-current": t.name === name ? "page" : null }, t.title), h("span", { class: "note" }, ` ${t.rows}`)))),
      empty.length ? h("p", { class: "note" }, "Nothing to show in this study: ", ...empty.flatMap((t, k) => [k ? ", " : "", h("a", { href: FRISM.link("findings", { table: t.name }) }, t.name)]), ".") : null));
    const body = h("div", { class: "contents-body" });
    main.append(h("div", { class: "with-contents" }, list, body));
    if (name) await showTable();
    else if (get("figures")) body.append(...study.figures.map((figure) => FRISM.figure(figure, figure.replaceAll("_", " "))));
    else if (get("inside")) await showInside();
    else body.append(h("div", { class: "words" }, ...FRISM.tree(await FRISM.part("summary"))));

    async function showTable() {
      const about = FRISM.describeTable(name);
      const part = Math.min(about.parts - 1, Math.max(0, Number(get("part", "0")) || 0));
      const rows = await FRISM.readRows(name, part);
      body.append(h("h2", {}, about.title), h("p", { class: "legend-text" }, ...FRISM.tree(about.legend)));
      if (about.parts > 1) {
        body.append(h("div", { class: "controls" }, FRISM.field("Rows", FRISM.select(d3.range(about.parts).map((k) => [k, `${k * 4000 + 1} to ${Math.min(about.rows, (k + 1) * 4000)} of ${about.rows}`]), part, (v) => FRISM.change({ part: v })))));
      }
      const plot = study.report && forestOf(about, rows);
      if (plot) body.append(plot);
      body.append(FRISM.studyTable(name, rows, { quiet: true, caption: about.title, note: "Every row and digit of the CSV; the Markdown table of the study may show less." }));
    }

    // Of what was made of several studies: every row with an interval, such as the effects by triple and over them.
    function forestOf(about, rows) {
      const [place] = Object.keys(about.intervals);
      if (place === undefined || !rows.length || rows.length > 120) return null;
      const [key, low, high] = [Number(place), ...about.intervals[place]].map((k) => about.columns[k]);
      const names = about.columns.filter((_, k) => k < Number(place) && !about.numeric[k]);
      return FRISM.forest(rows.map((row) => ({
        name: names.map((column) => row[column]).filter(Boolean).join(" · "), value: FRISM.number(row[key]), low: FRISM.number(row[low]), high: FRISM.number(row[high]),
        strong: FRISM.number(row[low]) > 0 || FRISM.number(row[high]) < 0, words: `${row[key]} [${row[low]}, ${row[high]}]`,
      })), { label: `Forest plot of ${about.title}`, xLabel: `${key.replaceAll("_", " ")} (full: the interval excludes 0)` });
    }

    function mechanisms() {
      return ["knock_outs", "attention", "drift", "gates_by_layer"].filter((t) => known.includes(t) && FRISM.describeTable(t).rows);
    }

    async function showInside() {
      for (const kind of mechanisms()) {
        const about = FRISM.describeTable(kind), rows = await FRISM.readRows(kind);
        const SHAPES = {
          knock_outs: { by: ["entry", "variant", "action", "axis"], row: (r) => r.module, column: (r) => r.first === r.last ? r.first : `${r.first}–${r.last}`, value: "difference", signed: true, corner: "module", words: "difference of the score when that block is silenced or put in" },
          attention: { by: ["entry", "variant", "axis"], row: (r) => r.tokens, column: (r) => r.layer, value: "picture", corner: "tokens", words: "share of attention on the picture, by layer" },
          drift: { by: ["entry", "variant", "axis"], row: (r) => r.tokens, column: (r) => r.layer, value: "relative", corner: "tokens", words: "norm of the difference to V's hidden states over theirs, by layer" },
          gates_by_layer: { by: ["variant"], row: (r) => r.module, column: (r) => r.layer, value: "mean", corner: "module", words: "mean gate by layer: 0 shut, 1 open", skip: (r) => r.layer === "all" },
        }[kind];
        const usable = rows.filter((r) => !(SHAPES.skip && SHAPES.skip(r)));
        const kinds = [...d3.group(usable, (r) => SHAPES.by.map((key) => r[key]).join(" · ")).entries()];
        const place = h("div", {});
        const show = (wanted) => {
          const own = kinds.find(([label]) => label === wanted)[1];
          const cells = new Map(own.map((r) => [`${SHAPES.row(r)}/${SHAPES.column(r)}`, r[SHAPES.value]]));
          place.replaceChildren(FRISM.heat([...new Set(own.map(SHAPES.row))], [...new Set(own.map(SHAPES.column))], (r, c) => cells.get(`${r}/${c}`), { caption: `${wanted}: ${SHAPES.words}`, corner: SHAPES.corner, signed: SHAPES.signed }));
        };
        body.append(FRISM.section(about.title, h("p", { class: "legend-text" }, ...FRISM.tree(about.legend)), FRISM.field("Show", FRISM.select(kinds.map(([label]) => label), kinds[0][0], show)), place,
          h("p", {}, h("a", { href: FRISM.link("findings", { table: kind }) }, "The whole table, with n and intervals"))));
        show(kinds[0][0]);
      }
      for (const figure of study.figures.filter((f) => f.startsWith("analysis_"))) body.append(FRISM.figure(figure, figure.replaceAll("_", " ")));
    }
  },
});
