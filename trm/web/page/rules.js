// The rules of the puzzles for a page without a server: how a text is read, what is no puzzle, and
// which answers are valid. They are those of trm/tasks.

const BLANKS = ".0_*"; // Sudoku: a blank is token 1, digit d is token d + 1
const MAZE = { "#": 1, ".": 2, " ": 2, S: 3, G: 4, o: 5 };
const [OPEN, START, GOAL, PATH] = [2, 3, 4, 5];

const place = (index, size) => `row ${Math.floor(index / size) + 1}, column ${(index % size) + 1}`;

// The tokens of the first board in a text.
export const readBoard = (task, size, text) => (task === "sudoku" ? readSudoku : readMaze)(text, size);

function readSudoku(text, size) {
  const lines = text.split("\n").map((line) => line.trim()).filter(Boolean);
  const cells = [...lines, text.replace(/[\s|+-]/g, "")].find((one) => one.length === size * size);
  if (!cells)
    throw new Error(`the puzzle has ${text.trim().length} characters, not ${size * size}. Give ${size} rows of ${size}, '.' for a blank, on one line or drawn.`);
  return [...cells].map((character, index) => {
    const digit = BLANKS.includes(character) ? 0 : Number(character);
    if (!Number.isInteger(digit) || digit > size)
      throw new Error(`the puzzle has '${character}' in ${place(index, size)}. Use the digits 1 to ${size}, and '.' or 0 for a blank.`);
    return digit + 1;
  });
}

function readMaze(text, size) {
  const lines = text.replaceAll("\r", "").split("\n").filter((line) => line.trim());
  const isDrawn = lines.length === size && lines.every((line) => line.length <= size);
  const whole = lines.find((line) => line.length === size * size);
  const cells = isDrawn ? lines.map((line) => line.padEnd(size, ".")).join("") : whole;
  if (!cells)
    throw new Error(`the maze has ${lines.length === 1 ? "1 row" : `${lines.length} rows`}, not ${size}. Give ${size} lines of ${size} characters, or ${size * size} characters on one line, '.' for an open cell.`);
  return [...cells].map((character, index) => {
    if (!(character in MAZE))
      throw new Error(`the maze has '${character}' in ${place(index, size)}. Use '#' for a wall, '.' for an open cell, S and G.`);
    return MAZE[character];
  });
}

// Throws if the tokens are no puzzle.
export function checkPuzzle(kind, task, tokens) {
  if (task === "sudoku") {
    const clashes = kind.clashes(tokens).filter(Boolean).length;
    if (clashes) throw new Error(`the puzzle has ${clashes} cells that clash. Correct them.`);
    return;
  }
  const count = (token) => tokens.filter((one) => one === token).length;
  if (count(PATH)) throw new Error("the maze has a marked path. Leave it out.");
  if (count(START) !== 1 || count(GOAL) !== 1) throw new Error("the maze needs one S and one G. Draw them.");
  if (!reached(tokens, kind.size).has(tokens.indexOf(GOAL))) throw new Error("there is no path from S to G. Open a wall.");
}

// Whether an answer is valid for the puzzle `given`.
export function isValid(kind, task, given, tokens) {
  if (kind.clashes(tokens, given).some(Boolean)) return false;
  return task === "sudoku" ? tokens.every((token) => token > 1) : isShortestPath(given, tokens, kind.size);
}

function neighbours(index, size) {
  const column = index % size;
  return [column > 0 && index - 1, column < size - 1 && index + 1, index - size, index + size]
    .filter((one) => one !== false && one >= 0 && one < size * size);
}

// The moves from S to each cell that can be reached from it.
function reached(tokens, size, isOpen = (token) => token >= OPEN) {
  const moves = new Map([[tokens.indexOf(START), 0]]);
  for (const [cell, count] of moves)
    for (const next of neighbours(cell, size)) if (isOpen(tokens[next]) && !moves.has(next)) moves.set(next, count + 1);
  return moves;
}

// Whether S, G and the marks form one path, and there is no shorter one. It never touches itself.
function isShortestPath(maze, tokens, size) {
  const isMarked = (token) => token >= START;
  const cells = [...tokens.keys()].filter((cell) => isMarked(tokens[cell]));
  const isLine = cells.every((cell) =>
    neighbours(cell, size).filter((next) => isMarked(tokens[next])).length === (tokens[cell] === PATH ? 2 : 1));
  const isPath = isLine && reached(tokens, size, isMarked).size === cells.length;
  return isPath && cells.length === 1 + reached(maze, size).get(maze.indexOf(GOAL));
}
