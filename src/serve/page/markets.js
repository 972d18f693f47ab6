// The view "Markets": search and filters; best prices of what is listed, as they change.
import { Table, h, setText } from "./dom.js";
import * as format from "./format.js";
import { get } from "./source.js";
import { Stream, stateOf } from "./stream.js";

const SEARCH_MS = 250;
const LIMIT = 50;

const STAGES = [
  ["", "any stage"],
  ["new", "new"],
  ["opened", "open"],
  ["ended", "ended"],
];
const STATES = [
  ["", "any state"],
  ["live", "live"],
  ["awaiting_snapshot", "awaiting a snapshot"],
  ["stale", "stale"],
];
const ENDS = [
  ["", "any end"],
  ["3600", "ends within an hour"],
  ["86400", "ends within a day"],
  ["604800", "ends within a week"],
];
const ORDERS = [
  ["", "as found"],
  ["end", "soonest end first"],
];

export function create(root, { stats, draw, query, go }) {
  const asked = new URLSearchParams(query);
  const search = h("input", {
    type: "search",
    name: "q",
    placeholder: "words of the question, slug or id  ( / )",
    "aria-label": "Search markets",
    value: asked.get("q") ?? "",
    autocomplete: "off",
    spellcheck: "false",
  });
  const venues = select("venue", "Venue", [["", "any venue"]], asked);
  const filters = [
    venues,
    select("stage", "Stage", STAGES, asked),
    select("state", "State of its books", STATES, asked),
    select("ends_within_s", "End", ENDS, asked),
    select("order", "Order", ORDERS, asked),
  ];
  const form = h(
    "form",
    { class: "filters", role: "search", onsubmit: (event) => event.preventDefault() },
    search,
    ...filters,
  );
  const summary = h("p", { class: "muted", role: "status" });
  const more = h("button", { type: "button", hidden: true, onclick: () => load(false) }, "More");
  const tops = new Map();
  const table = marketTable((market) => go(`#/market/${encodeURIComponent(market.tokens[0].token)}`));
  const stream = new Stream("kinds=top&interval_ms=250", (event) => {
    if (!event.token) return;
    const top = tops.get(event.token) ?? {};
    tops.set(event.token, event.kind === "top" ? event : { ...top, state: event.state, reason: event.reason });
    draw();
  });
  root.append(form, summary, table.node, more);
  let [markets, next, cursor, total, error, run] = [[], 0, null, null, "", 0];
  let timer = null;

  /** The question to the server. */
  function parameters() {
    const values = new URLSearchParams();
    for (const field of [search, ...filters]) if (field.value.trim()) values.set(field.name, field.value.trim());
    return values;
  }

  /** Searches anew, or loads the next page. */
  async function load(isNew) {
    const mine = ++run;
    if (isNew) [markets, next, cursor, total] = [[], 0, null, null];
    const values = parameters();
    const wanted = markets.length + LIMIT;
    try {
      // With a filter by state an answer has looked at a part of the markets only.
      while (next !== null && markets.length < wanted) {
        if (cursor) values.set("after", cursor);
        values.set("limit", wanted - markets.length);
        const page = await get(`/markets?${values}`);
        if (mine !== run) return;
        markets = [...markets, ...page.markets];
        [next, cursor] = [page.next ?? null, page.cursor ?? null];
        total = page.total ?? null;
        draw();
      }
      error = "";
    } catch (problem) {
      if (mine === run) error = problem.message;
    }
    stream.setTokens(markets.map((market) => market.tokens[0].token));
    draw();
  }

  function changed() {
    clearTimeout(timer);
    timer = setTimeout(() => {
      const values = parameters().toString();
      history.replaceState(null, "", values ? `#/markets?${values}` : "#/markets");
      load(true);
    }, SEARCH_MS);
  }

  function update() {
    const known = stats.latest?.venues.map((venue) => venue.venue) ?? [];
    for (const venue of known) {
      if ([...venues.options].some((option) => option.value === venue)) continue;
      venues.append(h("option", { value: venue, selected: asked.get("venue") === venue }, venue));
    }
    const found = total === null ? `${format.count(markets.length)} found` : `${format.count(total)} found`;
    const rest =
      next === null
        ? ""
        : total === null
          ? `, ${format.count(next)} looked at`
          : `, ${format.count(markets.length)} shown`;
    setText(summary, error ? `The search failed: ${error}` : found + rest);
    more.hidden = next === null;
    const now = Date.now();
    table.update(markets.map((market) => ({ ...market, top: tops.get(market.tokens[0].token) ?? {}, now })));
  }

  function key(event) {
    if (event.key !== "/") return false;
    search.focus();
    search.select();
    return true;
  }

  form.addEventListener("input", changed);
  search.addEventListener("keydown", (event) => {
    if (event.key !== "ArrowDown" && event.key !== "Enter" && event.key !== "Escape") return;
    event.preventDefault();
    table.move(0);
  });
  load(true);
  return {
    update,
    key,
    table,
    close: () => {
      run += 1;
      clearTimeout(timer);
      stream.close();
    },
  };
}

function select(name, label, options, asked) {
  return h(
    "select",
    { name, "aria-label": label },
    ...options.map(([value, text]) => h("option", { value, selected: (asked.get(name) ?? "") === value }, text)),
  );
}

function marketTable(open) {
  const price = (level) => (level ? level[0] : "–");
  const both = ({ top }) => top.bid && top.ask;
  return new Table(
    "Markets",
    [
      {
        name: "question",
        title: "market",
        class: "text grows",
        text: (one) => one.question || one.slug || one.market,
        tip: (one) => one.question,
      },
      { name: "state", title: "book", state: (one) => stateOf(one.top.state, one.top.reason) },
      { name: "outcome", title: "outcome", class: "wide", text: (one) => one.tokens[0].outcome },
      { name: "bid", title: "bid", number: true, text: (one) => price(one.top.bid) },
      { name: "ask", title: "ask", number: true, text: (one) => price(one.top.ask) },
      {
        name: "spread",
        title: "spread",
        number: true,
        text: (one) => (both(one) ? decimal(Number(one.top.ask[0]) - Number(one.top.bid[0])) : "–"),
      },
      { name: "end", title: "ends in", number: true, text: (one) => endsIn(one) },
      { name: "stage", title: "stage", class: "wide", text: (one) => one.stage },
      { name: "venue", title: "venue", class: "wide", text: (one) => one.venue },
    ],
    { key: (one) => one.market, open, empty: "no market matches", sortable: false },
  );
}

/** A price difference without the noise of binary fractions. */
export function decimal(value) {
  return String(Math.round(value * 1e6) / 1e6);
}

/** The time until a market ends. */
export function endsIn(market) {
  if (!market.end_ms) return "–";
  return market.end_ms > market.now ? format.age((market.end_ms - market.now) / 1000) : "over";
}
