// The page: views, keys, theme, and when to draw.
import { h, setState, setText } from "./dom.js";
import { Stats } from "./source.js";
import * as overview from "./overview.js";
import * as connections from "./connections.js";
import * as latency from "./latency.js";
import * as markets from "./markets.js";
import * as market from "./market.js";

const VIEWS = [
  ["overview", "Overview", overview],
  ["connections", "Connections", connections],
  ["markets", "Markets", markets],
  ["latency", "Latency", latency],
];
/** A view without a link of its own: its name, the link that is current meanwhile, its module. */
const INNER = [["market", "markets", market]];
/** Shortest time between two drawings: 30 a second. */
const DRAW_MS = 33;

const root = document.getElementById("view");
const stats = new Stats(() => draw());
let view = null;
let isDirty = false;
let drawnMs = 0;

/** Has the view drawn soon; many calls make one drawing. */
function draw() {
  if (isDirty) return;
  isDirty = true;
  requestAnimationFrame(drawNow);
}

function drawNow(nowMs) {
  if (nowMs - drawnMs < DRAW_MS) {
    requestAnimationFrame(drawNow);
    return;
  }
  isDirty = false;
  drawnMs = nowMs;
  showStatus();
  view?.update();
}

/** The verdict in the header, and the banner while the engine does not answer. */
function showStatus() {
  const verdict = document.getElementById("verdict");
  const { latest, error } = stats;
  const health = latest?.health;
  if (error) setState(verdict, "bad", "No answer");
  else if (!health) setState(verdict, "off", "Connecting");
  else if (!health.healthy)
    setState(verdict, "bad", `${health.reasons.length} faults`.replace(/^1 faults/, "1 fault"));
  else if (health.in_grace) setState(verdict, "warn", "Starting");
  else if (health.notices.length > 0) setState(verdict, "warn", "Healthy, with notices");
  else setState(verdict, "ok", "Healthy");
  const outage = document.getElementById("outage");
  outage.hidden = !error;
  if (error) {
    setText(
      outage,
      `The engine does not answer (${error}). Figures below are the last ones. Check that the process runs; ` +
        "the page asks again every second.",
    );
  }
  const seconds = (performance.now() - stats.receivedMs) / 1000;
  setText(document.getElementById("age"), latest ? `updated ${seconds.toFixed(0)} s ago` : "");
  document.title = health ? `${health.healthy ? "" : "! "}ringbook` : "ringbook";
}

function open() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [name, ...rest] = path.split("/");
  const inner = INNER.find(([id]) => id === name);
  const [id, , module] = inner ? [inner[1], "", inner[2]] : (VIEWS.find(([one]) => one === name) ?? VIEWS[0]);
  view?.close?.();
  root.replaceChildren();
  for (const link of document.querySelectorAll("nav a")) {
    const isCurrent = link.hash === `#/${id}`;
    if (isCurrent) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  view = module.create(root, {
    stats,
    draw,
    rest: rest.join("/"),
    query,
    go: (hash) => {
      location.hash = hash;
    },
  });
  window.scrollTo(0, 0);
  draw();
}

const THEMES = ["system", "light", "dark"];
const darkSystem = matchMedia("(prefers-color-scheme: dark)");

/** Applies the theme that the reader has chosen, or that of the system. */
function showTheme() {
  const chosen = localStorage.getItem("theme") ?? "system";
  const isDark = chosen === "dark" || (chosen === "system" && darkSystem.matches);
  document.documentElement.dataset.theme = isDark ? "dark" : "light";
  setText(document.getElementById("theme"), { system: "System", light: "Light", dark: "Dark" }[chosen]);
  draw();
}

function nextTheme() {
  const at = THEMES.indexOf(localStorage.getItem("theme") ?? "system");
  localStorage.setItem("theme", THEMES[(at + 1) % THEMES.length]);
  showTheme();
}

function onKey(event) {
  if (event.defaultPrevented || event.ctrlKey || event.altKey || event.metaKey) return;
  if (document.querySelector("dialog[open]") || event.target.closest("input, select, textarea")) return;
  const place = Number(event.key) - 1;
  if (VIEWS[place]) location.hash = `#/${VIEWS[place][0]}`;
  else if (event.key === "?") document.getElementById("help").showModal();
  else if (event.key === "t") nextTheme();
  else if (event.key === "j" || event.key === "ArrowDown") view?.table?.move(1);
  else if (event.key === "k" || event.key === "ArrowUp") view?.table?.move(-1);
  else if (!view?.key?.(event)) return;
  event.preventDefault();
}

document.querySelector("nav").append(...VIEWS.map(([id, title]) => h("a", { href: `#/${id}` }, title)));
document.getElementById("theme").addEventListener("click", nextTheme);
document.getElementById("keys").addEventListener("click", () => document.getElementById("help").showModal());
darkSystem.addEventListener("change", showTheme);
window.addEventListener("hashchange", open);
window.addEventListener("resize", draw);
document.addEventListener("keydown", onKey);
setInterval(draw, 1000);
showTheme();
open();
