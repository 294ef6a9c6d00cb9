// Draw charts as SVG with d3: marks are elements with names, so that keyboards and screen readers reach them.
"use strict";

(() => {
  const { h } = FRISM;
  const NS = "http://www.w3.org/2000/svg";
  // Shapes tell roles apart where colours do not.
  const SHAPES = { reference: "symbolStar", learned: "symbolDiamond2", control: "symbolTriangle", baseline: "symbolCircle" };
  const DASHES = ["", "6 3", "2 2", "8 3 2 3", "4 2", "1 3"];

  function showTip(lines, x, y) {
    const tip = document.getElementById("tip");
    tip.replaceChildren(...lines.map((line, k) => h(k ? "p" : "strong", {}, line)));
    tip.hidden = false;
    const width = tip.offsetWidth, height = tip.offsetHeight;
    tip.style.left = `${Math.max(4, Math.min(x + 14, innerWidth - width - 8)) + scrollX}px`;
    tip.style.top = `${(y + 14 + height > innerHeight ? Math.max(4, y - height - 10) : y + 14) + scrollY}px`;
  }

  function hideTip() {
    document.getElementById("tip").hidden = true;
  }

  function withTip(element, lines) {
    element.addEventListener("pointermove", (event) => showTip(lines, event.clientX, event.clientY));
    element.addEventListener("pointerleave", hideTip);
    if (element.tagName !== "a") return element; // browsers would make a stop of every mark that listens
    element.addEventListener("focus", () => {
      const place = element.getBoundingClientRect();
      showTip(lines, place.right, place.bottom);
    });
    element.addEventListener("blur", hideTip);
    return element;
  }

  function frame(width, height, label) {
    const svg = d3.create("svg").attr("viewBox", `0 0 ${width} ${height}`).attr("role", "group").attr("aria-label", label).attr("class", "chart");
    svg.node().style.maxWidth = `${width}px`;
    return svg;
  }

  // Redraw a chart when its place changes its width.
  function sized(draw, { least = 280, most = 1100 } = {}) {
    const box = h("div", { class: "chart-box" });
    let width = 0;
    const paint = () => {
      const next = Math.max(least, Math.min(most, Math.floor(box.clientWidth)));
      if (!box.isConnected || next === width) return;
      width = next;
      box.replaceChildren(draw(width));
    };
    new ResizeObserver(paint).observe(box);
    box.redraw = () => { width = 0; paint(); };
    return box;
  }

  function axes(svg, x, y, { width, height, margin, xLabel, yLabel, xTicks, yTicks }) {
    svg.append("g").attr("class", "axis").attr("aria-hidden", "true").attr("transform", `translate(0,${height - margin.bottom})`)
      .call(d3.axisBottom(x).ticks(xTicks || Math.max(3, width / 90)).tickSizeOuter(0));
    svg.append("g").attr("class", "axis").attr("aria-hidden", "true").attr("transform", `translate(${margin.left},0)`)
      .call(d3.axisLeft(y).ticks(yTicks || Math.max(3, height / 60)).tickSizeOuter(0));
    svg.append("text").attr("class", "axis-name").attr("x", (margin.left + width - margin.right) / 2).attr("y", height - 6).attr("text-anchor", "middle").text(xLabel);
    svg.append("text").attr("class", "axis-name").attr("transform", `translate(13,${(margin.top + height - margin.bottom) / 2}) rotate(-90)`).attr("text-anchor", "middle").text(yLabel);
  }

  // The scatter of variants.
  //   points: [{name, role, x, y, xLow, xHigh, yLow, yHigh, front, lines: [text], href, chosen}]
  //   sweeps: [{name, role, points: [{x, y, text, chosen}]}]; options: xLabel, yLabel, budget, intervals, front, labels
  function scatter(points, sweeps, options) {
    return sized((width) => {
      const height = Math.round(Math.min(560, Math.max(340, width * 0.62)));
      const margin = { top: 14, right: 18, bottom: 44, left: 56 };
      const svg = frame(width, height, options.label);
      const xs = [...points.flatMap((p) => options.intervals ? [p.x, p.xLow, p.xHigh] : [p.x]), ...sweeps.flatMap((s) => s.points.map((p) => p.x)), options.budget];
      const ys = [...points.flatMap((p) => options.intervals ? [p.y, p.yLow, p.yHigh] : [p.y]), ...sweeps.flatMap((s) => s.points.map((p) => p.y))];
      const x = d3.scaleLinear(pad(d3.extent(xs.filter(Number.isFinite))), [margin.left, width - margin.right]);
      const y = d3.scaleLinear(pad(d3.extent(ys.filter(Number.isFinite))), [height - margin.bottom, margin.top]);
      svg.append("g").attr("class", "grid").attr("aria-hidden", "true").selectAll("line").data([...x.ticks(6).map((v) => [v, 0]), ...y.ticks(6).map((v) => [v, 1])]).join("line")
        .attr("x1", (d) => d[1] ? margin.left : x(d[0])).attr("x2", (d) => d[1] ? width - margin.right : x(d[0]))
        .attr("y1", (d) => d[1] ? y(d[0]) : margin.top).attr("y2", (d) => d[1] ? y(d[0]) : height - margin.bottom);
      axes(svg, x, y, { width, height, margin, xLabel: options.xLabel, yLabel: options.yLabel });
      if (Number.isFinite(options.budget)) {
        const line = svg.append("g").attr("class", "budget");
        line.append("line").attr("x1", x(options.budget)).attr("x2", x(options.budget)).attr("y1", margin.top).attr("y2", height - margin.bottom);
        line.append("text").attr("x", x(options.budget) - 5).attr("y", margin.top + 10).attr("text-anchor", "end").text(options.budgetLabel);
      }
      if (options.front) {
        const stairs = points.filter((p) => p.front).sort((a, b) => d3.ascending(a.x, b.x) || d3.descending(a.y, b.y));
        svg.append("path").attr("class", "front").attr("aria-hidden", "true").attr("d", d3.line((p) => x(p.x), (p) => y(p.y)).curve(options.fewer ? d3.curveStepAfter : d3.curveStepBefore)(stairs));
      }
      sweeps.forEach((sweep, k) => {
        const group = svg.append("g").attr("class", `sweep ${sweep.role}`);
        group.append("path").attr("d", d3.line((p) => x(p.x), (p) => y(p.y))(sweep.points)).attr("stroke-dasharray", DASHES[k % DASHES.length]);
        group.selectAll("circle").data(sweep.points).join("circle").attr("cx", (p) => x(p.x)).attr("cy", (p) => y(p.y)).attr("r", (p) => p.chosen ? 4 : 2.4)
          .attr("class", (p) => p.chosen ? "chosen" : null).each(function (p) { withTip(this, [sweep.name, p.text, p.chosen ? "chosen on dev" : "a point of its sweep on dev"]); });
      });
      if (options.intervals) {
        const bars = svg.append("g").attr("class", "bars").attr("aria-hidden", "true");
        for (const p of points) {
          if (Number.isFinite(p.xLow)) bars.append("line").attr("class", p.role).attr("x1", x(p.xLow)).attr("x2", x(p.xHigh)).attr("y1", y(p.y)).attr("y2", y(p.y));
          if (Number.isFinite(p.yLow)) bars.append("line").attr("class", p.role).attr("x1", x(p.x)).attr("x2", x(p.x)).attr("y1", y(p.yLow)).attr("y2", y(p.yHigh));
        }
      }
      const marks = svg.append("g");
      const placed = points.map((p) => ({ ...p, px: x(p.x), py: y(p.y) }));
      const byPlace = placed.slice().sort((a, b) => a.px - b.px || a.py - b.py);
      byPlace.forEach((p, k) => {
        const anchor = document.createElementNS(NS, "a");
        anchor.setAttribute("href", p.href);
        anchor.setAttribute("class", `point ${p.role}${p.chosen ? " selected" : ""}`);
        anchor.setAttribute("aria-label", p.lines.join(", "));
        anchor.setAttribute("tabindex", k ? -1 : 0);
        d3.select(anchor).append("circle").attr("class", "target").attr("cx", p.px).attr("cy", p.py).attr("r", 12);
        d3.select(anchor).append("path").attr("transform", `translate(${p.px},${p.py})`).attr("d", d3.symbol(d3[SHAPES[p.role]], p.role === "reference" ? 130 : 74)());
        withTip(anchor, p.lines);
        anchor.addEventListener("keydown", (event) => {
          const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
          if (!step) return;
          event.preventDefault();
          const all = [...marks.node().children];
          const next = all[(all.indexOf(anchor) + step + all.length) % all.length];
          anchor.setAttribute("tabindex", -1);
          next.setAttribute("tabindex", 0);
          next.focus();
        });
        marks.node().append(anchor);
      });
      if (options.labels) label(svg, placed, { width, height, margin });
      return svg.node();
    });
  }

  // Write names beside points where there is room; the others have theirs in the tip and the table.
  function label(svg, points, { width, height, margin }) {
    const taken = points.map((p) => [p.px - 6, p.py - 6, p.px + 6, p.py + 6]);
    const rank = (p) => ({ reference: 0, learned: 1, control: 2, baseline: 3 })[p.role] - (p.front ? 1.5 : 0) - (p.chosen ? 4 : 0);
    const group = svg.append("g").attr("class", "labels").attr("aria-hidden", "true");
    for (const p of points.slice().sort((a, b) => rank(a) - rank(b))) {
      const long = p.name.length * 6.3 + 4;
      // Off the bars of the intervals first.
      const places = [[7, -6, "start"], [7, 15, "start"], [-7, -6, "end"], [-7, 15, "end"], [9, 4, "start"], [-9, 4, "end"], [0, -10, "middle"], [0, 18, "middle"]];
      for (const [dx, dy, anchor] of places) {
        const left = p.px + dx - (anchor === "end" ? long : anchor === "middle" ? long / 2 : 0), base = p.py + dy;
        const area = [left, base - 10, left + long, base + 3];
        if (area[0] < margin.left || area[2] > width - 2 || area[1] < 0 || area[3] > height - margin.bottom) continue;
        if (taken.some((t) => t[0] < area[2] && t[2] > area[0] && t[1] < area[3] && t[3] > area[1])) continue;
        taken.push(area);
        group.append("text").attr("x", p.px + dx).attr("y", base).attr("text-anchor", anchor).attr("class", p.role).text(p.name);
        break;
      }
    }
  }

  function pad([low, high]) {
    if (low === undefined) return [0, 1];
    const room = (high - low || Math.abs(high) || 1) * 0.07;
    return [low - room, high + room];
  }

  // Differences with intervals, one row each. rows: [{name, value, low, high, strong, href}]
  function forest(rows, options) {
    return sized((width) => {
      const line = 22, margin = { top: 8, right: 16, bottom: 36, left: Math.min(230, width * 0.38) };
      const height = margin.top + margin.bottom + rows.length * line;
      const svg = frame(width, height, options.label);
      const ends = d3.extent([0, ...rows.flatMap((r) => [r.low, r.high, r.value])].filter(Number.isFinite));
      const x = d3.scaleLinear(pad(ends), [margin.left, width - margin.right]);
      const y = (k) => margin.top + (k + 0.5) * line;
      svg.append("line").attr("class", "zero").attr("x1", x(0)).attr("x2", x(0)).attr("y1", margin.top).attr("y2", height - margin.bottom);
      svg.append("g").attr("class", "axis").attr("aria-hidden", "true").attr("transform", `translate(0,${height - margin.bottom})`).call(d3.axisBottom(x).ticks(Math.max(3, width / 110)).tickSizeOuter(0));
      svg.append("text").attr("class", "axis-name").attr("x", (margin.left + width) / 2).attr("y", height - 4).attr("text-anchor", "middle").text(options.xLabel);
      rows.forEach((row, k) => {
        const group = svg.append("g").attr("class", row.strong ? "shown" : "open").attr("role", "img").attr("aria-label", row.words);
        group.append("text").attr("x", margin.left - 8).attr("y", y(k) + 4).attr("text-anchor", "end").text(clip(row.name, margin.left / 6.4));
        if (Number.isFinite(row.low)) group.append("line").attr("x1", x(row.low)).attr("x2", x(row.high)).attr("y1", y(k)).attr("y2", y(k));
        if (Number.isFinite(row.value)) group.append("rect").attr("x", x(row.value) - 4).attr("y", y(k) - 4).attr("width", 8).attr("height", 8);
        withTip(group.node(), [row.name, row.words]);
      });
      return svg.node();
    });
  }

  function clip(text, length) {
    return text.length > length ? `${text.slice(0, Math.max(3, length - 1))}…` : text;
  }

  // Curves over one axis. series: [{name, values}], x: numbers
  function curves(x, series, options) {
    return sized((width) => {
      const height = options.height || 220, margin = { top: 10, right: 104, bottom: 38, left: 52 };
      const svg = frame(width, height, options.label);
      const sx = d3.scaleLinear(d3.extent(x), [margin.left, width - margin.right]);
      const sy = d3.scaleLinear(pad(d3.extent(series.flatMap((s) => s.values.filter((v) => v !== null)))), [height - margin.bottom, margin.top]);
      axes(svg, sx, sy, { width, height, margin, xLabel: options.xLabel, yLabel: options.yLabel });
      let last = [];
      series.forEach((one, k) => {
        svg.append("path").attr("class", `curve c${k % 6}`).attr("stroke-dasharray", DASHES[k % DASHES.length])
          .attr("d", d3.line((v, i) => sx(x[i]), (v) => sy(v)).defined((v) => v !== null)(one.values));
        const end = one.values.filter((v) => v !== null).at(-1);
        if (end === undefined) return;
        let place = sy(end) + 4;
        while (last.some((other) => Math.abs(other - place) < 12)) place += 6;
        last.push(place);
        svg.append("text").attr("class", `curve-name c${k % 6}`).attr("x", width - margin.right + 6).attr("y", place).text(clip(one.name, 15));
      });
      if (options.points) {
        series.forEach((one, k) => one.values.forEach((v, i) => {
          if (v === null) return;
          const dot = svg.append("circle").attr("class", `dot c${k % 6}`).attr("cx", sx(x[i])).attr("cy", sy(v)).attr("r", 3);
          withTip(dot.node(), [one.name, `${options.xLabel} ${x[i]}: ${v}`]);
        }));
      }
      return svg.node();
    }, { most: 760 });
  }

  // Bars. rows: [{name, value}]
  function bars(rows, options) {
    return sized((width) => {
      const height = 230, margin = { top: 12, right: 10, bottom: 40, left: 52 };
      const svg = frame(width, height, options.label);
      const x = d3.scaleBand(rows.map((r) => r.name), [margin.left, width - margin.right]).padding(0.2);
      const y = d3.scaleLinear([0, d3.max(rows, (r) => r.value) || 1], [height - margin.bottom, margin.top]).nice();
      const each = Math.ceil(rows.length / Math.max(1, (width - 60) / 30));
      svg.append("g").attr("class", "axis").attr("aria-hidden", "true").attr("transform", `translate(0,${height - margin.bottom})`).call(d3.axisBottom(x).tickValues(rows.filter((_, k) => k % each === 0).map((r) => r.name)).tickSizeOuter(0));
      svg.append("g").attr("class", "axis").attr("aria-hidden", "true").attr("transform", `translate(${margin.left},0)`).call(d3.axisLeft(y).ticks(5));
      svg.append("text").attr("class", "axis-name").attr("x", (margin.left + width) / 2).attr("y", height - 4).attr("text-anchor", "middle").text(options.xLabel);
      svg.append("text").attr("class", "axis-name").attr("transform", `translate(13,${height / 2}) rotate(-90)`).attr("text-anchor", "middle").text(options.yLabel);
      rows.forEach((row) => {
        const bar = svg.append("rect").attr("class", "bar-mark").attr("x", x(row.name)).attr("width", x.bandwidth()).attr("y", y(row.value)).attr("height", y(0) - y(row.value))
          .attr("role", "img").attr("aria-label", `${options.xLabel} ${row.name}: ${row.value}`);
        withTip(bar.node(), [`${options.xLabel} ${row.name}`, String(row.value)]);
      });
      return svg.node();
    }, { most: 760 });
  }

  // A heat map as a table: numbers in cells, light to dark, and about nothing: two colours from the middle.
  //   rows, columns: names; value(row, column): text or ""
  function heat(rows, columns, value, options) {
    const numbers = rows.flatMap((r) => columns.map((c) => FRISM.number(value(r, c) || ""))).filter(Number.isFinite);
    const [low, high] = d3.extent(numbers), most = Math.max(Math.abs(low), Math.abs(high)) || 1;
    const paint = options.signed ? (v) => d3.interpolatePuOr(0.5 + 0.42 * v / most) : (v) => d3.interpolateCividis(high > low ? 0.08 + 0.92 * (v - low) / (high - low) : 0.5);
    const cells = (row) => columns.map((column) => {
      const text = value(row, column) || "";
      const cell = h("td", { class: "heat" }, text);
      const v = FRISM.number(text);
      if (Number.isFinite(v)) {
        const color = d3.color(paint(v));
        cell.style.backgroundColor = color.formatHex();
        cell.style.color = luminance(color) > 0.18 ? "#000" : "#fff";
      }
      return cell;
    });
    return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": options.caption },
      h("table", { class: "heat-map" }, h("caption", {}, options.caption),
        h("thead", {}, h("tr", {}, h("th", { scope: "col" }, options.corner), ...columns.map((c) => h("th", { scope: "col", class: "num" }, c)))),
        h("tbody", {}, ...rows.map((row) => h("tr", {}, h("th", { scope: "row" }, row), ...cells(row))))));
  }

  function luminance({ r, g, b }) {
    const [R, G, B] = [r, g, b].map((c) => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * R + 0.7152 * G + 0.0722 * B;
  }

  Object.assign(FRISM, { scatter, forest, curves, bars, heat, hideTip });
})();
