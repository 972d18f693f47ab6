// Data of the page: /stats once a second while it is seen, and books over /v1/stream.

const POLL_MS = 1000;
const HISTORY = 300;

/** The answer of a path as JSON; an error names the path and the status. */
export async function get(path) {
  const answer = await fetch(path, { signal: AbortSignal.timeout(6000) });
  const type = answer.headers.get("Content-Type") ?? "";
  const body = type.startsWith("application/json") ? await answer.json() : {};
  if (!answer.ok) throw new Error(body.error ?? `${path}: HTTP ${answer.status}`);
  return body;
}

/** Sums of a key over the shards. */
export function sum(stats, key) {
  return stats.shards.reduce((total, shard) => total + (shard[key] ?? 0), 0);
}

/** What changes a second is made from, of each shard. */
const RATED = ["messages", "frames", "updates", "trades", "bytes"];

/** The engine's statistics, and how they change. */
export class Stats {
  constructor(onChange) {
    this.onChange = onChange;
    this.latest = null;
    this.receivedMs = 0;
    this.error = null;
    /** Rates a second: {ms, messages, frames, updates, trades, bytes}, oldest first. */
    this.rates = [];
    this.beats = new Map();
    this.conditions = [];
    this.counters = new Map();
    this.timer = null;
    document.addEventListener("visibilitychange", () => this.schedule(0));
    this.schedule(0);
    this.loadTexts();
  }

  schedule(delayMs) {
    clearTimeout(this.timer);
    if (document.visibilityState === "visible") this.timer = setTimeout(() => this.poll(), delayMs);
  }

  async poll() {
    const beganMs = performance.now();
    try {
      const stats = await get("/stats");
      this.rate(stats);
      this.latest = stats;
      this.receivedMs = performance.now();
      this.error = null;
      if (this.conditions.length === 0) this.loadTexts();
    } catch (error) {
      this.error = error.message;
    }
    this.onChange();
    this.schedule(Math.max(100, POLL_MS - (performance.now() - beganMs)));
  }

  async loadTexts() {
    try {
      const [conditions, counters] = await Promise.all([get("/conditions"), get("/counters")]);
      this.conditions = conditions.map(({ condition, remedy }) => ({ pattern: patternOf(condition), remedy }));
      this.counters = new Map(counters.map((counter) => [counter.name, counter]));
    } catch {
      // The next poll asks again.
    }
  }

  /** Rates from the counters of each shard and the times of its heartbeats. */
  rate(stats) {
    const rates = { ms: stats.now_wall_ns / 1e6 };
    for (const key of RATED) rates[key] = 0;
    for (const shard of stats.shards) {
      const before = this.beats.get(shard.shard);
      const seconds = before ? (shard.heartbeat_wall_ns - before.ns) / 1e9 : 0;
      const beat = { ns: shard.heartbeat_wall_ns, counts: {}, rates: before?.rates ?? {} };
      for (const key of RATED) {
        beat.counts[key] = shard[key];
        const grown = before ? shard[key] - before.counts[key] : 0;
        // A shard that has started again counts from zero.
        if (seconds > 0) beat.rates[key] = Math.max(0, grown) / seconds;
        rates[key] += beat.rates[key] ?? 0;
      }
      this.beats.set(shard.shard, beat);
    }
    const isFirst = this.latest === null || this.latest.started_wall_ns !== stats.started_wall_ns;
    if (isFirst) {
      this.rates = [];
      return;
    }
    this.rates.push(rates);
    if (this.rates.length > HISTORY) this.rates.shift();
  }

  /** What to do about a line of /health. */
  remedy(line) {
    const withoutVenue = line.replace(/^[a-z]+: /, "");
    const match = (text) => this.conditions.find(({ pattern }) => pattern.test(text));
    return (match(line) ?? match(withoutVenue))?.remedy ?? "";
  }

  /** What to do about a metric that rises. */
  advice(name) {
    return this.counters.get(`ringbook_${name}`)?.when_it_rises ?? "";
  }
}

/** A condition whose parts in braces stand for any text. */
function patternOf(condition) {
  const escape = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  return new RegExp(
    `^${condition
      .split(/\{[a-z]+\}/)
      .map(escape)
      .join("[^]*")}$`,
  );
}
