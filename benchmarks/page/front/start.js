// Begin: find the studies, and show the view that the address names whenever it changes.
"use strict";

(() => {
  const { h, state, memory } = FRISM;
  const main = document.getElementById("main");
  let turn = 0;

  async function show() {
    const mine = ++turn;
    const address = FRISM.readAddress();
    const name = state.studies.includes(address.study) ? address.study : state.studies[0];
    FRISM.hideTip();
    try {
      const study = await FRISM.load(`${name}/study`);
      if (study.format !== FRISM.FORMAT) throw new Error(`the data are of format ${study.format}, and this page reads ${FRISM.FORMAT}: make the page again.`);
      if (mine !== turn) return;
      const changed = state.study !== study || state.view !== address.view;
      const views = study.report ? ["findings"] : [...FRISM.views.keys()];
      state.study = study;
      state.view = views.includes(address.view) ? address.view : views[0];
      state.params = address.params;
      const view = FRISM.views.get(state.view);
      head(views);
      document.title = `${view.title} – ${study.study}`;
      const content = h("div", { class: `view ${state.view}` }, h("h1", {}, view.title));
      main.setAttribute("aria-busy", "true");
      await view.show(content);
      if (mine !== turn) return;
      main.replaceChildren(content);
      main.removeAttribute("aria-busy");
      main.dataset.view = state.view;
      main.dataset.ready = location.hash;
      if (changed && turn > 1) {
        scrollTo(0, 0);
        main.focus({ preventScroll: true });
      }
    } catch (error) {
      if (mine !== turn) return;
      main.removeAttribute("aria-busy");
      main.dataset.ready = "fault";
      main.replaceChildren(h("p", { class: "fault", role: "alert" }, `This view cannot be shown: ${error.message}`));
      throw error;
    }
  }

  function head(views) {
    const study = state.study;
    document.getElementById("views").replaceChildren(h("ul", {}, ...views.map((key) => h("li", {}, h("a", { href: FRISM.address(study.study, key), "aria-current": key === state.view ? "page" : null }, FRISM.views.get(key).title)))));
    document.getElementById("study-choice").replaceChildren(state.studies.length > 1
      ? FRISM.field("Study", FRISM.select(state.studies, study.study, (value) => { location.hash = FRISM.address(value, state.view); }))
      : h("p", { class: "study" }, study.study));
    const choice = memory.read("frism-theme", "auto");
    const theme = FRISM.select([["auto", "as the system"], ["light", "light"], ["dark", "dark"]], choice, (value) => {
      memory.write("frism-theme", value);
      paint(value);
    });
    document.getElementById("tools").replaceChildren(FRISM.field("Colours", theme));
    document.getElementById("foot").replaceChildren(h("p", {}, study.report ? `${study.study}: made of several studies.` : `${study.study} · record sha256 ${study.record.slice(0, 16)} · `,
      study.report ? null : h("a", { href: FRISM.link("provenance") }, "chain of every number"), study.verified ? ` · frism verify: ${study.verified.holds ? "holds" : "broken"}, ${study.verified.time}` : ""));
  }

  function paint(choice) {
    if (choice === "auto") document.documentElement.removeAttribute("data-theme");
    else document.documentElement.dataset.theme = choice;
  }

  FRISM.refresh = show;
  addEventListener("hashchange", (event) => {
    if (location.hash === "#main") { // the link that skips to the content
      history.replaceState(null, "", event.oldURL);
      if (!main.contains(document.activeElement)) main.focus();
      return;
    }
    show();
  });
  paint(memory.read("frism-theme", "auto"));
  const listed = document.createElement("script");
  listed.src = "data/studies.js";
  const first = FRISM.receive;
  FRISM.receive = (name, text) => {
    if (name !== "studies") return first(name, text);
    state.studies = JSON.parse(text);
    return show();
  };
  listed.onerror = () => main.replaceChildren(h("p", { class: "fault", role: "alert" }, "data/studies.js is missing: copy the whole folder of the page, or make it again."));
  document.head.append(listed);
})();
