// Build elements. Texts are only ever set as text: nothing from models or data sets is parsed as markup.
"use strict";

(() => {
  const ATTRIBUTES = new Set(["id", "class", "href", "src", "alt", "title", "type", "value", "for", "name", "role", "scope",
    "tabindex", "download", "width", "height", "loading", "lang", "min", "max", "step", "placeholder", "rows", "colspan",
    "rel", "open", "hidden", "disabled", "checked", "selected", "accept", "readonly", "autocomplete", "spellcheck"]);

  // Make an element: h("a", {href, onclick, aria-label, data-x}, child, ...). null and false are left out.
  function h(tag, properties = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(properties || {})) {
      if (value === undefined || value === null || value === false) continue;
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else if (name.startsWith("aria-") || name.startsWith("data-") || ATTRIBUTES.has(name)) {
        if (name === "href" && !/^(#|files\/)/.test(value) && !String(value).startsWith("blob:")) {
          throw new Error(`a link may lead within this page alone, not to ${value}`);
        }
        element.setAttribute(name, value === true ? "" : String(value));
      } else throw new Error(`no attribute called ${name}`);
    }
    element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
    return element;
  }

  // Make elements of a tree that benchmarks/page/markdown.py wrote: texts, or [tag, attributes, children...].
  const PLAIN = new Set(["p", "ul", "ol", "li", "table", "thead", "tbody", "tr", "th", "td", "strong", "em", "blockquote", "hr",
    "code", "pre", "span", "h1", "h2", "h3", "h4", "h5", "h6"]);
  function tree(nodes) {
    return nodes.map((node) => {
      if (typeof node === "string") return node;
      const [tag, attributes, ...children] = node;
      if (tag === "figure") return figure(attributes.name, attributes.alt);
      if (tag === "table-link") {
        const known = FRISM.state.study.tables.some((table) => table.name === attributes.name);
        return known ? h("a", { href: FRISM.link("findings", { table: attributes.name }) }, ...tree(children)) : h("span", {}, ...tree(children));
      }
      if (!PLAIN.has(tag)) return h("span", {}, ...tree(children));
      const level = /^h([1-5])$/.exec(tag); // the view has the first heading
      const element = h(level ? `h${Number(level[1]) + 1}` : tag, attributes.align === "right" ? { class: "num" } : {}, ...tree(children));
      if (tag === "table") return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Table of the summary" }, element);
      if (tag === "th") element.scope = "col";
      if (tag === "code") linkVariant(element);
      return element;
    });
  }

  // The name of a variant in a text leads to it.
  function linkVariant(element) {
    const name = element.textContent, study = FRISM.state.study;
    if ((study.variants || []).some((variant) => variant.name === name)) {
      element.replaceChildren(h("a", { href: FRISM.link("variant", { variant: name }) }, name));
    }
  }

  function figure(name, words) {
    const study = FRISM.state.study;
    if (!study.figures.includes(name)) return h("p", {}, words);
    const source = `files/${encodeURIComponent(study.study)}/figures/${encodeURIComponent(name)}.png`;
    return h("figure", {}, h("a", { href: source, title: "Open the figure alone" }, h("img", { src: source, alt: `Figure: ${words}`, loading: "lazy" })),
      h("figcaption", {}, words));
  }

  let turn = 0;
  // A control with its label: field("Variant", select).
  function field(label, control, hint) {
    turn += 1;
    control.id = control.id || `f${turn}`;
    return h("div", { class: "field" }, h("label", { for: control.id }, label), control, hint ? h("p", { class: "hint" }, hint) : null);
  }

  // A choice: options are texts, or [value, label], or {group, options}.
  function select(options, value, onchange, properties = {}) {
    const make = (option) => {
      if (option && option.group !== undefined) {
        const group = document.createElement("optgroup");
        group.label = option.group;
        group.append(...option.options.map(make));
        return group;
      }
      const [key, label] = Array.isArray(option) ? option : [option, option];
      return h("option", { value: key, selected: String(key) === String(value) }, label);
    };
    return h("select", { ...properties, onchange: (event) => onchange(event.target.value) }, ...options.map(make));
  }

  function check(label, checked, onchange) {
    const box = h("input", { type: "checkbox", checked, onchange: (event) => onchange(event.target.checked) });
    return h("label", { class: "check" }, box, " ", label);
  }

  // Say something to screen readers.
  function say(text) {
    document.getElementById("said").textContent = text;
  }

  function copyButton(text, label = "Copy") {
    const button = h("button", { type: "button", class: "small", "aria-label": `${label}: ${text}` }, label);
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(text);
      } catch { // a page from the disk may not write the clipboard in every browser
        const area = h("textarea", { class: "hidden", readonly: true });
        area.value = text;
        document.body.append(area);
        area.select();
        document.execCommand("copy");
        area.remove();
      }
      button.textContent = "Copied";
      say("Copied");
      setTimeout(() => { button.textContent = label; }, 1500);
    });
    return button;
  }

  function command(text) {
    return h("div", { class: "command" }, h("code", {}, text), copyButton(text));
  }

  // Offer a text as a file.
  function save(name, text, kind = "application/json") {
    const url = URL.createObjectURL(new Blob([text], { type: kind }));
    const anchor = h("a", { href: url, download: name });
    document.body.append(anchor);
    anchor.click();
    anchor.remove();
    setTimeout(() => URL.revokeObjectURL(url), 10000);
  }

  function section(title, ...children) {
    turn += 1;
    const id = `s${turn}`;
    return h("section", { "aria-labelledby": id }, h("h2", { id }, title), ...children);
  }

  Object.assign(FRISM, { h, tree, figure, field, select, check, say, copyButton, command, save, section });
})();
