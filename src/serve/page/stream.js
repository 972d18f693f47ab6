// Books over /v1/stream: one WebSocket for a view, connected again where it ends.

const RETRY_MS = [500, 1000, 2000, 5000];

/** A stream of the events of some books. */
export class Stream {
  /** `query` is that of the URL; `onEvent` receives each event, `onState` true or false as it connects and ends. */
  constructor(query, onEvent, onState = () => {}) {
    Object.assign(this, { query, onEvent, onState, tokens: new Set(), socket: null, failures: 0, isClosed: false });
    this.connect();
  }

  connect() {
    const socket = new WebSocket(
      `ws${location.protocol === "https:" ? "s" : ""}://${location.host}/v1/stream?${this.query}`,
    );
    this.socket = socket;
    socket.onopen = () => {
      this.failures = 0;
      this.onState(true);
      this.send("subscribe", [...this.tokens]);
    };
    socket.onmessage = (message) => this.onEvent(JSON.parse(message.data));
    socket.onclose = () => {
      if (this.isClosed) return;
      this.onState(false);
      this.timer = setTimeout(() => this.connect(), RETRY_MS[Math.min(this.failures, RETRY_MS.length - 1)]);
      this.failures += 1;
    };
  }

  send(what, tokens) {
    if (tokens.length > 0 && this.socket.readyState === WebSocket.OPEN)
      this.socket.send(JSON.stringify({ [what]: tokens }));
  }

  /** The books that are wanted from now on. */
  setTokens(tokens) {
    const wanted = new Set(tokens);
    this.send(
      "unsubscribe",
      [...this.tokens].filter((token) => !wanted.has(token)),
    );
    this.send(
      "subscribe",
      [...wanted].filter((token) => !this.tokens.has(token)),
    );
    this.tokens = wanted;
  }

  close() {
    this.isClosed = true;
    clearTimeout(this.timer);
    this.socket.close();
  }
}

/** One book as the stream's events make it. Prices and sizes are texts, as sent. */
export class Book {
  constructor() {
    this.bids = new Map();
    this.asks = new Map();
    this.state = "";
    this.reason = "";
    this.sinceNs = 0;
    this.version = 0;
    this.changedMs = 0;
    this.tick = "";
    this.last = "";
    this.changes = 0;
  }

  apply(event) {
    if (event.kind === "snapshot") {
      this.bids = new Map(event.bids);
      this.asks = new Map(event.asks);
      this.tick = event.tick_size ?? this.tick;
      this.last = event.last_trade_price ?? this.last;
    } else if (event.kind === "change") {
      for (const [side, levels] of [
        [this.bids, event.bids],
        [this.asks, event.asks],
      ]) {
        for (const [price, size] of levels ?? []) {
          if (size === "0") side.delete(price);
          else side.set(price, size);
        }
      }
      this.changes += 1;
    } else if (event.kind === "trade") this.last = event.price;
    else if (event.kind === "tick") this.tick = event.new;
    if (event.state) {
      this.state = event.state;
      this.reason = event.reason ?? "";
      this.sinceNs = event.since ?? 0;
    }
    this.version = event.version ?? this.version;
    this.changedMs = event.venue_time ?? this.changedMs;
  }

  /** Levels of a side, best first: {price, size, total}, and the number of levels beyond. */
  levels(side, most) {
    const isBid = side === "bids";
    const all = [...this[side]].map(([price, size]) => ({ text: price, price: Number(price), size: Number(size) }));
    all.sort((a, b) => (isBid ? b.price - a.price : a.price - b.price));
    let total = 0;
    const shown = all.slice(0, most).map((level) => ({ ...level, total: (total += level.size) }));
    return { shown, beyond: all.length - shown.length };
  }
}

/** The state of a book as level, word. */
export function stateOf(state, reason) {
  if (state === "live") return ["ok", "live"];
  if (state === "stale") return ["bad", `stale:${reason}`];
  if (state === "closed") return ["off", "closed"];
  return state ? ["warn", state] : ["off", "no data yet"];
}
