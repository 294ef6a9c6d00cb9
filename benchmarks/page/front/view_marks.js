// A reviewer's marks: kept in this browser, exported as a file that `frism import-marks` counts.
"use strict";

FRISM.views.set("marks", {
  title: "Review",
  async show(main) {
    const { h, state } = FRISM, study = state.study;
    const marks = FRISM.marks.list();
    const words = new Map(FRISM.marks.VERDICTS);
    const said = h("p", { class: "note", role: "status" });
    const choose = h("input", { type: "file", accept: ".json,application/json", onchange: async (event) => {
      const file = event.target.files[0];
      if (!file) return;
      try {
        const count = FRISM.marks.read(await file.text());
        FRISM.say(`${count} marks taken`);
        FRISM.refresh();
      } catch (error) {
        said.textContent = error.message;
      }
    } });
    main.append(h("p", { class: "lead" }, "Mark answers in the view of questions: read correctly, misread, wrong gold answer, ambiguous. Marks stay in this browser until you export them; frism import-marks makes a table of how often each rule misread, with intervals, and cases for tests."),
      h("p", {}, "For an unbiased share, review questions in the order ", h("a", { href: FRISM.link("questions", { order: "drawn", seed: 0 }) }, "drawn at random"), ", and mark those that were read correctly, too."),
      h("div", { class: "controls" }, h("button", { type: "button", class: "primary", disabled: !marks.length, onclick: () => FRISM.save(`marks-${study.study}.json`, FRISM.marks.write()) }, "Export the marks"),
        FRISM.field("Take marks from a file", choose), h("button", { type: "button", disabled: !marks.length, onclick: () => { if (confirm(`Delete ${marks.length} marks from this browser?`)) { FRISM.marks.clear(); FRISM.refresh(); } } }, "Delete all")), said,
      FRISM.command(`frism import-marks marks-${study.study}.json --results results/${study.study}`));
    const rules = d3.rollups(marks, (own) => own, (mark) => mark.rule || "none").map(([rule, own]) => ({ rule, own }));
    const count = (own, verdict) => String(own.filter((mark) => mark.verdict === verdict).length);
    main.append(FRISM.section("By rule", FRISM.table([{ key: "rule", label: "rule", value: (r) => r.rule }, { key: "n", label: "reviewed", numeric: true, value: (r) => String(r.own.length) },
      ...["right", "misread", "gold", "ambiguous"].map((v) => ({ key: v, label: words.get(v), numeric: true, value: (r) => count(r.own, v) }))], rules, { caption: "Your marks by the rule that read the answer" })));
    main.append(FRISM.section("All marks", FRISM.table([
      { key: "question", label: "question", value: (r) => `${r.benchmark} ${r.index}`, cell: (r) => h("a", { href: FRISM.link("questions", { k: `${r.benchmark}/${r.index}`, a: r.variant }) }, `${r.benchmark} ${r.index}`) },
      { key: "variant", label: "variant", value: (r) => r.variant }, { key: "verdict", label: "verdict", value: (r) => words.get(r.verdict) || r.verdict },
      { key: "extracted", label: "read as", value: (r) => r.extracted || "" }, { key: "reading", label: "says", value: (r) => r.reading || "" }, { key: "note", label: "note", value: (r) => r.note || "" },
    ], marks, { caption: "Your marks", filter: marks.length > 12 })));
  },
});
