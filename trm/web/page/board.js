// Boards: drawn from cells, and edited with keys, clicks and drags.

// Draws a board into an element. It is drawn anew only if its shape changes.
export function drawBoard(element, kind, { tokens, given, before, confidence, answer, label, marks }) {
  const drawn = tokens && kind.cells(tokens, given ?? tokens, answer);
  if (!drawn) {
    const text = document.createElement("p");
    text.className = "plain";
    text.textContent = answer && answer !== "[]" ? answer : tokens ? "(no grid yet)" : "";
    element.replaceChildren(text);
    return;
  }
  const grid = gridOf(element, kind, drawn);
  grid.setAttribute("aria-label", label);
  grid.classList.toggle("nodigits", marks.digits === false);
  const clashes = kind.clashes(tokens, given);
  const cells = grid.querySelectorAll(".cell");
  drawn.cells.forEach((one, place) => {
    const target = cells[place], index = one.index;
    const changed = Boolean(marks.changed && before && before[index] !== tokens[index]);
    const sure = confidence?.[index] ?? null;
    const heat = Boolean(marks.heat) && sure !== null && !one.classes.includes("wall");
    target.textContent = one.text;
    target.className = ["cell", ...one.classes, ...places(kind, drawn, place)].join(" ");
    target.classList.toggle("clash", Boolean(clashes[index]));
    target.classList.toggle("changed", changed);
    target.classList.toggle("heat", heat);
    target.style.setProperty("--doubt", heat ? (1 - sure) ** 0.6 : 0); // small doubts show too
    target.dataset.index = index;
    target.setAttribute("aria-label", cellLabel(kind, drawn, place, one, { changed, sure, clash: clashes[index] }));
    target.title = sure === null ? "" : `confidence ${sureText(sure)}`;
  });
}

export const sureText = (sure) => `${(100 * sure).toFixed(1)}%`;

function gridOf(element, kind, drawn) {
  const shape = `${kind.title} ${drawn.columns} ${drawn.cells.length}`;
  if (element.dataset.shape === shape && element.firstElementChild?.classList.contains("grid"))
    return element.firstElementChild;
  const grid = document.createElement("div");
  grid.className = `grid${kind.colour ? " colour" : ""}${element.id === "puzzle" ? " editable" : ""}`;
  grid.setAttribute("role", "grid");
  grid.style.setProperty("--columns", drawn.columns);
  for (let row = 0; row < drawn.cells.length / drawn.columns; row++) {
    const line = document.createElement("div");
    line.className = "line";
    line.setAttribute("role", "row");
    for (let column = 0; column < drawn.columns; column++) {
      const cell = document.createElement("div");
      cell.setAttribute("role", "gridcell");
      cell.tabIndex = row || column ? -1 : 0;
      line.append(cell);
      cell.className = "cell";
    }
    grid.append(line);
  }
  element.replaceChildren(grid);
  element.dataset.shape = shape;
  return grid;
}

// The classes of a cell that depend on where it is.
function places(kind, { columns, cells }, place) {
  const row = Math.floor(place / columns), column = place % columns, rows = cells.length / columns;
  const [boxRows, boxColumns] = kind.box ?? [Infinity, Infinity];
  return [
    column === columns - 1 && "last",
    row === rows - 1 && "bottom",
    column < columns - 1 && (column + 1) % boxColumns === 0 && "box-right",
    row < rows - 1 && (row + 1) % boxRows === 0 && "box-below",
  ].filter(Boolean);
}

function cellLabel(kind, { columns }, place, one, { changed, sure, clash }) {
  const name = one.classes.find((c) => ["wall", "open", "start", "goal", "path"].includes(c));
  return [
    `row ${Math.floor(place / columns) + 1}, column ${(place % columns) + 1}`,
    name || (kind.colour ? `colour ${one.text}` : one.text || "empty"),
    clash && "clash", changed && "changed", sure !== null && `confidence ${sureText(sure)}`,
  ].filter(Boolean).join(", ");
}

// Makes a board editable. `write(index, token)` changes a cell, `solve()` is for Enter.
export function makeEditable(element, { kind, brush, write, solve, tokens }) {
  let drawing = null;
  const cellAt = (x, y) => element.getRootNode().elementFromPoint(x, y)?.closest("#puzzle .cell");
  const focus = (cell) => {
    element.querySelectorAll(".cell").forEach((one) => (one.tabIndex = one === cell ? 0 : -1));
    cell.focus();
  };
  element.addEventListener("focusin", (event) => {
    const cell = event.target.closest(".cell");
    element.querySelectorAll(".cell").forEach((one) => (one.tabIndex = one === cell ? 0 : -1));
  });
  element.addEventListener("keydown", (event) => {
    const cell = event.target.closest(".cell");
    if (!cell || event.ctrlKey || event.metaKey || event.altKey) return;
    const cells = [...element.querySelectorAll(".cell")], place = cells.indexOf(cell);
    const columns = Number(element.firstElementChild.style.getPropertyValue("--columns"));
    const moves = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns };
    const next = { Home: place - (place % columns), End: place - (place % columns) + columns - 1 };
    const target = event.key in moves ? place + moves[event.key] : next[event.key];
    const crosses = Math.abs(moves[event.key]) === 1 &&
      Math.floor(target / columns) !== Math.floor(place / columns);
    const token = kind().token(event.key);
    if (target !== undefined) {
      if (cells[target] && !crosses) focus(cells[target]);
    } else if (event.key === "Enter") solve();
    else if (token !== undefined) write(Number(cell.dataset.index), token);
    else return;
    event.preventDefault();
  });
  element.addEventListener("pointerdown", (event) => {
    const cell = event.target.closest(".cell");
    if (!cell || event.button) return;
    focus(cell);
    event.preventDefault();
    if (brush() === null) return;
    const index = Number(cell.dataset.index);
    drawing = brush();
    write(index, drawing);
    if (!kind().colour) element.setPointerCapture?.(event.pointerId);
  });
  element.addEventListener("pointermove", (event) => {
    if (drawing === null) return;
    const cell = cellAt(event.clientX, event.clientY);
    if (cell && tokens()[cell.dataset.index] !== drawing) write(Number(cell.dataset.index), drawing);
  });
  for (const end of ["pointerup", "pointercancel"])
    element.addEventListener(end, () => (drawing = null));
}
