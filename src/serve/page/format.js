// Numbers and times as people read them.

const GROUPED = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

/** A whole number with thousands separated. */
export function count(value) {
  return value == null || Number.isNaN(value) ? "–" : GROUPED.format(value);
}

/** A rate a second: whole above 10, one decimal below. */
export function rate(value) {
  if (value == null || !Number.isFinite(value)) return "–";
  return value >= 10 || value === 0 ? count(Math.round(value)) : value.toFixed(1);
}

/** A share from 0 to 1 in percent. It reads 100 % only when it is. */
export function percent(value, decimals = 2) {
  if (value == null) return "–";
  if (value === 1) return "100 %";
  const scale = 10 ** decimals;
  return `${(Math.floor(value * 100 * scale) / scale).toFixed(decimals)} %`;
}

/** Bytes in binary units. */
export function bytes(value) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let place = 0;
  let left = value;
  while (left >= 1024 && place < units.length - 1) {
    left /= 1024;
    place += 1;
  }
  return `${place === 0 || left >= 100 ? Math.round(left) : left.toFixed(1)} ${units[place]}`;
}

/** A duration in nanoseconds, with three digits. */
export function duration(ns) {
  if (ns == null || ns <= 0) return "–";
  const units = [
    [1e9, "s"],
    [1e6, "ms"],
    [1e3, "µs"],
    [1, "ns"],
  ];
  if (ns >= 60e9) return age(ns / 1e9);
  const [scale, unit] = units.find(([size]) => ns >= size) ?? units[3];
  const value = ns / scale;
  const text = value >= 100 || unit === "ns" ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
  return `${text} ${unit}`;
}

/** An age in seconds, in its two largest units. */
export function age(seconds) {
  if (seconds == null) return "–";
  const whole = Math.max(0, Math.floor(seconds));
  const days = Math.floor(whole / 86400);
  const hours = Math.floor((whole % 86400) / 3600);
  const minutes = Math.floor((whole % 3600) / 60);
  const two = (value) => String(value).padStart(2, "0");
  if (days > 0) return `${days} d ${two(hours)} h`;
  if (hours > 0) return `${hours} h ${two(minutes)} min`;
  if (minutes > 0) return `${minutes} min ${two(whole % 60)} s`;
  return `${whole} s`;
}

/** The age of a time in nanoseconds since 1970; a dash where it never was. */
export function since(thenNs, nowNs) {
  return thenNs ? age((nowNs - thenNs) / 1e9) : "–";
}

/** The local time of day of a time in milliseconds since 1970. */
export function clock(ms) {
  return new Date(ms).toLocaleTimeString("en-GB");
}

/** Date and time to the minute. */
export function date(ms) {
  const at = new Date(ms);
  const two = (value) => String(value).padStart(2, "0");
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  return `${day} ${two(at.getHours())}:${two(at.getMinutes())}`;
}
