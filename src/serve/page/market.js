// One market: both ladders, trades, a chart, what its books were compared with, and their states.
import { priceChart } from "./chart.js";
import { Facts, Table, h, setState, setText } from "./dom.js";
import * as format from "./format.js";
import { decimal, endsIn } from "./markets.js";
import { get } from "./source.js";
import { Book, Stream, stateOf } from "./stream.js";

const LEVELS = 12;
const TRADES_SHOWN = 60;
const TRADES_KEPT = 5000;
const STATES_KEPT = 200;
const ASK_MS = 5000;
const MIDS_KEPT = 7200;
/** Seconds that the chart shows. */
const SPANS = [
  ["3600", "last hour"],
  ["86400", "last day"],
  ["604800", "last week"],
];
/** Prices of stored trades are asked for in at most so many steps. */
const STORED_MAX = 1500;

export function create(root, { draw, rest, go }) {
  const token = decodeURIComponent(rest);
  const title = h("h2", {}, "Market");
  const link = h("span", { class: "state" });
  const problem = h("p", { class: "bad-text", role: "status" });
  const facts = new Facts();
  const ladders = h("div", { class: "ladders" });
  const chart = h("canvas", { class: "chart", role: "img", "aria-label": "Price and volume of trades" });
  const span = h(
    "select",
    { name: "span", "aria-label": "Time of the chart", onchange: () => loadStored() },
    ...SPANS.map(([value, text]) => h("option", { value }, text)),
  );
  const source = h("span", { class: "muted" });
  const trades = tradeTable();
  const states = stateTable();
  const proofs = proofTable();
  root.append(
    h("p", { class: "back" }, h("a", { href: "#/markets", onclick: back }, "← Markets")),
    h("div", { class: "view-top" }, title, link),
    problem,
    ladders,
    h(
      "div",
      { class: "columns" },
      h(
        "section",
        {},
        h(
          "h2",
          {},
          "Price and volume ",
          source,
        ),
        h("p", { class: "filters" }, span),
        h("div", { class: "sheet pad" }, chart),
        h("h2", {}, "Compared with the venue"),
        proofs.node,
        h("h2", {}, "States ", h("span", { class: "muted" }, "since this view was opened")),
        states.node,
      ),
      h(
        "section",
        {},
        h("h2", {}, "Trades"),
        trades.node,
        h("h2", {}, "Facts"),
        h("div", { class: "sheet pad" }, facts.node),
      ),
    ),
  );
  const model = {
    market: null,
    books: new Map(),
    views: new Map(),
    trades: [],
    stored: [],
    seen: new Set(),
    states: [],
    mids: [],
    asked: 0,
  };
  const stream = new Stream("kinds=snapshot,change,trade,tick,state,market", onEvent, (isUp) => {
    setState(link, isUp ? "ok" : "bad", isUp ? "connected" : "the stream is gone; connecting again");
    for (const book of model.books.values()) if (!isUp) book.state = "";
    draw();
  });
  load();

  function back(event) {
    event?.preventDefault();
    if (history.length > 1) history.back();
    else go("#/markets");
  }

  /** Facts, proofs and, once, the trades that the engine has in memory. */
  async function load() {
    model.asked = performance.now();
    try {
      const market = await get(`/market?token_id=${encodeURIComponent(token)}`);
      if (!model.market) {
        const known = await get(`/trades?token_id=${encodeURIComponent(token)}`);
        known.forEach((trade) => addTrade({ ...trade, timeMs: trade.time_ms }));
      }
      const isFirst = !model.market;
      model.market = market;
      if (isFirst) loadStored();
      setText(problem, "");
      stream.setTokens(market.tokens.map((one) => one.token));
    } catch (error) {
      setText(problem, error.message);
    }
    draw();
  }

  /** Prices of the first outcome in the database of trades, where there is one. */
  async function loadStored() {
    const first = model.market?.tokens[0].token;
    if (!first) return;
    const begin = Math.floor(Date.now() / 1000) - Number(span.value);
    const step = Math.max(1, Math.ceil(Number(span.value) / STORED_MAX));
    let text = "trades in memory, and the mid price since this view was opened";
    model.stored = [];
    try {
      const known = await get(`/prices?token_id=${encodeURIComponent(first)}&begin_s=${begin}&step_s=${step}`);
      if (known.stored) {
        text = "stored prices, trades in memory with their sizes, and the mid price since this view was opened";
        model.stored = known.points.map(([second, price]) => ({ ms: second * 1000, price: Number(price) }));
      }
    } catch (error) {
      text = `${text}; no stored prices: ${error.message}`;
    }
    setText(source, text);
    draw();
  }

  function addTrade({ token: of, timeMs, price, size, side, id }) {
    const key = `${id ?? ""}${of}${timeMs}${price}${size}${side}`;
    if (model.seen.has(key)) return;
    model.seen.add(key);
    model.trades.push({ key, token: of, timeMs, price, size, side });
    if (model.trades.length > TRADES_KEPT) model.seen.delete(model.trades.shift().key);
  }

  function onEvent(event) {
    if (event.kind === "market" && event.market === model.market?.market) model.market.stage = event.stage;
    if (!event.token) return;
    const book = model.books.get(event.token) ?? new Book();
    model.books.set(event.token, book);
    const before = `${book.state}:${book.reason}`;
    book.apply(event);
    if (event.kind === "trade") addTrade({ ...event, timeMs: event.venue_time ?? Date.now() });
    if (event.state && before !== `${book.state}:${book.reason}`) {
      model.states.unshift({
        number: (model.states[0]?.number ?? 0) + 1,
        ms: Date.now(),
        token: event.token,
        state: book.state,
        reason: book.reason,
      });
      model.states.length = Math.min(model.states.length, STATES_KEPT);
    }
    draw();
  }

  function update() {
    const { market } = model;
    if (performance.now() - model.asked > ASK_MS) load();
    if (!market) return;
    setText(title, market.question || market.slug || market.market);
    for (const outcome of market.tokens) {
      let view = model.views.get(outcome.token);
      if (!view) {
        view = new Ladder(outcome);
        model.views.set(outcome.token, view);
        ladders.append(view.node);
      }
      view.update(model.books.get(outcome.token) ?? new Book());
    }
    const nameOf = (of) => market.tokens.find((one) => one.token === of)?.outcome ?? "";
    trades.update(
      model.trades
        .slice(-TRADES_SHOWN)
        .reverse()
        .map((trade) => ({ ...trade, outcome: nameOf(trade.token) })),
    );
    states.update(model.states.map((one) => ({ ...one, outcome: nameOf(one.token) })));
    proofs.update(market.tokens.map((one) => ({ ...one, now: Date.now() })));
    facts.update(marketFacts(market));
    drawChart(chart, model, market, Number(span.value));
  }

  function key(event) {
    if (event.key !== "Backspace" && event.key !== "Escape") return false;
    back();
    return true;
  }
  return { update, key, table: trades, close: () => stream.close() };
}

function marketFacts(market) {
  const facts = [
    ["venue", market.venue],
    ["stage", market.stage],
    ["ends in", endsIn({ ...market, now: Date.now() })],
    ["end", market.end_ms ? format.date(market.end_ms) : "–"],
    ["start", market.start_ms ? format.date(market.start_ms) : "–"],
    ["price step", market.tick_size ?? "–"],
    ["smallest order", market.min_order_size ?? "–"],
    ["one of several that exclude each other", market.neg_risk ? "yes" : "no"],
    ["slug", market.slug],
    ["id", market.market],
  ];
  if (market.event) facts.unshift(["event", market.event]);
  for (const one of market.tokens) facts.push([`token ${one.outcome}`, one.token]);
  return facts;
}

/** Price of the first outcome, from trades of any of two. */
function drawChart(canvas, model, market, spanSeconds) {
  const [first, ...others] = market.tokens.map((one) => one.token);
  const book = model.books.get(first);
  const bid = book && bestOf(book.bids, Math.max);
  const ask = book && bestOf(book.asks, Math.min);
  const last = model.mids.at(-1);
  const now = Date.now();
  if (book?.state === "live" && bid != null && ask != null && (!last || now - last.ms >= 500)) {
    model.mids.push({ ms: now, price: (bid + ask) / 2 });
    if (model.mids.length > MIDS_KEPT) model.mids.shift();
  }
  const points = model.trades.map((trade) => ({
    ms: trade.timeMs,
    price: others.includes(trade.token) && others.length === 1 ? 1 - Number(trade.price) : Number(trade.price),
    size: Number(trade.size),
  }));
  points.sort((a, b) => a.ms - b.ms);
  const recent = (some) => some.filter((one) => one.ms >= now - spanSeconds * 1000);
  const shown = { trades: recent(points), stored: recent(model.stored), mids: recent(model.mids) };
  priceChart(canvas, shown, market.tokens[0].outcome);
}

function bestOf(side, choose) {
  return side.size === 0 ? null : choose(...[...side.keys()].map(Number));
}

/** The ladder of one outcome. Its rows are made once. */
class Ladder {
  constructor(outcome) {
    this.state = h("span", { class: "state" });
    this.facts = new Facts("facts row");
    this.asks = this.rows("ask");
    this.bids = this.rows("bid");
    const head = h(
      "tr",
      {},
      ...["price", "size", "total"].map((text) => h("th", { scope: "col", class: "number" }, text)),
    );
    this.beyond = { ask: h("td", { colspan: "3", class: "muted" }), bid: h("td", { colspan: "3", class: "muted" }) };
    this.middle = h("td", { colspan: "3", class: "middle" });
    const body = h(
      "tbody",
      {},
      h("tr", {}, this.beyond.ask),
      ...[...this.asks].reverse().map((row) => row.node),
      h("tr", {}, this.middle),
      ...this.bids.map((row) => row.node),
      h("tr", {}, this.beyond.bid),
    );
    const table = h(
      "table",
      { class: "ladder" },
      h("caption", {}, `Book of ${outcome.outcome}`),
      h("thead", {}, head),
      body,
    );
    this.node = h(
      "section",
      { "data-token": outcome.token },
      h("h2", {}, outcome.outcome, " ", this.state),
      this.facts.node,
      h("div", { class: "sheet" }, table),
    );
  }

  rows(side) {
    return Array.from({ length: LEVELS }, () => {
      const cells = [0, 1, 2].map(() => h("td", { class: "number" }));
      return { node: h("tr", { class: side }, ...cells), cells };
    });
  }

  update(book) {
    setState(this.state, ...stateOf(book.state, book.reason));
    const bids = book.levels("bids", LEVELS);
    const asks = book.levels("asks", LEVELS);
    const most = Math.max(bids.shown.at(-1)?.total ?? 0, asks.shown.at(-1)?.total ?? 0, 1e-9);
    this.node.classList.toggle("untrusted", book.state !== "live");
    for (const [rows, levels] of [
      [this.bids, bids.shown],
      [this.asks, asks.shown],
    ]) {
      rows.forEach(({ node, cells }, place) => {
        const level = levels[place];
        setText(cells[0], level ? level.text : "");
        setText(cells[1], level ? quantity(level.size) : "");
        setText(cells[2], level ? quantity(level.total) : "");
        const share = level ? `${((level.total / most) * 100).toFixed(1)}%` : "0%";
        if (node.dataset.share !== share) {
          node.dataset.share = share;
          node.style.setProperty("--share", share);
        }
      });
    }
    for (const [side, levels] of [
      ["ask", asks],
      ["bid", bids],
    ]) {
      setText(this.beyond[side], levels.beyond > 0 ? `${format.count(levels.beyond)} more` : "\u00a0");
    }
    const [bid, ask] = [bids.shown[0], asks.shown[0]];
    const spread = bid && ask ? decimal(ask.price - bid.price) : "–";
    const mid = bid && ask ? decimal((ask.price + bid.price) / 2) : "–";
    setText(this.middle, book.state === "live" ? `spread ${spread}   mid ${mid}` : "not to be trusted now");
    this.facts.update([
      ["bid", bid?.text ?? "–"],
      ["ask", ask?.text ?? "–"],
      ["spread", spread],
      ["mid", mid],
      ["last trade", book.last || "–"],
      ["version", format.count(book.version)],
    ]);
  }
}

/** A size: whole from 1,000 on, else up to two decimals. */
function quantity(value) {
  return value >= 1000 ? format.count(value) : String(Math.round(value * 100) / 100);
}

function tradeTable() {
  return new Table(
    "Trades",
    [
      { name: "time", title: "time", text: (one) => format.clock(one.timeMs) },
      { name: "outcome", title: "outcome", text: (one) => one.outcome },
      {
        name: "side",
        title: "side",
        fill: (cell, one) => {
          setText(cell, one.side === "buy" ? "▲ buy" : "▼ sell");
          cell.className = one.side === "buy" ? "buy" : "sell";
        },
      },
      { name: "price", title: "price", number: true, text: (one) => one.price },
      { name: "size", title: "size", number: true, text: (one) => quantity(Number(one.size)) },
    ],
    { key: (one) => one.key, empty: "no trade since the engine follows this market for the page", sortable: false },
  );
}

function stateTable() {
  return new Table(
    "States",
    [
      { name: "time", title: "time", text: (one) => format.clock(one.ms) },
      { name: "outcome", title: "outcome", text: (one) => one.outcome },
      { name: "state", title: "state", state: (one) => stateOf(one.state, one.reason) },
    ],
    { key: (one) => one.number, empty: "no state yet", sortable: false },
  );
}

function proofTable() {
  const ago = (ms, now) => (ms ? `${format.age((now - ms) / 1000)} ago` : "not yet");
  return new Table(
    "Comparisons",
    [
      { name: "outcome", title: "outcome", text: (one) => one.outcome },
      { name: "hash", title: "hash right", number: true, text: (one) => ago(one.book?.hash_right_ms, one.now) },
      {
        name: "audit",
        title: "all levels equal",
        number: true,
        text: (one) => ago(one.book?.levels_right_ms, one.now),
      },
      { name: "read", title: "last message", number: true, text: (one) => ago(one.book?.read_ms, one.now) },
      {
        name: "digest",
        title: "venue's last hash",
        class: "wide",
        text: (one) => one.book?.hash?.slice(0, 12) ?? "none",
        tip: (one) => one.book?.hash ?? "",
      },
    ],
    { key: (one) => one.token, sortable: false },
  );
}
