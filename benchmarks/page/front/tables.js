// Show tables: native elements, so that screen readers, keyboards and printers know them. Long ones keep only
// the rows in sight in the document.
"use strict";

(() => {
  const { h } = FRISM;
  const WHOLE = 200; // rows that are all put into the document
  const AROUND = 25; // rows above and below those in sight
  let turn = 0;

  // Show rows.
  //   columns: [{key, label, numeric, value(row), cell(row), title}]; `value` sorts and is searched,
  //            `cell` gives what is shown (default: the value as text).
  //   options: caption, rows, note, filter (a box that filters rows), sort: [key, descending], tall
  function table(columns, rows, options = {}) {
    let shown = rows, order = options.sort || null, words = "";
    turn += 1;
    const head = h("tr"), body = h("tbody"), count = h("span", { class: "count" });
    const element = h("table", { class: "data" }, h("caption", { class: options.quiet ? "hidden" : null }, options.caption), h("thead", {}, head), body);
    const box = h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": options.caption }, element);

    columns.forEach((column) => {
      const button = h("button", { type: "button", class: "sort", title: column.title, onclick: () => sortBy(column) }, column.label, h("span", { class: "arrow", "aria-hidden": "true" }));
      const cell = h("th", { scope: "col", class: column.numeric ? "num" : null }, column.fixed ? column.label : button);
      column.head = cell;
      head.append(cell);
    });

    function sortBy(column) {
      order = order && order[0] === column.key ? [column.key, !order[1]] : [column.key, Boolean(column.numeric)];
      update();
      FRISM.say(`Sorted by ${column.label}, ${order[1] ? "largest" : "smallest"} first`);
    }

    function text(column, row) {
      const value = column.value ? column.value(row) : row[column.key];
      return value === null || value === undefined ? "" : String(value);
    }

    function update() {
      const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
      shown = wanted.length ? rows.filter((row) => {
        const line = columns.map((column) => text(column, row)).join(" ").toLowerCase();
        return wanted.every((word) => line.includes(word));
      }) : rows.slice();
      if (order) {
        const column = columns.find((one) => one.key === order[0]);
        const sign = order[1] ? -1 : 1;
        const keyed = shown.map((row) => [column.numeric ? number(text(column, row)) : text(column, row), row]);
        keyed.sort((a, b) => column.numeric ? (Number.isNaN(a[0]) - Number.isNaN(b[0])) || sign * (a[0] - b[0]) : sign * a[0].localeCompare(b[0]));
        shown = keyed.map((pair) => pair[1]);
      }
      for (const column of columns) {
        if (order && order[0] === column.key) column.head.setAttribute("aria-sort", order[1] ? "descending" : "ascending");
        else column.head.removeAttribute("aria-sort");
      }
      count.textContent = shown.length === rows.length ? `${rows.length} rows` : `${shown.length} of ${rows.length} rows`;
      box.scrollTop = 0;
      draw();
    }

    function makeRow(row, place) {
      const cells = columns.map((column, k) => {
        const content = column.cell ? column.cell(row) : text(column, row);
        const cell = h(k === 0 && options.heads !== false ? "th" : "td", { class: column.numeric ? "num" : null, scope: k === 0 && options.heads !== false ? "row" : null }, content);
        if (!column.cell) cell.dataset.col = column.key;
        return cell;
      });
      return h("tr", { "aria-rowindex": place + 2, class: options.mark && options.mark(row) ? "marked" : null }, ...cells);
    }

    let height = 0;
    function draw() {
      element.setAttribute("aria-rowcount", shown.length + 1);
      if (shown.length <= WHOLE) {
        body.replaceChildren(...shown.map(makeRow));
        box.classList.remove("tall");
        if (!shown.length) body.replaceChildren(h("tr", {}, h("td", { colspan: columns.length, class: "none" }, "No rows.")));
        return;
      }
      box.classList.add("tall");
      if (!height) {
        body.replaceChildren(...shown.slice(0, 20).map(makeRow));
        height = box.isConnected ? body.getBoundingClientRect().height / 20 : 0;
        if (!height) { // not in the document yet
          requestAnimationFrame(draw);
          return;
        }
      }
      const first = Math.max(0, Math.floor(box.scrollTop / height) - AROUND);
      const last = Math.min(shown.length, Math.ceil((box.scrollTop + box.clientHeight) / height) + AROUND);
      body.replaceChildren(spacer(first * height), ...shown.slice(first, last).map((row, k) => makeRow(row, first + k)), spacer((shown.length - last) * height));
    }

    function spacer(size) {
      const cell = h("td", { colspan: columns.length });
      cell.style.height = `${size}px`;
      cell.style.padding = "0";
      return h("tr", { class: "spacer", "aria-hidden": "true" }, cell);
    }

    let asked = 0;
    box.addEventListener("scroll", () => {
      if (shown.length <= WHOLE) return;
      cancelAnimationFrame(asked);
      asked = requestAnimationFrame(draw);
    });

    const tools = h("div", { class: "table-tools" }, count);
    if (options.filter) {
      const input = h("input", { type: "search", id: `t${turn}`, placeholder: "words", oninput: (event) => { words = event.target.value; update(); } });
      tools.prepend(h("label", { for: `t${turn}` }, "Filter rows "), input);
    }
    if (options.download) tools.append(h("a", { href: options.download, download: "" }, "Download CSV"));
    update();
    const whole = h("div", { class: "table" }, options.filter || options.download ? tools : null, box, options.note ? h("p", { class: "note" }, options.note) : null);
    whole.redraw = (next) => { rows = next; update(); };
    return whole;
  }

  function number(text) {
    return text === "" ? NaN : parseFloat(text);
  }

  // --- a study's own tables: every cell shows the text of the CSV, and leads to what is behind it ---

  function describe(name) {
    return FRISM.state.study.tables.find((one) => one.name === name);
  }

  // The rows of a table as objects of texts by column; `part` of one that is too long.
  async function readRows(name, part = 0) {
    const about = describe(name);
    if (!about) return [];
    const cells = about.cells || await FRISM.part(`tables/${name}.${part}`);
    return cells.map((row) => Object.fromEntries(about.columns.map((column, k) => [column, row[k]])));
  }

  // Show rows of a study's table; `hide`: columns to leave out.
  function studyTable(name, rows, options = {}) {
    const about = describe(name);
    const ends = new Set(Object.values(about.intervals).flat());
    const columns = [];
    about.columns.forEach((key, k) => {
      if (ends.has(k) || (options.hide || []).includes(key)) return;
      const interval = about.intervals[k];
      columns.push({
        key, numeric: about.numeric[k], label: key.replaceAll("_", " "), value: (row) => row[key],
        cell: (row) => cellOf(name, row, key, interval && interval.map((place) => about.columns[place])),
      });
    });
    if (["axes", "benchmarks", "text"].includes(name)) {
      columns.push({ key: "chain", label: "chain", fixed: true, value: () => "", cell: (row) => h("a", {
        href: FRISM.link("provenance", { variant: row.variant, key: keyOf(row, name) }), "aria-label": `Chain behind ${row.variant}, ${row.benchmark || row.task || row.group}`,
      }, "chain") });
    }
    return table(columns, rows, {
      caption: about.title, filter: rows.length > 12, download: `files/${encodeURIComponent(FRISM.state.study.study)}/tables/${name}.csv`, ...options,
    });
  }

  function cellOf(name, row, key, interval) {
    const value = h("span", { "data-col": key }, row[key]);
    const target = opens(name, row, key);
    const inner = target ? h("a", { href: target, "aria-label": `${row[key]}: open the questions behind it` }, value) : value;
    if (!interval || row[interval[0]] === "" || row[key] === "") {
      const rest = interval ? interval.map((end) => h("span", { "data-col": end, hidden: row[end] === "" }, row[end])) : [];
      return h("span", {}, inner, ...rest);
    }
    const [low, high] = interval;
    return h("span", { class: "estimate" }, inner, " ", h("span", { class: "ends" }, "[", h("span", { "data-col": low }, row[low]), ", ", h("span", { "data-col": high }, row[high]), "]"));
  }

  // The key of the benchmark, text task or group that a row is about.
  function keyOf(row, name) {
    if (name === "text" && row.task) return `text:${row.task}`;
    if (row.benchmark) return row.benchmark;
    if (row.over) return row.over === "group" ? `group:${row.name}` : row.name;
    return row.group ? `group:${row.group}` : "";
  }

  // What a cell leads to, if to anything.
  function opens(name, row, key) {
    const study = FRISM.state.study;
    const known = (variant) => (study.owners || []).includes(variant);
    if ((key === "variant" || key === "against") && (study.variants || []).some((v) => v.name === row[key])) {
      return FRISM.link("variant", { variant: row[key] });
    }
    if (!known(row.variant)) return null;
    if (name === "pareto") {
      return ["perception", "reasoning"].includes(key) ? FRISM.link("questions", { b: `group:${key}`, a: row.variant }) : null;
    }
    if (name === "flips" && key === "index") {
      return FRISM.link("questions", { b: row.benchmark, a: row.variant, with: study.reference, rel: row.flip, k: `${row.benchmark}/${row.index}` });
    }
    const b = keyOf(row, name);
    if (!b || !(study.keys || []).includes(b)) return null;
    const against = row.against || study.reference;
    if ((key === "gained" || key === "lost") && row[key] !== "") {
      return FRISM.link("questions", { b, a: row.variant, with: against, rel: key });
    }
    if (key === "difference" && row[key] !== "") return FRISM.link("compare", { a: row.variant, with: against });
    if (key === "score" || key === "n") return FRISM.link("questions", { b, a: row.variant });
    const forms = { not_extracted: "unread", truncated: "truncated", repeated: "repeated" };
    if (forms[key]) return FRISM.link("questions", { b, a: row.variant, form: forms[key] });
    return null;
  }

  Object.assign(FRISM, { table, studyTable, readRows, describeTable: describe, number, keyOf });
})();
