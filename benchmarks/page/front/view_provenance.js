// The chain behind any number: table, scores, predictions, recipe, weights, code, config and packages, by hash.
"use strict";

FRISM.views.set("provenance", {
  title: "Provenance",
  async show(main) {
    const { h, state, get } = FRISM, study = state.study;
    const chain = await FRISM.part("chain");
    const names = study.variants.map((v) => v.name);
    const name = names.includes(get("variant")) ? get("variant") : study.learned[0] || names[0];
    const key = study.keys.includes(get("key")) ? get("key") : study.keys[0];
    const folder = `files/${encodeURIComponent(study.study)}`, record = `${chain.results}/study.json`;
    const text = key.startsWith("text:") || key === "group:text";
    const about = chain.variants[name];
    const source = text && about.text ? about.text : about;
    const tableName = key.startsWith("group:") ? "axes" : key.startsWith("text:") ? "text" : "benchmarks";
    const rows = await FRISM.readRows(tableName);
    const row = rows.find((r) => r.variant === name && FRISM.keyOf(r, tableName) === key);

    main.append(verdict(), h("div", { class: "controls" }, FRISM.field("Variant", FRISM.select(names, name, (v) => FRISM.change({ variant: v }))),
      FRISM.field("Number", FRISM.select(study.keys.map((k) => [k, k.startsWith("group:") ? `${k.slice(6)} (group)` : k]), key, (v) => FRISM.change({ key: v })))));

    const steps = h("ol", { class: "chain" });
    const step = (title, ...children) => steps.append(h("li", {}, h("h3", {}, title), ...children));
    step("The number", h("p", {}, row ? [h("strong", { class: "big" }, row.score), ` [${row.low}, ${row.high}], n = ${row.n}`] : "This study has no such score.",
      " in ", h("a", { href: FRISM.link("findings", { table: tableName }) }, `tables/${tableName}.csv`)), file(chain.tables[tableName]),
      FRISM.command(`python -m benchmarks.stages.tables --study ${record}`));
    step("Scores, question by question", h("p", {}, h("a", { href: FRISM.link("questions", { b: key, a: name }) }, "Open them")), file(source.scores), facts(source.scored), links(source.links),
      FRISM.command(text ? `python -m benchmarks.stages.text --study ${record} --variant ${name}`
        : `python -m benchmarks.stages.score --study ${record} --variant ${name} --predictions ${chain.results}/predictions/${name}.jsonl --out ${chain.results}/scores/${name}.csv`));
    step("Answers as they were generated", file(source.predictions), facts(source.answered.engine), h("p", { class: "note" }, "Snakemake makes them again from weights, with the config of the study:"),
      FRISM.command(`snakemake --cores all --configfile config/${study.study}.yaml ${chain.results}/predictions/${text ? "text/" : ""}${name}.jsonl`));
    if (!text) step("Questions", file(about.items), facts(questionFacts(), true), FRISM.command(`python -m benchmarks.stages.items --study ${record}`));
    step("Recipe", h("p", {}, h("a", { href: FRISM.link("variant", { variant: name }) }, "Method and parameters")), file(about.recipe), about.coefficients ? file(about.coefficients) : null, facts({ code: about.code }));
    step("Weights", h("dl", { class: "facts" }, ...Object.entries(about.triple).flatMap(([role, digest]) => [h("dt", {}, role), h("dd", {}, `${words(chain.triple.sources[role])} · sha256 `, h("code", { class: "hash" }, digest))])),
      FRISM.command(`frism inspect ${[chain.triple.sources.base, chain.triple.sources.vlm].concat(chain.triple.sources.lrm).join(" ")}`));
    step("Code, packages, machine", facts({ ...(chain.run.code || {}), python: chain.run.python, ...(chain.run.machine || {}) }), file(chain.record),
      h("details", {}, h("summary", {}, `${Object.keys(chain.run.packages || {}).length} packages`), FRISM.table([{ key: "p", label: "package", value: (r) => r[0] }, { key: "v", label: "version", value: (r) => r[1] }], Object.entries(chain.run.packages || {}), { caption: "Packages", filter: true })));
    main.append(FRISM.section(`The chain behind ${name}, ${key.replace(/^group:/, "")}`, steps));
    main.append(FRISM.section("Recompute all of it", h("p", {}, "verify recomputes every link from checkpoints to tables and keeps what it found; page then shows it here."), FRISM.command(`frism verify ${chain.results}`), FRISM.command(`frism page ${chain.results}`)));
    main.append(FRISM.section("Config", h("details", {}, h("summary", {}, "The whole config, every default filled in"), h("pre", { class: "text", tabindex: 0, role: "region", "aria-label": "Config" }, JSON.stringify(chain.config, null, 1))),
      h("button", { type: "button", onclick: () => FRISM.save(`${study.study}.json`, `${JSON.stringify(chain.config, null, 1)}\n`) }, "Download the config")));
    main.append(FRISM.section("Downloads", h("p", {}, study.parquet ? h("a", { href: `${folder}/questions.parquet`, download: "" }, "Every answer of every variant: questions.parquet") : "This page holds a sample of the questions; run the study for all answers."),
      h("ul", { class: "downloads" }, ...study.tables.map((t) => h("li", {}, h("a", { href: `${folder}/tables/${encodeURIComponent(t.name)}.csv`, download: "" }, `${t.name}.csv`), h("span", { class: "note" }, ` ${t.title}, ${t.rows} rows`))))));

    function verdict() {
      const said = chain.verified;
      const broken = Object.values(chain.variants).flatMap((v) => [...v.links, ...((v.text || {}).links || [])]).filter((link) => !link.holds);
      const parts = [broken.length ? h("p", { class: "fault" }, `${broken.length} recorded hashes are not those of the files: ${broken[0].what}.`)
        : h("p", {}, "Every recorded hash of inputs was that of the file when this page was made.")];
      if (!said) parts.push(h("p", {}, "frism verify has not been run on this study."));
      else {
        const same = said.record === (chain.record || {}).sha256 && Object.entries(said.tables || {}).every(([t, sum]) => (chain.tables[t] || {}).sha256 === sum);
        parts.push(h("p", {}, h("strong", {}, said.holds ? "✓ The chain holds" : "✗ The chain is broken"), `, frism verify ${said.quick ? "--quick " : ""}said on ${said.time}`, same ? "." : ", of other files than these."),
          said.broken ? h("p", { class: "fault" }, said.broken) : null,
          h("details", {}, h("summary", {}, `${Object.keys(said.links || {}).length} links`), h("dl", { class: "facts" }, ...Object.entries(said.links || {}).flatMap(([link, found]) => [h("dt", {}, link), h("dd", {}, found)]))));
      }
      return FRISM.section("Does the chain hold?", ...parts);
    }

    function file(found) {
      return found ? h("p", { class: "file" }, h("code", {}, found.file), " sha256 ", h("code", { class: "hash" }, found.sha256)) : h("p", { class: "note" }, "This study has no such file.");
    }
    function links(checked) {
      return h("ul", { class: "links-checked" }, ...(checked || []).map((link) => h("li", {}, h("span", { class: link.holds ? "verdict right" : "verdict wrong" }, link.holds ? "✓ holds" : "✗ differs"), ` ${link.what}`)));
    }
    function facts(object, verbatim = false) {
      const entries = Object.entries(object || {}).filter(([, value]) => value !== null && value !== undefined && value !== "");
      return entries.length ? h("dl", { class: "facts" }, ...entries.flatMap(([k, v]) => [h("dt", {}, verbatim ? k : k.replaceAll("_", " ")), h("dd", {}, words(v))])) : null;
    }
    function words(value) {
      if (value === null || value === "") return "none";
      if (Array.isArray(value)) return value.map(words).join(", ") || "none";
      if (typeof value === "object") return Object.entries(value).map(([k, v]) => `${k.replaceAll("_", " ")}: ${words(v)}`).join("; ") || "none";
      return String(value);
    }
    function questionFacts() {
      const own = Object.entries(chain.items.data).filter(([label]) => key.startsWith("group:") ? /\/test/.test(label) : label.startsWith(`${key}/test`));
      const tsv = chain.items.tables[key];
      return { vlmevalkit: chain.items.vlmevalkit, ...Object.fromEntries(own.map(([label, digest]) => [label, `sha256 ${digest}`])), ...(tsv ? { table: `${tsv.file}, ${tsv.bytes} bytes, sha256 ${tsv.sha256}` } : {}) };
    }
  },
});
