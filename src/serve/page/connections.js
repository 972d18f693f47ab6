// The view "Connections": one row each, recycles as they happen, and a way to ask for one.
import { Table, h, setText } from "./dom.js";
import * as format from "./format.js";

const LEVELS = { active: "ok", dialing: "warn", waiting: "bad", closing: "off" };
const PHASES = {
  opening: "dialed",
  filling: "receives snapshots",
  settling: "has every snapshot",
  switching: "switches",
};

export function create(root, { stats }) {
  const summary = h("p", { class: "muted" });
  const note = h("p", { role: "status" });
  const table = connectionTable(ask);
  const progress = progressTable();
  const done = doneTable();
  const progressTitle = h("h2", {}, "Recycles under way");
  root.append(
    h("div", { class: "view-top" }, h("h2", {}, "Connections"), summary),
    note,
    table.node,
    progressTitle,
    progress.node,
    h("h2", {}, "Last recycles"),
    done.node,
  );

  /** Asks a person, then the engine. */
  async function ask(connection) {
    const isSure = await confirm(connection);
    if (!isSure) return;
    setText(note, `${connection.name}: asked for a recycle`);
    const answer = await fetch(`/admin/recycle?connection=${connection.id}`, { method: "POST" }).catch(
      (error) => error,
    );
    if (answer instanceof Error) setText(note, `${connection.name}: ${answer.message}`);
    else if (answer.ok) setText(note, `${connection.name}: the recycle is queued`);
    else setText(note, `${connection.name}: ${(await answer.json()).error}`);
  }

  function update() {
    const latest = stats.latest;
    if (!latest) return;
    const { pool, recycling } = latest;
    setText(
      summary,
      `${format.count(pool.connections_active)} of ${format.count(pool.connections.length)} up, ` +
        `${format.count(pool.tokens_per_connection_target)} tokens each at most, ${format.count(pool.reconnects)} reconnects, ` +
        `${format.count(pool.dials_failed)} failed dials`,
    );
    const replaced = new Map();
    for (const one of recycling.replacements) {
      for (const id of one.from) replaced.set(id, `replaced by connection-${one.to}`);
      replaced.set(one.to, `replaces connection-${one.from.join(", ")}`);
    }
    for (const id of recycling.queued) replaced.set(id, "recycle queued");
    table.update(
      pool.connections.map((one) => ({ ...one, now: latest.now_wall_ns, recycle: replaced.get(one.id) ?? "" })),
    );
    progressTitle.hidden = progress.node.hidden = recycling.replacements.length === 0;
    progress.update(recycling.replacements.map((one) => ({ ...one, now: latest.now_wall_ns })));
    done.update([...recycling.handovers].reverse());
  }

  function key(event) {
    const connection = event.key === "r" ? table.focused() : null;
    if (connection && isRecyclable(connection)) ask(connection);
    return Boolean(connection);
  }
  return { update, key, table };
}

function isRecyclable(connection) {
  return connection.state === "active" && connection.recycle === "";
}

/** A dialog; true if the person agrees. */
function confirm(connection) {
  return new Promise((resolve) => {
    const cancel = h("button", { type: "button", onclick: () => dialog.close("") }, "Cancel");
    const agree = h("button", { type: "button", class: "main", onclick: () => dialog.close("yes") }, "Recycle");
    const dialog = h(
      "dialog",
      { "aria-labelledby": "ask-title" },
      h("h2", { id: "ask-title" }, `Recycle ${connection.name}?`),
      h(
        "p",
        {},
        `A second connection is opened and receives every snapshot of ${format.count(connection.tokens)} tokens. ` +
          "Then it takes over, and this one is closed. No book is interrupted; if the second connection does not come up, " +
          "this one stays.",
      ),
      h("div", { class: "buttons" }, cancel, agree),
    );
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
    cancel.focus();
  });
}

function connectionTable(ask) {
  const number = (name, title, text, sort, more = {}) => ({ name, title, number: true, text, sort, ...more });
  return new Table(
    "Connections",
    [
      { name: "name", title: "connection", text: (one) => one.name, sort: (one) => one.id },
      {
        name: "state",
        title: "state",
        state: (one) => [LEVELS[one.state] ?? "off", one.state],
        sort: (one) => one.state,
        tip: (one) => one.why,
      },
      {
        name: "recycle",
        title: "recycle",
        make: (_, current) => recycleCell(ask, current),
        fill: (cell, one) => fillRecycle(cell, one),
      },
      number(
        "shard",
        "shard",
        (one) => String(one.shard),
        (one) => one.shard,
      ),
      number(
        "tokens",
        "tokens",
        (one) => format.count(one.tokens),
        (one) => one.tokens,
      ),
      number(
        "live",
        "live books",
        (one) => format.count(one.snapshots),
        (one) => one.snapshots,
        { mark: (one) => (one.snapshots + one.tokens_expired < one.tokens ? "warn-text" : "") },
      ),
      number(
        "age",
        "age",
        (one) => format.since(one.connected_wall_ns, one.now),
        (one) => -one.connected_wall_ns,
      ),
      number(
        "pollution",
        "ended tokens",
        (one) => format.percent(one.pollution, 1),
        (one) => one.pollution,
      ),
      number(
        "lag",
        "lag",
        (one) => format.duration(one.lag_ns),
        (one) => one.lag_ns,
        { about: "Age of its last message when it was read; contains the difference of the clocks" },
      ),
      number(
        "data",
        "last data",
        (one) => format.since(one.last_data_wall_ns, one.now),
        (one) => -one.last_data_wall_ns,
      ),
      number(
        "pong",
        "last pong",
        (one) => format.since(one.last_pong_wall_ns, one.now),
        (one) => -one.last_pong_wall_ns,
        { class: "wide" },
      ),
      number(
        "frames",
        "frames",
        (one) => format.count(one.frames),
        (one) => one.frames,
        { class: "wide" },
      ),
      number(
        "bytes",
        "received",
        (one) => format.bytes(one.bytes),
        (one) => one.bytes,
        { class: "wide" },
      ),
      number(
        "errors",
        "not decoded",
        (one) => format.count(one.decode_errors),
        (one) => one.decode_errors,
        { class: "wide", mark: (one) => (one.decode_errors > 0 ? "bad-text" : "") },
      ),
      number(
        "reconnects",
        "reconnects",
        (one) => format.count(one.reconnects),
        (one) => one.reconnects,
      ),
      { name: "why", title: "last error", class: "text", text: (one) => one.why, tip: (one) => one.why },
    ],
    { key: (one) => one.id, sort: { name: "name", descending: false }, empty: "no connection yet" },
  );
}

function recycleCell(ask, current) {
  const button = h(
    "button",
    { type: "button", class: "small", tabindex: "-1", onclick: () => ask(current()) },
    "Recycle",
  );
  return h("span", {}, button, h("span", { class: "muted" }));
}

function fillRecycle(cell, one) {
  const [button, text] = cell.firstChild.children;
  button.hidden = !isRecyclable(one);
  button.setAttribute("aria-label", `Recycle ${one.name}`);
  setText(text, one.recycle);
}

function progressTable() {
  const share = (one) => (one.owing == null ? 0 : 1 - one.owing / Math.max(1, one.tokens));
  return new Table(
    "Recycles under way",
    [
      { name: "from", title: "connection", text: (one) => one.from.join(", ") },
      { name: "to", title: "replacement", number: true, text: (one) => String(one.to) },
      { name: "reason", title: "reason", text: (one) => one.reason },
      { name: "phase", title: "phase", text: (one) => PHASES[one.phase] ?? one.phase },
      { name: "tokens", title: "tokens", number: true, text: (one) => format.count(one.tokens) },
      { name: "owing", title: "snapshots missing", number: true, text: (one) => format.count(one.owing) },
      {
        name: "bar",
        title: "progress",
        make: () => h("div", { class: "bar" }, h("span", { class: "done" })),
        fill: (cell, one) => {
          cell.firstChild.firstChild.style.width = `${share(one) * 100}%`;
        },
      },
      { name: "time", title: "time", number: true, text: (one) => format.since(one.began_wall_ns, one.now) },
    ],
    { key: (one) => one.to },
  );
}

function doneTable() {
  const number = (name, title, text, more = {}) => ({ name, title, number: true, text, ...more });
  return new Table(
    "Last recycles",
    [
      { name: "began", title: "began", text: (one) => format.clock(one.began_wall_ns / 1e6) },
      { name: "from", title: "connection", text: (one) => [one.from, ...one.merged].join(", ") },
      number("to", "replacement", (one) => String(one.to)),
      { name: "reason", title: "reason", text: (one) => one.reason },
      number("tokens", "tokens", (one) => format.count(one.tokens)),
      number("dial", "dial", (one) => format.duration(one.dial_ns)),
      number("fill", "snapshots", (one) => format.duration(one.fill_ns)),
      number("settle", "settle", (one) => format.duration(one.settle_ns), { class: "wide" }),
      number("switch", "switch", (one) => format.duration(one.switch_ns)),
      number("messages", "messages of both", (one) => format.count(one.messages), { class: "wide" }),
      number("duplicates", "delivered twice", (one) => format.count(one.duplicates), { class: "wide" }),
      number("differences", "on one only", (one) => format.count(one.differences)),
      number("interrupted", "interrupted books", (one) => format.count(one.interrupted), {
        mark: (one) => (one.interrupted > 0 ? "bad-text" : ""),
      }),
    ],
    { key: (one) => `${one.to}-${one.began_wall_ns}`, empty: "no connection was recycled yet" },
  );
}
