// Small charts on a canvas, in the colours of the style sheet.

/** A canvas context in CSS pixels, cleared, with its size. */
export function begin(canvas) {
  const scale = window.devicePixelRatio || 1;
  const width = canvas.clientWidth;
  const height = canvas.clientHeight;
  const [w, hgt] = [Math.round(width * scale), Math.round(height * scale)];
  if (canvas.width !== w || canvas.height !== hgt) {
    canvas.width = w;
    canvas.height = hgt;
  }
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}

/** A colour of the style sheet. */
export function color(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** A line of values without axes, from the right edge to the left; `slots` values fill the width. */
export function spark(canvas, values, slots) {
  const { context, width, height } = begin(canvas);
  if (values.length < 2 || width === 0) return;
  const most = Math.max(...values, 1e-9) * 1.1;
  const x = (place) => width - ((values.length - 1 - place) * width) / (slots - 1);
  const y = (value) => height - 1 - (value / most) * (height - 3);
  const accent = color("accent");
  context.beginPath();
  values.forEach((value, place) => context.lineTo(x(place), y(value)));
  context.strokeStyle = accent;
  context.lineWidth = 1.3;
  context.lineJoin = "round";
  context.stroke();
  context.lineTo(x(values.length - 1), height);
  context.lineTo(x(0), height);
  context.closePath();
  context.globalAlpha = 0.12;
  context.fillStyle = accent;
  context.fill();
  context.globalAlpha = 1;
}

const LEFT = 46;
const BOTTOM = 20;
const TOP = 6;

/** Round steps over a range: at most `count` of them. */
function steps(low, high, count) {
  const raw = (high - low) / count || 1;
  const size = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * size).find((one) => one >= raw);
  const found = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step * 1e-6; at += step) found.push(at);
  return found;
}

/** Times on the hour, minute or second; at most `count` of them. */
function timeSteps(low, high, count) {
  const sizes = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400].map(
    (s) => s * 1000,
  );
  const step = sizes.find((size) => (high - low) / size <= count) ?? sizes.at(-1);
  const found = [];
  for (let at = Math.ceil(low / step) * step; at <= high; at += step) found.push(at);
  return found;
}

/** A frame with a time axis and horizontal lines; `ticks` are [value, text]; y maps a value to pixels. */
function frame({ context, width, height }, [lowMs, highMs], ticks, y) {
  const x = (ms) => LEFT + ((ms - lowMs) / Math.max(1, highMs - lowMs)) * (width - LEFT - 8);
  context.font = "11px system-ui, sans-serif";
  context.lineWidth = 1;
  context.strokeStyle = color("line");
  context.fillStyle = color("muted");
  context.textAlign = "right";
  context.textBaseline = "middle";
  for (const [value, text] of ticks) {
    const at = Math.round(y(value)) + 0.5;
    context.beginPath();
    context.moveTo(LEFT, at);
    context.lineTo(width, at);
    context.stroke();
    context.fillText(text, LEFT - 6, at);
  }
  context.textAlign = "center";
  context.textBaseline = "top";
  for (const ms of timeSteps(lowMs, highMs, Math.max(2, Math.floor((width - LEFT) / 80)))) {
    const at = x(ms);
    if (at > LEFT + 20 && at < width - 24)
      context.fillText(new Date(ms).toLocaleTimeString("en-GB"), at, height - BOTTOM + 6);
  }
  return x;
}

function note(canvas, text) {
  const { context, width, height } = canvas;
  context.font = "13px system-ui, sans-serif";
  context.fillStyle = color("muted");
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillText(text, width / 2, height / 2);
}

/**
 * Trades ({ms, price, size}, by time) as points with a volume histogram below, stored prices ({ms, price}) as smaller
 * points, and the mid price as a line.
 */
export function priceChart(canvas, { trades, stored, mids }, outcome) {
  const area = begin(canvas);
  const { context, width, height } = area;
  const all = [...trades, ...stored, ...mids];
  if (all.length === 0 || width === 0) return note(area, "no trade and no live book in this time");
  const lowMs = Math.min(...[trades, stored, mids].map((some) => some[0]?.ms ?? Infinity));
  const highMs = Math.max(Date.now(), lowMs + 10_000);
  let [low, high] = [Math.min(...all.map((one) => one.price)), Math.max(...all.map((one) => one.price))];
  const pad = Math.max((high - low) * 0.12, 0.004);
  [low, high] = [Math.max(0, low - pad), Math.min(1, high + pad)];
  const floor = height - BOTTOM;
  const volumeTop = floor - (floor - TOP) * 0.22;
  const y = (price) => TOP + ((high - price) / (high - low)) * (volumeTop - 6 - TOP);
  const ticks = steps(low, high, 5).map((price) => [price, String(Math.round(price * 1e4) / 1e4)]);
  const x = frame(area, [lowMs, highMs], ticks, y);
  // Volume, in columns of some pixels.
  const columns = Math.max(20, Math.floor((width - LEFT) / 5));
  const sums = new Array(columns).fill(0);
  for (const trade of trades) {
    const at = Math.floor(((trade.ms - lowMs) / (highMs - lowMs)) * (columns - 1));
    sums[Math.min(columns - 1, Math.max(0, at))] += trade.size;
  }
  const most = Math.max(...sums, 1e-9);
  context.fillStyle = color("muted");
  context.globalAlpha = 0.45;
  const step = (width - LEFT - 8) / columns;
  sums.forEach((size, place) => {
    const tall = (size / most) * (floor - volumeTop);
    if (size > 0) context.fillRect(LEFT + place * step, floor - tall, Math.max(1, step - 1), tall);
  });
  context.globalAlpha = 1;
  context.strokeStyle = color("muted");
  context.lineWidth = 1;
  context.beginPath();
  mids.forEach((mid, place) => {
    const isGap = place > 0 && mid.ms - mids[place - 1].ms > 5000;
    if (place === 0 || isGap) context.moveTo(x(mid.ms), y(mid.price));
    else context.lineTo(x(mid.ms), y(mid.price));
  });
  context.stroke();
  context.fillStyle = color("accent");
  for (const [points, radius] of [
    [stored, 1.4],
    [trades, 2.2],
  ]) {
    for (const point of points) {
      context.beginPath();
      context.arc(x(point.ms), y(point.price), radius, 0, 7);
      context.fill();
    }
  }
  context.fillStyle = color("muted");
  context.textAlign = "left";
  context.textBaseline = "top";
  const long = `price of ${outcome}: points are trades, the line is the mid price; below: size traded`;
  const isNarrow = context.measureText(long).width > width - LEFT - 8;
  context.fillText(isNarrow ? `price of ${outcome}; below: size traded` : long, LEFT + 4, TOP);
}

/** Powers of ten and 2, 5 between them within a range, for a logarithmic axis. */
function logSteps(low, high) {
  const found = [];
  for (let size = 10 ** Math.floor(Math.log10(low)); size <= high; size *= 10) {
    for (const factor of [1, 2, 5]) if (size * factor >= low && size * factor <= high) found.push(size * factor);
  }
  return found;
}

/** Lines of values ({ms, name: value}) over time on a logarithmic axis; `keys` are {name, color}. */
export function lines(canvas, values, keys, textOf) {
  const area = begin(canvas);
  const { context, width, height } = area;
  if (values.length < 2 || width === 0) return note(area, "collects; two seconds with values are needed");
  const all = values.flatMap((one) => keys.map(({ name }) => one[name])).filter((value) => value > 0);
  const [low, high] = [Math.min(...all) / 1.3, Math.max(...all) * 1.3];
  const floor = height - BOTTOM;
  const y = (value) => floor - (Math.log(Math.max(value, low) / low) / Math.log(high / low)) * (floor - TOP);
  let ticks = logSteps(low, high);
  if (ticks.length > 8) ticks = ticks.filter((value) => String(value).startsWith("1"));
  const lowMs = values[0].ms;
  const highMs = Math.max(values.at(-1).ms, lowMs + 60_000);
  const x = frame(
    area,
    [lowMs, highMs],
    ticks.map((value) => [value, textOf(value).replace(/\.0+ /, " ")]),
    y,
  );
  for (const { name, color: colorName } of keys) {
    context.strokeStyle = color(colorName);
    context.lineWidth = 1.4;
    context.beginPath();
    values.forEach((one, place) => {
      const isGap = place > 0 && one.ms - values[place - 1].ms > 10_000;
      if (place === 0 || isGap) context.moveTo(x(one.ms), y(one[name]));
      else context.lineTo(x(one.ms), y(one[name]));
    });
    context.stroke();
  }
}

/** A histogram of buckets [upper bound, count] on a logarithmic axis, with marks at p50 and p99. */
export function histogram(canvas, buckets, marks, textOf) {
  const area = begin(canvas);
  const { context, width, height } = area;
  if (width === 0) return;
  if (buckets.length === 0) return note(area, "no value in this time");
  const low = buckets[0][0] / 1.2;
  const high = Math.max(buckets.at(-1)[0] * 1.2, low * 10);
  const floor = height - BOTTOM;
  const x = (value) => 4 + (Math.log(value / low) / Math.log(high / low)) * (width - 8);
  // Columns of four pixels: several buckets may share one.
  const columns = Math.max(10, Math.floor(width / 4));
  const sums = new Array(columns).fill(0);
  for (const [upper, count] of buckets)
    sums[Math.min(columns - 1, Math.max(0, Math.floor((x(upper) / width) * columns)))] += count;
  const most = Math.max(...sums);
  context.fillStyle = color("accent");
  context.globalAlpha = 0.75;
  sums.forEach((count, place) => {
    const tall = count === 0 ? 0 : Math.max(1, (count / most) * (floor - 2 * LABEL - 2));
    context.fillRect((place * width) / columns, floor - tall, width / columns - 1, tall);
  });
  context.globalAlpha = 1;
  context.strokeStyle = color("line");
  context.beginPath();
  context.moveTo(0, floor + 0.5);
  context.lineTo(width, floor + 0.5);
  context.stroke();
  context.font = "11px system-ui, sans-serif";
  context.fillStyle = color("muted");
  context.textBaseline = "top";
  context.textAlign = "center";
  let free = 0;
  for (const value of logSteps(low, high)) {
    const [at, text] = [x(value), textOf(value).replace(/\.0+ /, " ")];
    const half = context.measureText(text).width / 2;
    if (!String(value).startsWith("1") && high / low > 3000) continue;
    if (at - half < free || at + half > width) continue;
    context.fillText(text, at, floor + 5);
    free = at + half + 8;
  }
  const labels = ["p50", "p99"].map((name, place) => {
    const text = `${name} ${textOf(marks[place])}`;
    return { text, at: Math.round(x(marks[place])) + 0.5, wide: context.measureText(text).width };
  });
  for (const [place, { text, left, row, at }] of markLabels(labels, width).entries()) {
    context.strokeStyle = context.fillStyle = color(place === 0 ? "text" : "warn");
    context.beginPath();
    context.moveTo(at, (row + 1) * LABEL + 2);
    context.lineTo(at, floor);
    context.stroke();
    context.textAlign = "left";
    context.fillText(text, left, row * LABEL);
  }
}

/** Height of a label of a histogram, pixels. */
const LABEL = 12;

/**
 * Places of two labels {at, wide} whose marks are in this order: the first one before its mark, the second one behind,
 * in one row where there is room, else in two. A line begins below its label, and below one that it would cross.
 */
export function markLabels([first, second], width) {
  const before = ({ at, wide }) => at - 3 - wide;
  const behind = ({ at }) => at + 3;
  const within = (left, { wide }) => Math.max(0, Math.min(left, width - wide));
  const a = { ...first, left: within(before(first) >= 0 ? before(first) : behind(first), first), row: 0 };
  const right = behind(second) + second.wide <= width ? behind(second) : before(second);
  const b = { ...second, left: within(right, second), row: 0 };
  const overlaps = a.left < b.left + b.wide + 6 && b.left < a.left + a.wide + 6;
  const crosses = (one, at) => one.left - 2 < at && at < one.left + one.wide + 2;
  if (overlaps || crosses(a, b.at) || crosses(b, a.at)) {
    // The line of the label in the upper row would cross the lower one: that one moves aside.
    b.row = 1;
    if (crosses(b, a.at)) b.left = within(a.at + 3 + b.wide <= width ? a.at + 3 : a.at - 3 - b.wide, b);
  }
  return [a, b];
}
