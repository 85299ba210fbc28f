// Draws the stacked bars of costs. The table below the chart has the same numbers.
"use strict";

const COLOURS = ["#0b7d73", "#d1772b", "#5b6fd0", "#b8478f", "#5f9e3d", "#c9a227", "#3d8fbf", "#8a94a0"];
const MARKS = {FINAL: "", SETTLING: "~ ", OPEN: "… ", MISSING: "! "};
const WORDS = {FINAL: "final", SETTLING: "settling", OPEN: "open", MISSING: "never loaded"};

function styleOf(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

for (const canvas of document.querySelectorAll("canvas[data-costs]")) {
  const {periods, states, series} = JSON.parse(document.getElementById(canvas.dataset.costs).textContent);
  const chart = new Chart(canvas, {
    type: "bar",
    data: {
      labels: periods.map((period, n) => `${MARKS[states[n]] ?? ""}${period}`),
      datasets: series.map((one, n) => ({
        label: one.name,
        data: one.amounts,
        backgroundColor: COLOURS[n % COLOURS.length],
        // What is not final yet is drawn paler.
        borderWidth: 0,
        stack: "cost",
      })),
    },
    options: {
      animation: false,
      responsive: true,
      maintainAspectRatio: false,
      interaction: {mode: "index", intersect: false},
      scales: {x: {stacked: true, grid: {display: false}, ticks: {maxRotation: 0, autoSkipPadding: 12}}, y: {stacked: true}},
      plugins: {
        legend: {position: "bottom", labels: {boxWidth: 12, boxHeight: 12}},
        tooltip: {
          itemSort: (one, other) => other.raw - one.raw,
          callbacks: {
            footer: (items) => {
              const state = WORDS[states[items[0].dataIndex]];
              const sum = items.reduce((total, one) => total + one.raw, 0);
              return `total ${sum.toLocaleString("en", {maximumFractionDigits: 2})}${state ? `, ${state}` : ""}`;
            },
          },
        },
      },
    },
    plugins: [
      {
        id: "paler",
        beforeDatasetsUpdate(one) {
          for (const [n, dataset] of one.data.datasets.entries()) {
            const colour = COLOURS[n % COLOURS.length];
            dataset.backgroundColor = states.map((state) => (state === "OPEN" ? `${colour}80` : state === "SETTLING" ? `${colour}c8` : colour));
          }
        },
      },
    ],
  });
  const paint = () => {
    Chart.defaults.color = styleOf("--ink-dim");
    chart.options.scales.x.ticks.color = chart.options.scales.y.ticks.color = styleOf("--ink-dim");
    chart.options.scales.y.grid = {color: styleOf("--line")};
    chart.options.plugins.legend.labels.color = styleOf("--ink");
    chart.update("none");
  };
  paint();
  document.addEventListener("theme", paint);
  for (const media of ["(prefers-color-scheme: dark)", "print"]) matchMedia(media).addEventListener("change", paint);
}
