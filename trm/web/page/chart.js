// Curves as SVG. A series is {name, points: [[x, y], ...], mark: [x, y] or null}.

const SVG = "http://www.w3.org/2000/svg";
const [HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [190, 46, 12, 14, 26]; // pixels

function add(parent, name, attributes, text) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  parent.append(element);
  return element;
}

// Draws curves. `half` draws a line at 0.5, `now` a line at that x.
export function drawChart(element, series, { label, xName, yRange, half, now, xRange }) {
  const points = series.flatMap((one) => one.points);
  const svg = document.createElementNS(SVG, "svg");
  const width = Math.max(200, element.clientWidth);
  svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", label);
  element.replaceChildren(svg);
  const [x0, x1] = xRange ?? range(points.map(([x]) => x)), [y0, y1] = yRange ?? range(points.map(([, y]) => y));
  const x = (value) => LEFT + ((value - x0) / (x1 - x0 || 1)) * (width - LEFT - RIGHT);
  const y = (value) => HEIGHT - BOTTOM - ((value - y0) / (y1 - y0 || 1)) * (HEIGHT - TOP - BOTTOM);
  for (const value of [y0, (y0 + y1) / 2, y1]) {
    add(svg, "line", { x1: LEFT, x2: width - RIGHT, y1: y(value), y2: y(value), class: half && value === 0.5 ? "half" : "axis" });
    add(svg, "text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, short(value));
  }
  for (const value of ticks(x0, x1, width))
    add(svg, "text", { x: x(value), y: HEIGHT - 8, "text-anchor": value === x1 ? "end" : "middle" }, value === x1 ? `${xName} ${short(value)}` : short(value));
  if (now !== undefined) add(svg, "line", { x1: x(now), x2: x(now), y1: TOP, y2: HEIGHT - BOTTOM, class: "now" });
  series.forEach((one, number) => {
    const path = one.points.map(([px, py]) => `${x(px).toFixed(1)},${y(py).toFixed(1)}`).join(" ");
    add(svg, "polyline", { points: path, class: `series s${number}` });
    if (one.mark) {
      add(svg, "circle", { cx: x(one.mark[0]), cy: y(one.mark[1]), r: 5, class: `dot s${number}` });
      const right = x(one.mark[0]) > width / 2, low = y(one.mark[1]) > HEIGHT - BOTTOM - 24;
      add(svg, "text", { x: x(one.mark[0]) + (right ? -9 : 9), y: y(one.mark[1]) + (number || low ? -8 : 16),
        "text-anchor": right ? "end" : "start", class: `s${number}` }, one.markText);
    }
  });
}

function range(values) {
  const low = Math.min(...values), high = Math.max(...values);
  return !values.length ? [0, 1] : low === high ? [Math.min(0, low), Math.max(low, 0) || 1] : [low, high];
}

function ticks(low, high, width) {
  const span = high - low, rough = (span * 90) / width || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = Math.max(Number.isInteger(low) && span >= 1 ? 1 : 0, [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough));
  const found = [];
  for (let value = Math.ceil(low / step) * step; value < high - step * 0.6; value += step) found.push(value);
  return [...found, high];
}

export function short(value) {
  const size = Math.abs(value);
  if (size >= 1e6) return `${(value / 1e6).toPrecision(3)}M`;
  if (size >= 1e4) return `${(value / 1e3).toPrecision(3)}k`;
  return String(Number(value.toPrecision(3)));
}
