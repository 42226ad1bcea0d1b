// What a kind of puzzle is: which cells there are, which keys write them, and what clashes.
// Kinds are named "sudoku-9", "maze-6", "arc1": the task, and the size if boards have one.

const BOXES = { 4: [2, 2], 6: [2, 3], 9: [3, 3] };
const BLANK = 1; // Sudoku: digit d is token d + 1
const [WALL, OPEN, START, GOAL, PATH] = [1, 2, 3, 4, 5]; // mazes
const SIDE = 30; // ARC: colour c is token c + 2, in a grid of 30x30; 0 is empty
const FIRST_COLOR = 2;

// A cell to draw: its symbol, its classes, and its index among the tokens.
const cell = (text, classes, index) => ({ text, classes, index });

function sudoku(size) {
  const [boxRows, boxColumns] = BOXES[size];
  const box = (i) =>
    Math.floor(Math.floor(i / size) / boxRows) * (size / boxColumns) +
    Math.floor((i % size) / boxColumns);
  const meet = (i, j) =>
    i !== j && (i % size === j % size || Math.floor(i / size) === Math.floor(j / size) || box(i) === box(j));
  return {
    title: `Sudoku ${size}x${size}`,
    size,
    box: [boxRows, boxColumns],
    empty: () => Array(size * size).fill(BLANK),
    keys: `Arrows move, 1 to ${size} write, Backspace clears, Enter solves.`,
    pad: [...Array(size).keys()].map((i) => [i + 1 + BLANK, String(i + 1)]).concat([[BLANK, "clear"]]),
    // The token that a key writes; undefined if it writes none.
    token: (key) =>
      key === "Backspace" || key === "Delete" || key === "0" || key === "." || key === " " ? BLANK
        : /^[1-9]$/.test(key) && Number(key) <= size ? Number(key) + BLANK : undefined,
    text: (tokens) => tokens.map((t) => (t > BLANK ? t - BLANK : ".")).join(""),
    clashes: (tokens, given) =>
      tokens.map((t, i) => t > BLANK &&
        (tokens.some((other, j) => other === t && meet(i, j)) || (given && given[i] > BLANK && given[i] !== t))),
    cells: (tokens, given) => ({
      columns: size,
      cells: tokens.map((t, i) =>
        cell(t > BLANK ? String(t - BLANK) : "", [given[i] > BLANK && given[i] === t ? "clue" : "filled"], i)),
    }),
  };
}

function maze(size) {
  const symbols = "?#.SGo", names = ["", "wall", "open", "start", "goal", "path"];
  const keys = { "#": WALL, x: WALL, ".": OPEN, " ": OPEN, Backspace: OPEN, Delete: OPEN, s: START, g: GOAL };
  return {
    title: `Maze ${size}x${size}`,
    size,
    empty: () => Array(size * size).fill(OPEN),
    keys: "Click or drag to draw. Arrows move; # wall, . open, S start, G goal; Enter solves.",
    token: (key) => keys[key.length === 1 ? key.toLowerCase() : key],
    brushes: [[WALL, "Wall"], [OPEN, "Open"], [START, "S"], [GOAL, "G"]],
    // Writes a token; there is one start and one goal.
    write: (tokens, index, token) =>
      tokens.map((t, i) => (i === index ? token : t === token && (t === START || t === GOAL) ? OPEN : t)),
    text: (tokens) => tokens.map((t) => symbols[t]).join(""),
    clashes: (tokens, given) =>
      tokens.map((t, i) => Boolean(given) && t !== given[i] && !(t === PATH && given[i] === OPEN)),
    cells: (tokens) => ({
      columns: size,
      cells: tokens.map((t, i) => cell(t === PATH ? "•" : t === START ? "S" : t === GOAL ? "G" : "", [names[t]], i)),
    }),
  };
}

// The rectangle of colours at the first row and column that are used, as the answer is read.
function arcArea(tokens) {
  const used = (row, column) => tokens[row * SIDE + column] !== 0;
  const lines = [...Array(SIDE).keys()];
  const top = Math.max(0, lines.findIndex((row) => lines.some((column) => used(row, column))));
  const left = Math.max(0, lines.findIndex((column) => lines.some((row) => used(row, column))));
  return [top, left];
}

function arcCells(grid, top = 0, left = 0) {
  return {
    columns: grid[0].length,
    cells: grid.flatMap((row, r) =>
      row.map((color, c) => cell(String(color), [`color-${color}`], (r + top) * SIDE + c + left))),
  };
}

function arc(task) {
  return {
    title: task === "arc1" ? "ARC-AGI-1" : task === "arc2" ? "ARC-AGI-2" : task,
    colour: true,
    empty: () => null,
    keys: "Click to change a colour. Arrows move, 0 to 9 write; Enter solves.",
    brushes: [...Array(10).keys()].map((color) => [color + FIRST_COLOR, String(color)]),
    token: (key) => (/^[0-9]$/.test(key) ? Number(key) + FIRST_COLOR : undefined),
    text: (tokens, name) => JSON.stringify({ [name]: { test: [{ input: arcGrid(tokens) }] } }),
    clashes: () => [],
    cells: (tokens, given, answer) => {
      const grid = answer ? JSON.parse(answer) : arcGrid(tokens);
      return grid.length && grid[0].length ? arcCells(grid, ...arcArea(tokens)) : null;
    },
  };
}

export function arcGrid(tokens) {
  const isColor = (t) => t >= FIRST_COLOR;
  const height = [...Array(SIDE).keys()].filter((row) => isColor(tokens[row * SIDE])).length;
  const width = tokens.slice(0, SIDE).filter(isColor).length;
  return [...Array(height).keys()].map((row) =>
    tokens.slice(row * SIDE, row * SIDE + width).map((t) => t - FIRST_COLOR));
}

export const demonstration = (grid) => arcCells(grid);

// A task that the page does not know is shown as text.
function plain(task) {
  return {
    title: task, plain: true, empty: () => null, keys: "Paste a puzzle; Enter solves.",
    token: () => undefined, text: (tokens, name, grid) => grid, clashes: () => [], cells: () => null,
  };
}

export const kindName = (model) =>
  model.task.startsWith("arc") || !model.size ? model.task : `${model.task}-${model.size}`;

export function makeKind(model) {
  if (model.task === "sudoku" && BOXES[model.size]) return sudoku(model.size);
  if (model.task === "maze") return maze(model.size);
  return model.task === "arc1" || model.task === "arc2" ? arc(model.task) : plain(model.task);
}

// What to do for the kinds for which no model is at hand.
export const KNOWN = [
  ["sudoku-4", "Sudoku 4x4", train("sudoku --preset mini --size 4", "sudoku --preset mini", "4x4")],
  ["sudoku-6", "Sudoku 6x6", train("sudoku --preset mini", "sudoku --preset mini", "6x6")],
  ["sudoku-9", "Sudoku 9x9", train("sudoku", "sudoku --mlp-t", "9x9")],
  ["maze", "Mazes", train("maze --preset mini", "maze --preset mini", "small-mazes")],
  ["arc", "ARC", train("arc1 --preset mini", "arc1 --preset mini", "small-arc1")],
];

function train(puzzles, model, folder) {
  return `trm build-data ${puzzles} --out data/${folder} && trm train ${model} --data data/${folder}`;
}
