// The view "Latency": percentiles over time, the histogram of each stage, the lag of each connection.
import { histogram, lines, spark } from "./chart.js";
import { Table, h, setText } from "./dom.js";
import * as format from "./format.js";
import { get } from "./source.js";

const POLL_MS = 1000;
/** Answers kept: ten minutes. */
const KEPT = 600;
const LAGS_KEPT = 120;

const MEANINGS = {
  venue_to_read: "venue's time to read; contains the difference of the clocks",
  read_to_decoded: "read to decoded",
  decoded_to_applied: "decoded to applied",
  read_to_applied: "read to applied",
  read_to_written: "read to written to a client of the gateway or the stream",
  control_ring: "wait of a command in the ring from the control core",
  wake_up: "lateness of a wake-up",
};
const PERCENTILES = [
  ["p50", 0.5, "accent"],
  ["p90", 0.9, "muted"],
  ["p99", 0.99, "warn"],
  ["max", 1, "bad"],
];

/** What was polled, kept while other views are open: {ms, started, stages: Map of stage to Map of upper bound to count}. */
const polled = [];
/** Percentiles of each interval by stage: {ms, p50, p90, p99, max}. */
const series = new Map();

export function create(root, { stats, draw }) {
  const stageSelect = h("select", { "aria-label": "Stage", onchange: draw });
  const spanSelect = h(
    "select",
    { "aria-label": "Time of the histograms", onchange: draw },
    ...[
      ["60", "last minute"],
      ["10", "last 10 s"],
      ["600", "last 10 minutes"],
      ["0", "since the start"],
    ].map(([value, text]) => h("option", { value }, text)),
  );
  const problem = h("p", { class: "bad-text", role: "status" });
  const chart = h("canvas", { class: "chart", role: "img", "aria-label": "Percentiles over time" });
  const legend = h(
    "p",
    { class: "legend" },
    ...PERCENTILES.map(([name, , color]) => h("span", { class: `key ${color}` }, name)),
  );
  const summary = summaryTable();
  const grid = h("div", { class: "histograms" });
  const cells = new Map();
  const lags = lagTable();
  root.append(
    h("div", { class: "view-top" }, h("h2", {}, "Percentiles over time"), stageSelect, legend),
    problem,
    h("div", { class: "sheet pad" }, chart),
    h("div", { class: "view-top" }, h("h2", {}, "Stages"), spanSelect),
    summary.node,
    grid,
    h(
      "h2",
      {},
      "Lag of each connection ",
      h(
        "span",
        { class: "muted" },
        "age of its last message when it was read; contains the difference of the clocks",
      ),
    ),
    lags.node,
  );
  const lagSeries = new Map();
  let timer = null;
  let isOpen = true;
  let lastLagNs = 0;
  poll();

  async function poll() {
    try {
      if (document.visibilityState === "visible") take(await get("/latency"));
      setText(problem, "");
    } catch (error) {
      setText(problem, error.message);
    }
    if (!isOpen) return;
    draw();
    timer = setTimeout(poll, POLL_MS);
  }

  function update() {
    const latest = polled.at(-1);
    if (latest) showStages(latest);
    showLags();
  }

  function showStages(latest) {
    const names = [...latest.stages.keys()];
    if (stageSelect.options.length !== names.length) {
      stageSelect.replaceChildren(
        ...names.map((name) => h("option", { value: name, selected: name === "read_to_applied" }, name)),
      );
    }
    const values = series.get(stageSelect.value) ?? [];
    lines(
      chart,
      values,
      PERCENTILES.map(([name, , color]) => ({ name, color })),
      format.duration,
    );
    const seconds = Number(spanSelect.value);
    const rows = names.map((name) => rowOf(name, seconds));
    summary.update(rows);
    for (const row of rows) {
      let cell = cells.get(row.stage);
      if (!cell) {
        cell = {
          canvas: h("canvas", { role: "img", "aria-label": `Histogram of ${row.stage}` }),
          note: h("span", { class: "muted" }),
        };
        cell.node = h("section", { class: "sheet pad" }, h("h3", {}, row.stage, " ", cell.note), cell.canvas);
        cells.set(row.stage, cell);
        grid.append(cell.node);
      }
      setText(cell.note, MEANINGS[row.stage] ?? "");
      histogram(cell.canvas, row.buckets, [row.p50, row.p99], format.duration);
    }
  }

  function showLags() {
    const report = stats.latest;
    if (!report) return;
    const isNew = report.now_wall_ns !== lastLagNs;
    lastLagNs = report.now_wall_ns;
    lags.update(
      report.pool.connections.map((one) => {
        const values = lagSeries.get(one.id) ?? [];
        lagSeries.set(one.id, values);
        if (isNew && one.lag_ns > 0) values.push(one.lag_ns);
        if (values.length > LAGS_KEPT) values.shift();
        const sorted = [...values].sort((a, b) => a - b);
        return { ...one, values, median: sorted[sorted.length >> 1] ?? 0, most: sorted.at(-1) ?? 0 };
      }),
    );
  }
  return {
    update,
    table: lags,
    close: () => {
      isOpen = false;
      clearTimeout(timer);
    },
  };
}

/** Takes one answer of /latency. */
function take(answer) {
  const stages = new Map(answer.stages.map((stage) => [stage.stage, new Map(stage.buckets)]));
  const next = { ms: answer.now_ms, started: answer.started_ms, stages };
  const before = polled.at(-1);
  if (before && before.started !== next.started) {
    polled.length = 0;
    series.clear();
  } else if (before && next.ms > before.ms) {
    for (const [name, buckets] of stages) {
      const grown = difference(buckets, before.stages.get(name));
      const values = series.get(name) ?? [];
      series.set(name, values);
      if (grown.length > 0) values.push({ ms: next.ms, ...percentiles(grown) });
      if (values.length > KEPT) values.shift();
    }
  }
  polled.push(next);
  if (polled.length > KEPT + 1) polled.shift();
}

/** Buckets [upper bound, count] that were added since `before`, ascending. */
function difference(after, before) {
  const grown = [];
  for (const [upper, count] of after) {
    const more = count - (before?.get(upper) ?? 0);
    if (more > 0) grown.push([upper, more]);
  }
  return grown.sort((a, b) => a[0] - b[0]);
}

/** Percentiles of buckets: the upper bound of the bucket in which each is. */
function percentiles(buckets) {
  const total = buckets.reduce((all, [, count]) => all + count, 0);
  const found = { count: total };
  for (const [name, share] of [...PERCENTILES, ["p999", 0.999]]) {
    const wanted = Math.ceil(total * share);
    let seen = 0;
    found[name] = 0;
    for (const [upper, count] of buckets) {
      seen += count;
      found[name] = upper;
      if (seen >= wanted) break;
    }
  }
  return found;
}

/** The figures of a stage over the last seconds; 0 is since the start. */
function rowOf(stage, seconds) {
  const latest = polled.at(-1);
  const from = seconds === 0 ? null : polled.find((one) => latest.ms - one.ms <= seconds * 1000);
  const buckets = difference(latest.stages.get(stage), from === latest ? undefined : from?.stages.get(stage));
  return { stage, buckets, ...percentiles(buckets) };
}

function summaryTable() {
  const column = (name, title) => ({ name, title, number: true, text: (row) => format.duration(row[name]) });
  return new Table(
    "Stages",
    [
      { name: "stage", title: "stage", text: (row) => row.stage },
      { name: "count", title: "values", number: true, text: (row) => format.count(row.count) },
      column("p50", "p50"),
      column("p90", "p90"),
      column("p99", "p99"),
      column("p999", "p99.9"),
      column("max", "max"),
      { name: "meaning", title: "from … to", class: "wide text", text: (row) => MEANINGS[row.stage] ?? "" },
    ],
    { key: (row) => row.stage, sortable: false },
  );
}

function lagTable() {
  const column = (name, title) => ({
    name,
    title,
    number: true,
    text: (one) => format.duration(one[name]),
    sort: (one) => one[name],
  });
  return new Table(
    "Lag of each connection",
    [
      { name: "name", title: "connection", text: (one) => one.name, sort: (one) => one.id },
      { name: "shard", title: "shard", number: true, text: (one) => String(one.shard), sort: (one) => one.shard },
      column("lag_ns", "now"),
      column("median", "median seen"),
      column("most", "most seen"),
      {
        name: "chart",
        title: "last two minutes",
        class: "wide spark-cell",
        make: () => h("canvas", { class: "row-spark", "aria-hidden": "true" }),
        fill: (cell, one) => spark(cell.firstChild, one.values, LAGS_KEPT),
      },
    ],
    { key: (one) => one.id, sort: { name: "name", descending: false }, empty: "no connection yet" },
  );
}
