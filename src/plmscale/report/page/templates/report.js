"use strict";
(() => {
  const figures = JSON.parse(document.getElementById("figures-data").textContent);
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
  function show(plot, holder) {
    const chosen = ticked(holder);
    const visible = plot.data.map((trace) =>
      Object.entries(trace.meta || {}).every(([key, value]) => !(key in chosen) || chosen[key].has(value)));
    Plotly.restyle(plot, { visible });
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
  const FEW = 2.2;
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
      change[name + ".tickmode"] = decades < FEW ? "auto" : "array";
      change[name + ".tickvals"] = powers.map((k) => 10 ** k);
      change[name + ".ticktext"] = powers.map((k) => (k >= 0 && k <= 3 ? String(10 ** k) : `10<sup>${k}</sup>`));
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

  for (const holder of document.querySelectorAll("figure[data-figure]")) {
    const { data, layout, axes } = figures[holder.dataset.figure];
    const plot = holder.querySelector(".plot");
    if ("xaxis2" in layout && plot.clientWidth <= 560) plot.style.height = "40rem";
    Plotly.newPlot(plot, data, stack(layout, plot.clientWidth), config).then(() => {
      // A change of range (zoom, reset, another type of axis) places the labels anew; placing them is no such change.
      plot.on("plotly_relayout", (change) => Object.keys(change).some((key) => key.includes("range")) && space(plot));
      return space(plot);
    }).then(() => { plot.dataset.ready = "yes"; });
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

  // On paper nothing can be opened.
  let closed = [];
  window.addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details:not([open])")];
    closed.forEach((one) => { one.open = true; });
  });
  window.addEventListener("afterprint", () => closed.forEach((one) => { one.open = false; }));
})();
