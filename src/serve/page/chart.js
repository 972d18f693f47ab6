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
