// The page: what is chosen, what was solved, and which step is shown.

import { drawCurve, drawFacts } from "./answers.js";
import { drawBoard, makeEditable } from "./board.js";
import { demonstration, kindName, KNOWN, makeKind } from "./kinds.js";
import { showRuns } from "./runs.js";

// A page that `trm export --format web` wrote has no server. It computes everything itself.
const isAlone = document.documentElement.hasAttribute("data-alone");
const server = await import(isAlone ? "./in_browser.js" : "./server.js");
const $ = (id) => document.getElementById(id);
const DELAY = 350; // milliseconds that each step stays while it plays
const state = {
  models: [], limits: { steps: 512, rollouts: 64 }, kind: null,
  puzzle: { tokens: null, name: "", grid: "", demonstrations: [] },
  brush: null, solved: [], given: null, step: 0, follows: true, timer: null, solving: null,
};

// Choices

const modelsOf = (kind) => state.models.filter((model) => kindName(model) === kind);
const modelNamed = (name) => state.models.find((model) => model.name === name);

function listKinds() {
  const kinds = [...new Set(state.models.map(kindName))];
  const title = (kind) => makeKind(modelsOf(kind)[0]).title;
  $("kind").replaceChildren(...kinds.map((kind) => new Option(title(kind), kind)));
  const missing = KNOWN.filter(([name]) => !kinds.some((kind) => kind.startsWith(name)));
  $("missing").hidden = isAlone || !missing.length;
  $("missing").querySelector("ul").replaceChildren(...missing.map(([, title, command]) => {
    const line = document.createElement("li"), code = document.createElement("code");
    code.textContent = command;
    line.append(`${title}: no model is at hand. Train one: `, code);
    return line;
  }));
}

function chooseKind(kind) {
  stop();
  $("kind").value = kind;
  state.kind = makeKind(modelsOf(kind)[0]);
  const names = modelsOf(kind).map((model) => model.name);
  $("model").replaceChildren(...names.map((name) => new Option(name)));
  $("other").replaceChildren(new Option("nothing", ""), ...names.map((name) => new Option(name)));
  $("other").parentElement.hidden = names.length < 2;
  $("keys").textContent = state.kind.keys;
  $("digits-label").hidden = !state.kind.colour;
  $("difficulty-label").hidden = Boolean(state.kind.colour || state.kind.plain);
  $("heat-text").textContent = state.kind.colour ? "the smaller a colour, the less sure" : "unsure";
  $("paste-text").textContent = isAlone ? "As text, on one line or drawn" : state.kind.colour ? "JSON, or the ID of a task that the model knows" : "As text, CSV or JSON";
  showDefaults();
  listBrushes();
  listPad();
  setPuzzle({ tokens: state.kind.empty(), name: "", grid: "", demonstrations: [] });
}

const showDefaults = () => ($("steps").placeholder = modelNamed($("model").value).steps);

// Buttons that write into the chosen cell, for those without a keyboard.
function listPad() {
  const pad = state.kind.pad ?? [];
  $("pad").hidden = !pad.length;
  $("pad").replaceChildren(...pad.map(([token, name]) => {
    const button = document.createElement("button");
    button.textContent = name;
    button.addEventListener("click", () => write(chosenCell(), token));
    return button;
  }));
}

const chosenCell = () => Number($("puzzle").querySelector(".cell[tabindex='0']").dataset.index);

function listBrushes() {
  const brushes = state.kind.brushes ?? [];
  $("brushes").hidden = !brushes.length;
  state.brush = brushes.length ? brushes[0][0] : null;
  $("brushes").replaceChildren(...brushes.map(([token, name], number) => {
    const button = document.createElement("button");
    button.setAttribute("role", "radio");
    button.setAttribute("aria-checked", String(number === 0));
    button.textContent = name;
    if (state.kind.colour) button.className = `color-${name}`;
    button.addEventListener("click", () => {
      state.brush = token;
      for (const one of $("brushes").children) one.setAttribute("aria-checked", String(one === button));
    });
    return button;
  }));
}

// The puzzle

function setPuzzle(puzzle) {
  state.puzzle = { demonstrations: [], ...puzzle };
  forget();
  drawPuzzle();
  $("demonstrations").hidden = !state.puzzle.demonstrations.length;
  $("demonstrations").replaceChildren(...state.puzzle.demonstrations.flatMap(([input, output], number) =>
    [input, output].map((grid, part) => {
      const element = document.createElement("div");
      const kind = { ...state.kind, cells: () => demonstration(grid) };
      const label = `Demonstration ${number + 1}, ${part ? "output" : "input"}`;
      drawBoard(element, kind, { tokens: [], label, marks: marks() });
      return element;
    })));
}

function drawPuzzle() {
  const { tokens, name, grid } = state.puzzle;
  $("title-puzzle").textContent = name ? `Puzzle ${name}` : "Puzzle";
  drawBoard($("puzzle"), state.kind, { tokens, answer: state.kind.plain ? grid : null, label: "Puzzle", marks: { digits: marks().digits } });
  const text = tokens ? state.kind.text(tokens, name, grid) : "";
  const isEmpty = !tokens || (state.kind.empty() ?? []).join() === tokens.join();
  history.replaceState(null, "", isEmpty ? location.pathname : `#${$("kind").value.split("-")[0]}=${encodeURIComponent(text)}`);
  return text;
}

function write(index, token) {
  const { tokens } = state.puzzle;
  state.puzzle.tokens = state.kind.write?.(tokens, index, token) ?? tokens.with(index, token);
  state.puzzle.demonstrations = [];
  forget();
  drawPuzzle();
  const clashes = state.kind.clashes(state.puzzle.tokens).filter(Boolean).length;
  say(clashes ? `${clashes} cells clash.` : "");
}

async function usePuzzle(request) {
  await attempt(async () => {
    const found = await request();
    setPuzzle(found);
    say("");
  });
}

async function paste(text) {
  if (!text.trim()) return fail(new Error("there is no puzzle. Paste one."));
  await usePuzzle(() => server.readPuzzle($("model").value, text));
}

// Takes the puzzle in the address, such as #sudoku=53..7....
async function readAddress() {
  const [task, text] = splitOnce(location.hash.slice(1));
  if (!text) return;
  await attempt(async () => {
    const kinds = [...$("kind").options].map((one) => one.value).filter((kind) => kind.split("-")[0] === task);
    if (!kinds.length) throw new Error(`no model is at hand for ${task}. ${isAlone ? "Type another puzzle." : "See: Other puzzles."}`);
    const puzzle = decoded(text);
    const sized = kinds.find((kind) => Number(kind.split("-")[1]) ** 2 === puzzle.length);
    chooseKind(sized ?? kinds[0]);
    setPuzzle(await server.readPuzzle($("model").value, puzzle));
  });
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new Error("the puzzle in the address is cut short. Copy the whole address.");
  }
}

function splitOnce(text) {
  const place = text.indexOf("=");
  return place < 0 ? [text, ""] : [text.slice(0, place), text.slice(place + 1)];
}

// Solving

function options() {
  const numbers = {};
  for (const name of ["steps", "samples", "votes", "noise"]) {
    const input = $(name);
    if (!input.disabled && input.value !== "") numbers[name] = Number(input.value);
    if (!input.disabled && !input.validity.valid) throw new Error(`${name}: ${input.validationMessage}`);
  }
  return $("until-valid").checked ? { ...numbers, until_valid: true } : numbers;
}

async function solve() {
  if (state.solving) return;
  await attempt(async () => {
    const { tokens, name, grid } = state.puzzle;
    if (!tokens) throw new Error("there is no puzzle. Paste one, or take another one.");
    const names = [$("model").value, $("other").value].filter(Boolean);
    const request = { models: names, puzzle: state.kind.text(tokens, name, grid), options: options() };
    forget();
    state.given = tokens;
    state.solved = names.map((model) => ({ model, steps: [], end: null }));
    state.solving = new AbortController();
    setBusy(true);
    try {
      await server.solve(request, takeLine, state.solving.signal);
    } finally {
      state.solving = null;
      setBusy(false);
      drawStep();
    }
  });
}

function takeLine(line) {
  const solved = state.solved[line.model];
  if (line.end) solved.end = line.end;
  else solved.steps.push(line);
  $("step").max = Math.max(...state.solved.map((one) => one.steps.length));
  if (state.follows) state.step = Number($("step").max);
  drawStep();
}

function setBusy(busy) {
  $("solve").hidden = busy;
  $("stop").hidden = !busy;
  $("status").textContent = busy ? "Solving…" : "";
  if (!busy && document.activeElement === document.body) $("step").focus();
}

function forget() {
  state.solving?.abort();
  play(false);
  Object.assign(state, { solved: [], given: null, step: 0, follows: true });
  $("step").max = 0;
  drawStep();
}

const stop = () => state.solving?.abort();

// The steps

const marks = () => ({ changed: $("show-changed").checked, heat: $("show-heat").checked, digits: $("show-digits").checked });

function showStep(step) {
  state.step = step;
  state.follows = step === Number($("step").max);
  drawStep();
}

function drawStep() {
  const most = Number($("step").max);
  $("step").value = state.step;
  $("step").disabled = $("play").disabled = !most;
  $("step-text").textContent = most ? `Step ${state.step} of ${most}` : "Step";
  $("step").setAttribute("aria-valuetext", $("step-text").textContent);
  $("heat-key").hidden = !marks().heat;
  document.querySelectorAll(".answer").forEach((panel, number) => drawAnswer(panel, state.solved[number], number));
  drawCurves();
}

function drawAnswer(panel, solved, number) {
  panel.hidden = number === 1 && !$("other").value;
  const name = $(number ? "other" : "model").value;
  panel.querySelector("h2").textContent = solved ? solved.model : name || "Answer";
  const board = panel.querySelector("[data-part=board]"), facts = panel.querySelector("[data-part=facts]");
  const steps = solved?.steps ?? [], shown = steps[Math.min(state.step, steps.length) - 1];
  if (!shown) {
    const tokens = state.given ?? state.puzzle.tokens;
    drawBoard(board, state.kind, { tokens, answer: state.kind.plain ? state.puzzle.grid : null, label: `Board of ${name}`, marks: { digits: marks().digits } });
    facts.textContent = solved ? "" : "Not solved yet.";
    return;
  }
  const before = steps[shown.step - 2]?.tokens ?? state.given;
  drawBoard(board, state.kind, {
    ...shown, given: state.given, before, marks: marks(),
    label: `Board of ${solved.model} after step ${shown.step}`,
  });
  drawFacts(facts, solved, shown, before);
}

const drawCurves = () => drawCurve($("curve"), $("curve-text"), state.solved, state.step);

function play(on) {
  clearInterval(state.timer);
  state.timer = null;
  $("play").textContent = on ? "Pause" : "Play";
  $("play").setAttribute("aria-pressed", String(on));
  if (!on) return;
  if (state.step >= Number($("step").max)) showStep(0);
  state.timer = setInterval(() => {
    if (state.step >= Number($("step").max)) play(false);
    else showStep(state.step + 1);
  }, DELAY);
}

// Messages

function say(text) {
  $("problem").textContent = text;
}

const fail = (error) => say(error.message);

async function attempt(work) {
  say("");
  try {
    await work();
  } catch (error) {
    if (error.name !== "AbortError") fail(error);
  }
}

// Wiring

function showView(name) {
  for (const view of ["puzzle", "runs"]) {
    $(`view-${view}`).hidden = view !== name;
    $(`tab-${view}`).setAttribute("aria-selected", String(view === name));
    $(`tab-${view}`).tabIndex = view === name ? 0 : -1;
  }
  showRuns(name === "runs");
}

function wire() {
  for (const view of ["puzzle", "runs"]) {
    $(`tab-${view}`).addEventListener("click", () => showView(view));
    $(`tab-${view}`).addEventListener("keydown", (event) => {
      if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
      const other = view === "runs" ? "puzzle" : "runs";
      showView(other);
      $(`tab-${other}`).focus();
    });
  }
  $("kind").addEventListener("change", () => chooseKind($("kind").value));
  for (const id of ["model", "other"])
    $(id).addEventListener("change", () => (forget(), showDefaults()));
  $("draw").addEventListener("click", drawAnother);
  $("clear").addEventListener("click", () => setPuzzle({ tokens: state.kind.empty(), name: "", grid: "" }));
  $("paste").addEventListener("click", () => paste($("text").value));
  $("solve").addEventListener("click", solve);
  $("stop").addEventListener("click", stop);
  $("play").addEventListener("click", () => play(state.timer === null));
  $("step").addEventListener("input", () => showStep(Number($("step").value)));
  $("samples").addEventListener("input", () => ($("noise").disabled = Number($("samples").value) < 2));
  for (const id of ["show-changed", "show-heat", "show-digits"])
    $(id).addEventListener("change", () => (drawPuzzle(), drawStep()));
  makeEditable($("puzzle"), { kind: () => state.kind, brush: () => state.brush, write, solve, tokens: () => state.puzzle.tokens });
  document.addEventListener("paste", (event) => {
    if (event.target.closest("input, textarea")) return;
    event.preventDefault();
    paste(event.clipboardData.getData("text"));
  });
  window.addEventListener("hashchange", readAddress);
  window.addEventListener("resize", drawCurves);
}

async function drawAnother() {
  $("draw").disabled = true;
  $("status").textContent = isAlone ? "" : "Drawing a puzzle… the first one takes longer.";
  const seed = Math.floor(Math.random() * 2 ** 31);
  await usePuzzle(() => server.drawPuzzle($("model").value, $("difficulty").value, seed));
  $("status").textContent = "";
  $("draw").disabled = false;
}

function hideWhatNeedsAServer() {
  for (const one of document.querySelectorAll("[data-server]")) one.hidden = true;
  $("draw").hidden = $("difficulty").hidden = !server.drawsPuzzles();
}

async function begin() {
  wire();
  await attempt(async () => {
    Object.assign(state, await server.getModels());
    if (!state.models.length) throw new Error("no model is at hand. Train one: trm train sudoku --preset mini");
    $("steps").max = state.limits.steps;
    $("samples").max = $("votes").max = state.limits.rollouts;
    if (isAlone) hideWhatNeedsAServer();
    listKinds();
    const address = location.hash;
    chooseKind($("kind").options[0].value);
    if (address) {
      history.replaceState(null, "", address);
      await readAddress();
    }
  });
}

begin();
