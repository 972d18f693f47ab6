// The view "Overview": is everything right, and what to do where it is not.
import { spark } from "./chart.js";
import { Facts, Table, h, setChildren, setClass, setText } from "./dom.js";
import * as format from "./format.js";
import { get, sum } from "./source.js";

const SPARK_SLOTS = 120;
const HOST_MS = 60_000;

/** Reasons of stale books: key of /stats, name of the state. */
const REASONS = [
  ["disconnected", "disconnected"],
  ["frames_lost", "frames_lost"],
  ["too_many_levels", "too_many_levels"],
  ["undecoded", "undecoded_message"],
  ["disproved", "disproved"],
  ["behind", "behind"],
  ["moving", "moving"],
  ["times_disagree", "times_disagree"],
];

/** A tile: a title, one large number, facts, and what to do. */
class Tile {
  constructor(title, { chart = false, bar = false } = {}) {
    this.title = h("span", {}, title);
    this.note = h("span");
    this.big = h("div", { class: "big" });
    this.value = this.big.appendChild(h("span"));
    this.of = this.big.appendChild(h("span", { class: "of" }));
    this.facts = new Facts("");
    this.advice = h("p", { class: "advice", hidden: true });
    this.chart = chart ? h("canvas", { class: "spark", "aria-hidden": "true" }) : null;
    this.bar = bar ? h("div", { class: "bar", "aria-hidden": "true" }) : null;
    this.node = h(
      "section",
      { class: "tile" },
      h("h3", {}, this.title, this.note),
      this.big,
      this.bar,
      this.chart,
      this.facts.node,
      this.advice,
    );
  }

  update({ value, of = "", note = "", facts = [], advice = "", level = "" }) {
    setText(this.value, value);
    setText(this.of, of ? ` ${of}` : "");
    setText(this.note, note);
    setClass(this.value, level ? `${level}-text` : "");
    this.facts.update(facts);
    this.advice.hidden = !advice;
    setText(this.advice, advice);
  }
}

export function create(root, { stats }) {
  const findings = h("ul", { class: "findings", "aria-label": "Faults and notices" });
  const tiles = {
    books: new Tile("Books live", { bar: true }),
    messages: new Tile("Messages a second", { chart: true }),
    changes: new Tile("Level changes a second", { chart: true }),
    correctness: new Tile("Correctness"),
    connections: new Tile("Connections up", { bar: true }),
    trades: new Tile("Trades a second", { chart: true }),
    capture: new Tile("Capture"),
    host: new Tile("Host"),
  };
  const states = new Table(
    "Books by state",
    [
      { name: "state", title: "state of books", state: (row) => [row.level, row.state] },
      { name: "books", title: "books", number: true, text: (row) => format.count(row.books) },
      { name: "advice", title: "what to do", class: "wrap", text: (row) => row.advice },
    ],
    { key: (row) => row.state },
  );
  const venues = venueTable();
  const checks = checkTable();
  const shards = shardTable();
  const links = new Table(
    "Full links",
    [
      { name: "name", title: "link", text: (row) => row.name },
      { name: "refused", title: "refused messages", number: true, text: (row) => format.count(row.refused) },
      {
        name: "depth",
        title: "waiting",
        number: true,
        text: (row) => `${format.count(row.depth)} of ${format.count(row.capacity)}`,
      },
    ],
    { key: (row) => row.name },
  );
  const services = serviceTable();
  const linkTitle = h("h2", {}, "Links that were full");
  root.append(
    findings,
    h("div", { class: "tiles" }, ...Object.values(tiles).map((tile) => tile.node)),
    h("h2", {}, "Venues"),
    venues.node,
    h("h2", {}, "Books"),
    states.node,
    h("h2", {}, "Checks against the venue"),
    checks.node,
    h("h2", {}, "Shards"),
    shards.node,
    h("h2", {}, "Services"),
    services.node,
    linkTitle,
    links.node,
  );
  let host = { report: null, error: "", askedMs: -HOST_MS };

  async function askHost() {
    host.askedMs = performance.now();
    try {
      host = { ...host, report: await get("/host"), error: "" };
    } catch (error) {
      host = { ...host, error: error.message };
    }
  }

  function update() {
    const latest = stats.latest;
    if (performance.now() - host.askedMs > HOST_MS) askHost();
    if (!latest) return;
    showFindings(findings, latest.health, stats);
    const rates = stats.rates;
    const now = rates.at(-1) ?? {};
    showBooks(tiles.books, latest, stats);
    showRate(tiles.messages, rates, "messages", [
      ["messages", format.count(sum(latest, "messages"))],
      ["frames", format.count(sum(latest, "frames"))],
      ["received", format.bytes(sum(latest, "bytes"))],
      ["received a second", now.bytes == null ? "–" : `${format.bytes(now.bytes)}/s`],
    ]);
    const undecoded = sum(latest, "decode_errors");
    showRate(
      tiles.changes,
      rates,
      "updates",
      [
        ["level changes", format.count(sum(latest, "updates"))],
        ["snapshots", format.count(sum(latest, "snapshots"))],
        ["not decoded", format.count(undecoded), undecoded > 0 ? "bad-text" : ""],
      ],
      undecoded > 0 ? stats.advice("shard_decode_errors") : "",
    );
    showCorrectness(tiles.correctness, latest, stats);
    showConnections(tiles.connections, latest, stats);
    showTrades(tiles.trades, latest, rates);
    showCapture(tiles.capture, latest, stats);
    showHost(tiles.host, host);
    venues.update(latest.venues.map((venue) => ({ ...venue, report: latest })));
    states.update(bookStates(latest, stats));
    checks.update(checkRows(latest, stats));
    shards.update(
      latest.shards.map((shard) => ({
        ...shard,
        rates: stats.beats.get(shard.shard)?.rates ?? {},
        now: latest.now_wall_ns,
      })),
    );
    services.update(latest.services);
    const full = latest.router.filter((link) => link.refused > 0);
    linkTitle.hidden = links.node.hidden = full.length === 0;
    links.update(full);
  }
  return { update };
}

/** Faults, then notices, each with its remedy. */
function showFindings(list, health, stats) {
  const lines = [...health.reasons.map((line) => ["bad", line]), ...health.notices.map((line) => ["warn", line])];
  const withRemedies = lines.map(([level, line]) => [level, line, stats.remedy(line)]);
  list.hidden = lines.length === 0;
  setChildren(list, JSON.stringify(withRemedies), () =>
    withRemedies.map(([level, line, remedy]) =>
      h("li", { class: level }, h("span", { class: `state ${level}` }, line), remedy ? h("p", {}, remedy) : null),
    ),
  );
}

function showRate(tile, rates, key, facts, advice = "") {
  tile.update({ value: format.rate(rates.at(-1)?.[key]), facts, advice });
  spark(
    tile.chart,
    rates.slice(-SPARK_SLOTS).map((one) => one[key]),
    SPARK_SLOTS,
  );
}

/** Parts of a bar: class and amount. */
function showBar(bar, parts) {
  const total = parts.reduce((all, [, amount]) => all + amount, 0) || 1;
  setChildren(bar, JSON.stringify(parts), () =>
    parts
      .filter(([, amount]) => amount > 0)
      .map(([name, amount]) => {
        const part = h("span", { class: name });
        part.style.flex = `${Math.max(amount / total, 0.01)} 1 0`;
        return part;
      }),
  );
}

function showBooks(tile, latest, stats) {
  const [books, live, awaiting, stale] = ["books", "books_live", "books_awaiting", "books_stale"].map((key) =>
    sum(latest, key),
  );
  const ended = latest.registry.tokens_expired;
  tile.update({
    value: format.count(live),
    of: `of ${format.count(books)}`,
    level: live < books ? (latest.health.in_grace ? "warn" : "bad") : "",
    facts: [
      ["awaiting a snapshot", format.count(awaiting)],
      ["stale", format.count(stale), stale > 0 ? "bad-text" : ""],
      ["markets", format.count(latest.registry.markets)],
      ["tokens without connection", format.count(latest.registry.tokens_pending)],
      ["tokens of ended markets", format.count(ended)],
    ],
    advice:
      stale > 0
        ? stats.advice("shard_books_stale")
        : latest.registry.tokens_pending > 0
          ? stats.advice("tokens_pending")
          : "",
  });
  showBar(tile.bar, [
    ["live", live],
    ["awaiting", awaiting],
    ["stale", stale],
  ]);
}

function bookStates(latest, stats) {
  const rows = [{ state: "live", level: "ok", books: sum(latest, "books_live"), advice: "" }];
  const awaiting = sum(latest, "books_awaiting");
  rows.push({
    state: "awaiting_snapshot",
    level: awaiting > 0 ? "warn" : "off",
    books: awaiting,
    advice: awaiting > 0 ? stats.advice("shard_books_awaiting") : "",
  });
  for (const [key, name] of REASONS) {
    const books = sum(latest, `books_stale_${key}`);
    if (books > 0)
      rows.push({ state: `stale:${name}`, level: "bad", books, advice: stats.advice(`shard_books_stale_${key}`) });
  }
  return rows;
}

/** Right, explained, wrong and unverifiable of each kind of check. */
function checkRows(latest, stats) {
  const { checks, repairs } = latest.correctness;
  const row = (name, right, explained, wrong, open, metric) => ({
    name,
    right,
    explained,
    wrong,
    open,
    advice: wrong > 0 ? stats.advice(metric) : "",
  });
  return [
    row(
      "best prices",
      checks.tops_matched,
      0,
      checks.tops_mismatched,
      checks.tops_unverifiable,
      "shard_tops_mismatched",
    ),
    row(
      "hashes",
      checks.hashes_matched,
      checks.hashes_explained,
      checks.hashes_mismatched,
      checks.hashes_unverifiable,
      "shard_hashes_mismatched",
    ),
    row(
      "REST audits",
      repairs.audits_matched,
      0,
      repairs.audits_mismatched + repairs.audits_behind,
      0,
      "shard_audits_mismatched",
    ),
    row(
      "REST comparisons of numbered streams",
      repairs.polls_matched,
      0,
      repairs.polls_different,
      repairs.polls_undecided,
      "shard_polls_different",
    ),
    row(
      "both outcomes of a market",
      repairs.mirrors_matched,
      0,
      repairs.mirrors_mismatched,
      0,
      "shard_mirrors_mismatched",
    ),
  ];
}

function showCorrectness(tile, latest, stats) {
  const { checks, score, snapshot_requests: requests, repairs } = latest.correctness;
  const right = checks.tops_matched + checks.hashes_matched;
  const wrong = checks.tops_mismatched + checks.hashes_mismatched;
  const open = checks.tops_unverifiable + checks.hashes_unverifiable;
  const metric = checks.tops_mismatched > 0 ? "shard_tops_mismatched" : "shard_hashes_mismatched";
  tile.update({
    value: format.percent(score),
    level: wrong > 0 ? "warn" : "",
    facts: [
      ["checked", format.count(right + checks.hashes_explained + wrong + open)],
      ["right", format.count(right)],
      ["explained by a later trade", format.count(checks.hashes_explained)],
      ["wrong", format.count(wrong), wrong > 0 ? "bad-text" : ""],
      ["unverifiable", format.count(open)],
      ["books repaired over REST", format.count(repairs.repaired)],
    ],
    advice: requests.last_error ? `REST: ${requests.last_error}` : wrong > 0 ? stats.advice(metric) : "",
  });
}

function showConnections(tile, latest, stats) {
  const { pool, recycling } = latest;
  const all = pool.connections.length;
  const why = pool.connections.find((connection) => connection.why)?.why;
  tile.update({
    value: format.count(pool.connections_active),
    of: `of ${format.count(all)}`,
    level: pool.connections_active < all ? "warn" : "",
    facts: [
      ["reconnects", format.count(pool.reconnects)],
      ["failed dials", format.count(pool.dials_failed)],
      ["recycles completed", format.count(recycling.completed)],
      ["recycles failed", format.count(recycling.failed), recycling.failed > 0 ? "warn-text" : ""],
      [
        "books interrupted by recycles",
        format.count(recycling.interrupted),
        recycling.interrupted > 0 ? "bad-text" : "",
      ],
    ],
    advice: pool.connections_active < all ? `${why || "being dialed"}: ${stats.advice("connections_active")}` : "",
  });
  const share = pool.connections_active;
  showBar(tile.bar, [
    ["live", share],
    ["stale", all - share],
  ]);
}

function showTrades(tile, latest, rates) {
  const { trades } = latest;
  const facts = [["seen", format.count(sum(latest, "trades"))]];
  let advice = "";
  if (trades) {
    facts.push(
      ["stored", format.count(trades.inserted)],
      ["known before", format.count(trades.repeated)],
      ["waiting", format.count(trades.queued + trades.journaled)],
      ["lost", format.count(trades.lost), trades.lost > 0 ? "bad-text" : ""],
      ["database", trades.store],
    );
    if (trades.error) advice = trades.error;
  } else facts.push(["stored", "not kept; start with --trades"]);
  showRate(tile, rates, "trades", facts, advice);
}

function showCapture(tile, latest, stats) {
  const { capture } = latest;
  if (!capture) {
    tile.update({ value: "off", facts: [["to record", "start with --capture FOLDER"]] });
    return;
  }
  const failing = capture.failing_since_wall_ns > 0;
  tile.update({
    value: format.bytes(capture.bytes),
    level: failing || capture.lost > 0 ? "bad" : "",
    facts: [
      ["frames", format.count(capture.frames)],
      ["uncompressed", format.bytes(capture.text_bytes)],
      ["segments", format.count(capture.segments)],
      ["waiting to be written", format.bytes(capture.waiting_bytes)],
      ["frames missing (gaps)", format.count(capture.lost), capture.lost > 0 ? "bad-text" : ""],
      ["last write", `${format.since(capture.last_write_wall_ns, latest.now_wall_ns)} ago`],
      ["folder", capture.folder],
    ],
    advice: failing ? capture.error : capture.lost > 0 ? `${capture.loss}: ${stats.advice("capture_lost")}` : "",
  });
}

function showHost(tile, { report, error }) {
  if (!report) {
    tile.update({ value: "–", facts: error ? [] : [["", "being judged"]], advice: error });
    return;
  }
  const worst = report.settings.filter(
    (setting) => setting.remedy && setting.verdict === (report.bad > 0 ? "bad" : "warn"),
  );
  tile.update({
    value: report.bad > 0 ? "bad" : report.warn > 0 ? `${report.warn} to improve` : "as expected",
    level: report.bad > 0 ? "bad" : "",
    facts: [
      ["profile", report.profile],
      ["as expected", format.count(report.ok)],
      ["cost latency or jitter", format.count(report.warn)],
      ["prevent running", format.count(report.bad), report.bad > 0 ? "bad-text" : ""],
    ],
    advice: worst.length > 0 ? `${worst[0].setting}: ${worst[0].remedy} (all: ringbook doctor)` : "",
  });
}

function venueTable() {
  const shards = (venue) => venue.report.shards.filter((shard) => venue.shards.includes(shard.shard));
  const total = (venue, key) => shards(venue).reduce((all, shard) => all + shard[key], 0);
  const column = (name, title, of) => ({ name, title, number: true, text: (venue) => format.count(of(venue)) });
  return new Table(
    "Venues",
    [
      { name: "venue", title: "venue", text: (venue) => venue.venue },
      column("markets", "markets", (venue) => venue.markets),
      column("connections", "connections up", (venue) => venue.connections_active),
      column("books", "books", (venue) => venue.books),
      column("live", "live", (venue) => venue.books_live),
      column("awaiting", "awaiting", (venue) => total(venue, "books_awaiting")),
      column("stale", "stale", (venue) => total(venue, "books_stale")),
      column("trades", "trades", (venue) => venue.trades),
    ],
    { key: (venue) => venue.venue },
  );
}

function checkTable() {
  const number = (name, title) => ({ name, title, number: true, text: (row) => format.count(row[name]) });
  return new Table(
    "Checks",
    [
      { name: "name", title: "compared with the venue's own", text: (row) => row.name },
      number("right", "right"),
      number("explained", "explained"),
      { ...number("wrong", "wrong"), mark: (row) => (row.wrong > 0 ? "bad-text" : "") },
      number("open", "unverifiable"),
      { name: "advice", title: "what to do", class: "wrap", text: (row) => row.advice },
    ],
    { key: (row) => row.name },
  );
}

function shardTable() {
  const number = (name, title, text, more = {}) => ({ name, title, number: true, text, ...more });
  return new Table(
    "Shards",
    [
      { name: "shard", title: "shard", text: (shard) => `shard-${shard.shard}` },
      {
        name: "state",
        title: "state",
        state: (shard) => (shard.healthy ? ["ok", "reports"] : ["bad", "does not report"]),
      },
      number("core", "core", (shard) => (shard.core == null ? "any" : String(shard.core))),
      number("connections", "connections", (shard) => format.count(shard.connections)),
      number("books", "books", (shard) => format.count(shard.books)),
      number("messages", "messages/s", (shard) => format.rate(shard.rates.messages)),
      number("updates", "changes/s", (shard) => format.rate(shard.rates.updates)),
      number("frame", "mean of a frame", (shard) => format.duration(shard.frame_mean_ns)),
      number("memory", "books' memory", (shard) => format.bytes(shard.book_bytes), { class: "wide" }),
      number("data", "last data", (shard) => format.since(shard.last_message_wall_ns, shard.now), { class: "wide" }),
    ],
    { key: (shard) => shard.shard },
  );
}

function serviceTable() {
  const levels = { up: "ok", down: "bad" };
  return new Table(
    "Services",
    [
      { name: "service", title: "service", text: (one) => one.service },
      { name: "state", title: "state", state: (one) => [levels[one.health.state] ?? "off", one.health.state] },
      {
        name: "requests",
        title: "requests",
        number: true,
        text: (one) => (one.requests == null ? "–" : format.count(one.requests)),
      },
      { name: "errors", title: "failed", number: true, text: (one) => format.percent(one.error_rate) },
      { name: "error", title: "last error", class: "wrap", text: (one) => one.health.last_error ?? "" },
      { name: "address", title: "address", class: "wide", text: (one) => one.address },
    ],
    { key: (one) => one.service + one.address },
  );
}
