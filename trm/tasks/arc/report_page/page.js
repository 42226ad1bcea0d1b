"use strict";
// The tasks are drawn when they come into view: 400 of them have thousands of grids.
// Everything from the data is set as text, never as markup.

const DATA = JSON.parse(document.getElementById("data").textContent);
const COLOR_NAMES = ["black", "blue", "red", "green", "yellow", "grey", "magenta", "orange",
  "light blue", "maroon"];
const STATUS = {
  solved: ["✓", "solved", "one of the two attempts is right"],
  near: ["≈", "near miss", "one to three wrong cells in an attempt of the right size"],
  size: ["▭", "wrong size", "neither attempt has the right size"],
  other: ["✗", "other", "more than three wrong cells, or no answer"],
  unknown: ["?", "unknown", "the true output is not known"],
};

const byId = (id) => document.getElementById(id);
const controls = { search: byId("search"), digits: byId("digits"), marks: byId("marks") };
const wanted = new Set(); // the statuses to show; none means all
let sections = [];

function element(name, className, ...children) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

function plural(count, word) {
  return `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;
}

// Grids: rows of digits, divided by "/".

const rowsOf = (grid) => (grid ? grid.split("/") : []);

function longestSide(grid) {
  return Math.max(rowsOf(grid).length, (rowsOf(grid)[0] || "").length, 1);
}

// All true grids of a task are drawn at one scale, in pixels for each cell.
function scaleOf(task) {
  return cellSize(Math.max(...task.demos.flat().map(longestSide),
    ...task.tests.flatMap(({ input, truth }) => [input, truth]).map(longestSide)));
}

function cellSize(longest) {
  const size = Math.max(5, Math.min(22, Math.floor(160 / longest)));
  return controls.digits.checked ? Math.max(11, size) : size;
}

function isLight(color) {
  const [red, green, blue] = [1, 3, 5].map((start) => parseInt(color.slice(start, start + 2), 16));
  return 0.299 * red + 0.587 * green + 0.114 * blue > 128;
}

function draw(canvas, grid, truth, size) {
  const rows = rowsOf(grid), expected = rowsOf(truth);
  const scale = window.devicePixelRatio || 1;
  const width = rows[0].length * size + 1, height = rows.length * size + 1;
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  canvas.style.width = `${width}px`;
  const pen = canvas.getContext("2d");
  pen.scale(scale, scale);
  pen.fillStyle = "#5a5a5a";
  pen.fillRect(0, 0, width, height);
  pen.font = `${Math.round(size * 0.7)}px ui-monospace, monospace`;
  pen.textAlign = "center";
  const comparable = controls.marks.checked && expected.length === rows.length
    && expected[0].length === rows[0].length;
  rows.forEach((row, y) => [...row].forEach((digit, x) => {
    const color = DATA.colors[digit], left = x * size + 1, top = y * size + 1, side = size - 1;
    pen.fillStyle = color;
    pen.fillRect(left, top, side, side);
    if (controls.digits.checked) {
      pen.fillStyle = isLight(color) ? "#000000" : "#ffffff";
      pen.fillText(digit, left + side / 2, top + side / 2 + size * 0.25);
    }
    if (comparable && expected[y][x] !== digit) { // a white frame in a black one
      pen.strokeStyle = "#000000";
      pen.strokeRect(left + 0.5, top + 0.5, side - 1, side - 1);
      pen.strokeStyle = "#ffffff";
      pen.strokeRect(left + 1.5, top + 1.5, side - 3, side - 3);
    }
  }));
}

function gridElement(grid, truth, size, label) {
  if (!grid) return element("div", "empty", label === "truth" ? "unknown" : "no cells");
  const rows = rowsOf(grid);
  const canvas = element("canvas");
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label",
    `${label}, ${plural(rows.length, "row")}: ${rows.join(", ")}`);
  canvas.dataset.grid = grid;
  draw(canvas, grid, truth, Math.min(size, cellSize(longestSide(grid))));
  return canvas;
}

function figure(label, grid, truth, size, ...lines) {
  const caption = element("figcaption", "", element("b", "", label));
  for (const line of lines) caption.append(element("br"), line);
  return element("figure", "", caption, gridElement(grid, truth, size, label));
}

const dimensions = (grid) => `${rowsOf(grid).length} x ${(rowsOf(grid)[0] || "").length}`;

function verdict(candidate, test) {
  if (test.truth === null) return [];
  if (!candidate.size_right) return [`✗ wrong size, ${dimensions(candidate.grid)}`];
  const wrong = test.cells - candidate.cells_right;
  return [wrong ? `✗ ${plural(wrong, "wrong cell")} of ${test.cells}` : "✓ right"];
}

function candidateFigure(candidate, index, test, size) {
  return figure(index < test.num_attempts ? `attempt ${index + 1}` : `candidate ${index + 1}`,
    candidate.grid, test.truth, size,
    `${plural(candidate.votes, "vote")} of ${test.votes.toLocaleString("en")}`,
    `confidence ${candidate.probability.toFixed(3)}`, ...verdict(candidate, test));
}

function testElements(test, number, count, size) {
  const title = count > 1 ? element("h3", "", `Test ${number}`, badge(test.status))
    : element("h3", "", "Test"); // whose badge is beside the ID
  const attempts = test.candidates.slice(0, test.num_attempts);
  const grids = element("div", "grids", figure("input", test.input, "", size),
    figure("truth", test.truth, "", size),
    ...attempts.map((attempt, index) => candidateFigure(attempt, index, test, size)));
  if (!test.votes) grids.append(element("p", "quiet", "No copy answered this test input."));
  const others = test.candidates.slice(test.num_attempts);
  const made = [title, grids];
  if (test.truth !== null && test.votes) {
    const rank = test.rank ? `The truth has rank ${test.rank} of ` : "The truth is none of ";
    made.push(element("p", "quiet", `${rank}${plural(test.num_candidates, "candidate")}.`));
  }
  if (others.length) {
    const left = test.num_candidates - test.candidates.length;
    const more = left ? `, ${left.toLocaleString("en")} not in this file` : "";
    const details = element("details", "",
      element("summary", "", `${plural(others.length, "more candidate")}${more}`));
    details.addEventListener("toggle", () => { // drawn when opened
      if (details.open && details.childElementCount === 1) {
        details.append(element("div", "grids", ...others.map((candidate, index) =>
          candidateFigure(candidate, index + test.num_attempts, test, size))));
      }
    });
    made.push(details);
  }
  return made;
}

function badge(status) {
  const [mark, name] = STATUS[status];
  return element("span", `badge ${status}`, `${mark} ${name}`);
}

// Sections: a heading for each task at once, its grids when it comes into view.

function fill(section) {
  const { task } = section, size = scaleOf(task);
  const body = element("div", "body");
  if (task.demos.length) {
    const pairs = task.demos.map(([input, output], index) => element("div", "pair",
      gridElement(input, "", size, `demonstration ${index + 1}, input`),
      element("span", "arrow", "→"),
      gridElement(output, "", size, `demonstration ${index + 1}, output`)));
    body.append(element("h3", "", plural(pairs.length, "demonstration")),
      element("div", "grids", ...pairs));
  }
  task.tests.forEach((test, index) =>
    body.append(...testElements(test, index + 1, task.tests.length, size)));
  section.body?.remove();
  section.body = body;
  section.element.append(body);
}

const observer = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    const section = sections[target.dataset.index];
    section.near = isIntersecting;
    if (isIntersecting && !section.body) fill(section);
  }
}, { rootMargin: "600px" });

function makeSection(task, index) {
  const link = element("a", "", task.id);
  link.href = `#${encodeURIComponent(task.id)}`;
  const statuses = [...new Set(task.tests.map((test) => test.status))];
  const made = element("section", "task", element("h2", "", link, ...statuses.map(badge)));
  made.tabIndex = -1;
  made.dataset.index = index;
  // How high it will be, so that the scroll bar is nearly right before it is drawn.
  const height = 60 + 240 * (Math.ceil(task.demos.length / 3) + task.tests.length);
  made.style.containIntrinsicSize = `auto ${height}px`;
  return { task, element: made, statuses, body: null, near: false };
}

function redraw() { // only what was drawn; the rest comes into view later
  for (const section of sections) {
    if (!section.body) continue;
    if (section.near) fill(section);
    else { section.body.remove(); section.body = null; }
  }
}

function filter() {
  const text = controls.search.value.trim().toLowerCase();
  let count = 0;
  for (const { task, element: made, statuses } of sections) {
    const fits = task.id.toLowerCase().includes(text)
      && (!wanted.size || statuses.some((status) => wanted.has(status)));
    made.hidden = !fits;
    count += fits;
  }
  byId("shown").textContent = count === sections.length ? plural(count, "task")
    : `${count.toLocaleString("en")} of ${plural(sections.length, "task")}`;
}

function makeFilters() {
  for (const [status, [mark, name, meaning]] of Object.entries(STATUS)) {
    const count = sections.filter(({ statuses }) => statuses.includes(status)).length;
    if (!count) continue;
    const button = element("button", "", `${mark} ${name} ${count.toLocaleString("en")}`);
    button.type = "button";
    button.title = meaning;
    button.setAttribute("aria-pressed", "false");
    button.addEventListener("click", () => {
      if (!wanted.delete(status)) wanted.add(status);
      button.setAttribute("aria-pressed", String(wanted.has(status)));
      filter();
    });
    byId("filters").append(button);
  }
}

function makeHeader() {
  for (const [name, value] of Object.entries(DATA.facts)) {
    byId("facts").append(element("dt", "", name), element("dd", "", value));
  }
  const table = byId("metrics").querySelector("table");
  const row = (cell, texts) => element("tr", "", ...texts.map((text) => element(cell, "", text)));
  table.append(element("thead", "", row("th", ["metric", "value", "95% interval", "of"])),
    element("tbody", "", ...DATA.metrics.map((texts) => row("td", texts))));
}

// Keys, links and the colour under the pointer.

function move(step) {
  const visible = sections.filter((section) => !section.element.hidden);
  const top = visible.findIndex(({ element: made }) => made.getBoundingClientRect().bottom > 40);
  const focused = visible.findIndex(({ element: made }) => made.contains(document.activeElement));
  const next = focused >= 0 ? focused + step : step > 0 ? top : top - 1;
  goTo(visible[Math.max(0, Math.min(visible.length - 1, next))]);
}

function goTo(section) {
  if (!section) return;
  if (!section.body) fill(section);
  section.element.focus({ preventScroll: true });
  section.element.scrollIntoView({ block: "start" });
}

function followLink() {
  let id = location.hash.slice(1);
  try { id = decodeURIComponent(id); } catch { /* a % that encodes nothing stays */ }
  goTo(sections.find(({ task }) => task.id === id));
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target === controls.search) {
    if (event.key === "Escape") controls.search.blur();
    return;
  }
  const action = {
    j: () => move(1), k: () => move(-1), "/": () => controls.search.focus(),
    d: () => controls.digits.click(), m: () => controls.marks.click(),
  }[event.key];
  if (action) {
    event.preventDefault();
    action();
  }
}

function onPointer(event) {
  const tip = byId("cell"), grid = event.target.dataset?.grid;
  tip.hidden = !grid;
  if (!grid) return;
  const rows = rowsOf(grid), box = event.target.getBoundingClientRect();
  const place = (at, start, length, count) =>
    Math.max(0, Math.min(count - 1, Math.floor((at - start) / length * count)));
  const row = place(event.clientY, box.top, box.height, rows.length);
  const column = place(event.clientX, box.left, box.width, rows[0].length);
  const color = rows[row][column];
  tip.textContent = `row ${row + 1}, column ${column + 1}: ${color} ${COLOR_NAMES[color]}`;
}

sections = DATA.tasks.map(makeSection);
makeHeader();
makeFilters();
byId("tasks").append(...sections.map((section) => section.element));
for (const section of sections) observer.observe(section.element);
filter();
controls.search.addEventListener("input", filter);
controls.digits.addEventListener("change", redraw);
controls.marks.addEventListener("change", redraw);
document.querySelector("form").addEventListener("submit", (event) => event.preventDefault());
document.addEventListener("keydown", onKey);
document.addEventListener("pointermove", onPointer);
window.addEventListener("hashchange", followLink);
followLink();
