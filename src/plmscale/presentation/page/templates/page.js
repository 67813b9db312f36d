"use strict";
(() => {
  const config = { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] };

  function ticked(holder) {
    const chosen = {};
    for (const set of holder.querySelectorAll("fieldset[data-key]")) {
      const boxes = [...set.querySelectorAll("input:checked")];
      chosen[set.dataset.key] = new Set(boxes.map((box) => box.value));
    }
    return chosen;
  }

  // A trace is shown while the boxes of all its values are ticked; what it does not name cannot hide it.
  const matches = (meta, chosen) =>
    Object.entries(meta || {}).every(([key, value]) => !(key in chosen) || chosen[key].has(value));

  function show(plot, holder) {
    const chosen = ticked(holder);
    const visible = plot.data.map((trace) => matches(trace.meta, chosen));
    const change = { visible };
    const own = envelopes(plot, holder, chosen);
    if (own) Object.assign(change, own);
    Plotly.restyle(plot, change);
  }

  // The envelope of the runs that are switched on: at each budget the lowest smoothed loss of any that costs no more.
  // The first trace of each schedule's envelope becomes it and the others are empty; with all sizes and sets on, the
  // envelope of the fit is put back.
  function envelopes(plot, holder, chosen) {
    if (!plot.data.some((trace) => (trace.meta || {}).kind === "envelope")) return null;
    plot.given ??= plot.data.map((trace) => ({ x: trace.x, y: trace.y, customdata: trace.customdata }));
    const all = [...holder.querySelectorAll("fieldset[data-key=size] input, fieldset[data-key=subset] input")]
      .every((box) => box.checked);
    const columns = { x: [], y: [], customdata: [] };
    const done = new Set();
    plot.data.forEach((trace, i) => {
      const { kind, schedule } = trace.meta || {};
      let now = plot.given[i];
      if (kind === "envelope" && !all) {
        now = done.has(schedule) ? { x: [], y: [], customdata: [] } : lowest(plot.data, chosen, schedule);
        done.add(schedule);
      }
      for (const key of Object.keys(columns)) columns[key].push(now[key]);
    });
    return columns;
  }

  function lowest(traces, chosen, schedule) {
    const runs = traces.filter(({ meta }) => meta && meta.kind === "line" && meta.schedule === schedule &&
      ["size", "subset"].every((key) => !(key in chosen) || chosen[key].has(meta[key])));
    const points = runs.flatMap(({ x, y, customdata, meta, hovertemplate }) => x.map((flops, i) =>
      ({ flops, loss: y[i], run: meta.run, n: /N = (\S+)/.exec(hovertemplate)[1], d: customdata[i][0] })));
    points.sort((one, other) => one.flops - other.flops);
    const kept = [];
    for (const point of points) {
      if (kept.length && point.loss > kept.at(-1).loss) continue;
      if (kept.length && point.flops === kept.at(-1).flops) kept.pop();
      kept.push(point);
    }
    return {
      x: kept.map((point) => point.flops),
      y: kept.map((point) => point.loss),
      customdata: kept.map(({ run, n, d }) => [run, n, d, "of the sizes and sets switched on"]),
    };
  }

  function turn(plot, button, axes) {
    const log = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(log));
    const change = {};
    for (const axis of axes.filter((name) => name.startsWith(button.dataset.axis))) {
      change[axis + ".type"] = log ? "log" : "linear";
      change[axis + ".autorange"] = true;
      change[axis + ".tickmode"] = "auto";
    }
    Plotly.relayout(plot, change);
  }

  // Labels of logarithmic axes: a power of ten each, or every second, third, ... where they would touch. Values, not a
  // step: a step of one that outlived a change to a linear axis would be a label for every single parameter.
  // Over less than FEW decades 1, 2 and 5 times each power are labelled, over less than FEWEST what plotly.js chooses.
  const FEW = 2.2, FEWEST = 0.5;
  function between([low, high], decades) {
    const digits = decades < 1.3 ? [1, 2, 3, 5, 7] : [1, 2, 5];
    const first = Math.floor(Math.min(low, high)), last = Math.ceil(Math.max(low, high));
    const powers = Array.from({ length: last - first + 1 }, (_, k) => first + k);
    return powers.flatMap((k) => digits.map((digit) => digit * 10 ** k))
      .filter((value) => value >= 10 ** Math.min(low, high) && value <= 10 ** Math.max(low, high));
  }

  function worded(value, prefixes) {
    const power = Math.floor(Math.log10(value) + 1e-9), digit = Math.round(value / 10 ** power);
    if (prefixes) {
      const [unit, letter] = [[1e12, "T"], [1e9, "B"], [1e6, "M"], [1e3, "k"], [1, ""]].find(([one]) => value >= one) || [1, ""];
      return `${Number((value / unit).toPrecision(3))}${letter}`;
    }
    if (power >= -2 && power <= 3) return String(Number(value.toPrecision(3)));
    return `${digit === 1 ? "" : `${digit}×`}10<sup>${power}</sup>`;
  }

  function space(plot) {
    const change = {};
    for (const name of Object.keys(plot._fullLayout).filter((key) => /^[xy]axis\d*$/.test(key))) {
      const axis = plot._fullLayout[name];
      if (axis.type !== "log") continue;
      const decades = Math.abs(axis.range[1] - axis.range[0]);
      const room = name.startsWith("x") ? 52 : 26;
      const step = Math.max(1, Math.ceil(decades * room / axis._length));
      const first = Math.ceil(Math.min(...axis.range) / step) * step;
      const count = Math.floor((Math.max(...axis.range) - first) / step) + 1;
      const powers = Array.from({ length: Math.max(count, 0) }, (_, k) => first + k * step);
      const values = decades < FEW ? between(axis.range, decades) : powers.map((k) => 10 ** k);
      change[name + ".tickmode"] = decades < FEWEST ? "auto" : "array";
      change[name + ".tickvals"] = values;
      change[name + ".ticktext"] = values.map((value) => worded(value, axis.exponentformat === "B"));
    }
    return Object.keys(change).length ? Plotly.relayout(plot, change) : null;
  }

  // Two panels side by side need the width of a desk: on a phone the second goes below the first.
  function stack(layout, width) {
    if (!("xaxis2" in layout) || width > 560) return layout;
    const below = { xaxis: [0, 1], xaxis2: [0, 1], yaxis: [0.58, 1], yaxis2: [0, 0.42] };
    const own = structuredClone(layout);
    for (const [name, domain] of Object.entries(below)) own[name].domain = domain;
    return own;
  }

  // plotly.js and the figures are in the page compressed. Where a browser cannot unpack them, the figures for paper are
  // shown.
  function unpacked(id) {
    const bytes = Uint8Array.from(atob(document.getElementById(id).textContent), (c) => c.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  }

  async function load() {
    const script = document.createElement("script");
    script.textContent = await unpacked("plotly");
    document.head.append(script);
    return JSON.parse(await unpacked("figures-data"));
  }

  function draw(figures) {
    for (const holder of document.querySelectorAll("figure[data-figure]")) {
      const { data, layout, axes } = figures[holder.dataset.figure];
      const plot = holder.querySelector(".plot");
      if ("xaxis2" in layout && plot.clientWidth <= 560) plot.style.height = "40rem";  // two panels, one below the other
      Plotly.newPlot(plot, data, stack(layout, plot.clientWidth), config).then(() => {
        // A change of range (zoom, reset, another type of axis) places the labels anew; placing them is no such change.
        plot.on("plotly_relayout", (change) => Object.keys(change).some((key) => key.includes("range")) && space(plot));
        return space(plot);
      }).then(() => {
        if (holder.querySelector("input:not(:checked)")) show(plot, holder);
        plot.dataset.ready = "yes";
      });
      holder.addEventListener("change", () => show(plot, holder));
      for (const button of holder.querySelectorAll("button.all, button.none")) {
        button.addEventListener("click", () => {
          const on = button.classList.contains("all");
          button.closest("fieldset").querySelectorAll("input").forEach((box) => { box.checked = on; });
          show(plot, holder);
        });
      }
      for (const button of holder.querySelectorAll("button.log")) {
        button.addEventListener("click", () => turn(plot, button, axes));
      }
    }
  }

  if (document.getElementById("plotly")) {
    load().then(draw).catch((error) => {
      document.body.classList.add("without-scripts");
      throw error;
    });
  }

  // On paper nothing can be opened; rows without a number, and tables of hundreds of rows, stay folded.
  let closed = [];
  window.addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details:not([open]):not(.folded):not(.unprinted)")];
    closed.forEach((one) => { one.open = true; });
  });
  window.addEventListener("afterprint", () => closed.forEach((one) => { one.open = false; }));
})();
