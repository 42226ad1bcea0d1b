// The view of puzzles: what is chosen, the puzzle, and the models that solve it. The page shows it
// in its document, the widget of a notebook in a shadow root.

import { drawBoard, makeEditable } from "./board.js";
import { demonstration, kindName, KNOWN, makeKind } from "./kinds.js";
import { Player } from "./player.js";

export class PuzzleView {
  // `root` has the elements of page.html. `server` has the calls of server.js. A view that is alone
  // has no server: it computes everything itself. `onPuzzle(task, text)` is told of each puzzle; the
  // text of an empty one is "".
  constructor(root, server, { isAlone = false, onPuzzle = () => {} } = {}) {
    this.root = root;
    this.server = server;
    this.isAlone = isAlone;
    this.onPuzzle = onPuzzle;
    this.$ = (id) => root.getElementById(id);
    Object.assign(this, { models: [], limits: {}, kind: null, brush: null, solving: null });
    this.puzzle = { tokens: null, name: "", grid: "", demonstrations: [] };
    this.player = new Player(this);
  }

  // Shows the first kind of puzzle. Returns whether there is one.
  async begin() {
    this.wire();
    return this.attempt(async () => {
      const { $ } = this;
      Object.assign(this, await this.server.getModels());
      if (!this.models.length) throw new Error("no model is at hand. Train one: trm train sudoku --preset mini");
      $("steps").max = this.limits.steps;
      $("samples").max = $("votes").max = this.limits.rollouts;
      if (this.isAlone) this.hideWhatNeedsAServer();
      this.listKinds();
      this.chooseKind($("kind").options[0].value);
    });
  }

  hideWhatNeedsAServer() {
    for (const one of this.root.querySelectorAll("[data-server]")) one.hidden = true;
    this.$("draw").hidden = this.$("difficulty").hidden = !this.server.drawsPuzzles();
  }

  // Choices

  modelsOf(kind) {
    return this.models.filter((model) => kindName(model) === kind);
  }

  listKinds() {
    const kinds = [...new Set(this.models.map(kindName))];
    const title = (kind) => makeKind(this.modelsOf(kind)[0]).title;
    this.$("kind").replaceChildren(...kinds.map((kind) => new Option(title(kind), kind)));
    const missing = KNOWN.filter(([name]) => !kinds.some((kind) => kind.startsWith(name)));
    this.$("missing").hidden = this.isAlone || !missing.length;
    this.$("missing").querySelector("ul").replaceChildren(...missing.map(([, title, command]) => {
      const line = document.createElement("li"), code = document.createElement("code");
      code.textContent = command;
      line.append(`${title}: no model is at hand. Train one: `, code);
      return line;
    }));
  }

  chooseKind(name) {
    this.stop();
    const { $ } = this, kind = makeKind(this.modelsOf(name)[0]);
    $("kind").value = name;
    this.kind = kind;
    const names = this.modelsOf(name).map((model) => model.name);
    $("model").replaceChildren(...names.map((name) => new Option(name)));
    $("other").replaceChildren(new Option("nothing", ""), ...names.map((name) => new Option(name)));
    $("other").parentElement.hidden = names.length < 2;
    $("keys").textContent = kind.keys;
    $("digits-label").hidden = !kind.colour;
    $("difficulty-label").hidden = Boolean(kind.colour || kind.plain);
    $("heat-text").textContent = kind.colour ? "the smaller a colour, the less sure" : "unsure";
    $("paste-text").textContent = this.isAlone ? "As text, on one line or drawn" : kind.colour ? "JSON, or the ID of a task that the model knows" : "As text, CSV or JSON";
    this.showDefaults();
    this.listBrushes();
    this.listPad();
    this.clear();
  }

  showDefaults() {
    this.$("steps").placeholder = this.models.find((model) => model.name === this.$("model").value).steps;
  }

  // Buttons that write into the chosen cell, for those without a keyboard.
  listPad() {
    const pad = this.kind.pad ?? [];
    this.$("pad").hidden = !pad.length;
    this.$("pad").replaceChildren(...pad.map(([token, name]) => {
      const button = document.createElement("button");
      button.textContent = name;
      button.addEventListener("click", () => this.write(this.chosenCell(), token));
      return button;
    }));
  }

  chosenCell() {
    return Number(this.$("puzzle").querySelector(".cell[tabindex='0']").dataset.index);
  }

  listBrushes() {
    const brushes = this.kind.brushes ?? [];
    this.$("brushes").hidden = !brushes.length;
    this.brush = brushes.length ? brushes[0][0] : null;
    this.$("brushes").replaceChildren(...brushes.map(([token, name], number) => {
      const button = document.createElement("button");
      button.setAttribute("role", "radio");
      button.setAttribute("aria-checked", String(number === 0));
      button.textContent = name;
      if (this.kind.colour) button.className = `color-${name}`;
      button.addEventListener("click", () => {
        this.brush = token;
        for (const one of this.$("brushes").children) one.setAttribute("aria-checked", String(one === button));
      });
      return button;
    }));
  }

  // The puzzle

  setPuzzle(puzzle) {
    this.puzzle = { demonstrations: [], ...puzzle };
    this.forget();
    this.drawPuzzle();
    const { marks } = this.player;
    this.$("demonstrations").hidden = !this.puzzle.demonstrations.length;
    this.$("demonstrations").replaceChildren(...this.puzzle.demonstrations.flatMap(([input, output], number) =>
      [input, output].map((grid, part) => {
        const element = document.createElement("div");
        const kind = { ...this.kind, cells: () => demonstration(grid) };
        const label = `Demonstration ${number + 1}, ${part ? "output" : "input"}`;
        drawBoard(element, kind, { tokens: [], label, marks });
        return element;
      })));
  }

  clear() {
    this.setPuzzle({ tokens: this.kind.empty(), name: "", grid: "" });
  }

  drawPuzzle() {
    const { kind, puzzle: { tokens, name, grid } } = this;
    this.$("title-puzzle").textContent = name ? `Puzzle ${name}` : "Puzzle";
    drawBoard(this.$("puzzle"), kind, { tokens, answer: kind.plain ? grid : null, label: "Puzzle", marks: { digits: this.player.marks.digits } });
    const isEmpty = !tokens || (kind.empty() ?? []).join() === tokens.join();
    this.onPuzzle(this.$("kind").value.split("-")[0], isEmpty ? "" : kind.text(tokens, name, grid));
  }

  write(index, token) {
    const { tokens } = this.puzzle;
    this.puzzle.tokens = this.kind.write?.(tokens, index, token) ?? tokens.with(index, token);
    this.puzzle.demonstrations = [];
    this.forget();
    this.drawPuzzle();
    const clashes = this.kind.clashes(this.puzzle.tokens).filter(Boolean).length;
    this.say(clashes ? `${clashes} cells clash.` : "");
  }

  async paste(text) {
    await this.attempt(async () => {
      if (!text.trim()) throw new Error("there is no puzzle. Paste one.");
      this.setPuzzle(await this.server.readPuzzle(this.$("model").value, text));
    });
  }

  async drawAnother() {
    this.$("draw").disabled = true;
    this.$("status").textContent = this.isAlone ? "" : "Drawing a puzzle… the first one takes longer.";
    const seed = Math.floor(Math.random() * 2 ** 31);
    await this.attempt(async () =>
      this.setPuzzle(await this.server.drawPuzzle(this.$("model").value, this.$("difficulty").value, seed)));
    this.$("status").textContent = "";
    this.$("draw").disabled = false;
  }

  // Shows a puzzle of a task, such as "sudoku" and "53..7....", if a model is at hand.
  async open(task, text) {
    const kinds = [...this.$("kind").options].map((one) => one.value).filter((kind) => kind.split("-")[0] === task);
    if (!kinds.length) throw new Error(`no model is at hand for ${task}. ${this.isAlone ? "Type another puzzle." : "See: Other puzzles."}`);
    const sized = kinds.find((kind) => Number(kind.split("-")[1]) ** 2 === text.length);
    this.chooseKind(sized ?? kinds[0]);
    this.setPuzzle(await this.server.readPuzzle(this.$("model").value, text));
  }

  // Solving

  options() {
    const numbers = {};
    for (const name of ["steps", "samples", "votes", "noise"]) {
      const input = this.$(name);
      if (!input.disabled && input.value !== "") numbers[name] = Number(input.value);
      if (!input.disabled && !input.validity.valid) throw new Error(`${name}: ${input.validationMessage}`);
    }
    return this.$("until-valid").checked ? { ...numbers, until_valid: true } : numbers;
  }

  async solve() {
    if (this.solving) return;
    await this.attempt(async () => {
      const { tokens, name, grid } = this.puzzle;
      if (!tokens) throw new Error("there is no puzzle. Paste one, or take another one.");
      const names = [this.$("model").value, this.$("other").value].filter(Boolean);
      const request = { models: names, puzzle: this.kind.text(tokens, name, grid), options: this.options() };
      this.forget();
      this.player.start(names, tokens);
      this.solving = new AbortController();
      this.setBusy(true);
      try {
        await this.server.solve(request, (line) => this.player.take(line), this.solving.signal);
      } finally {
        this.solving = null;
        this.setBusy(false);
        this.player.drawStep();
      }
    });
  }

  setBusy(busy) {
    this.$("solve").hidden = busy;
    this.$("stop").hidden = !busy;
    this.$("status").textContent = busy ? "Solving…" : "";
    if (!busy && document.activeElement === document.body) this.$("step").focus();
  }

  forget() {
    this.stop();
    this.player.forget();
  }

  stop() {
    this.solving?.abort();
  }

  // Messages

  say(text) {
    this.$("problem").textContent = text;
  }

  // Does some work, and shows why it failed. Returns whether it did not.
  async attempt(work) {
    this.say("");
    try {
      await work();
      return true;
    } catch (error) {
      if (error.name !== "AbortError") this.say(error.message);
      return false;
    }
  }

  // Wiring

  wire() {
    const { $ } = this;
    $("kind").addEventListener("change", () => this.chooseKind($("kind").value));
    for (const id of ["model", "other"])
      $(id).addEventListener("change", () => (this.forget(), this.showDefaults()));
    $("draw").addEventListener("click", () => this.drawAnother());
    $("clear").addEventListener("click", () => this.clear());
    $("paste").addEventListener("click", () => this.paste($("text").value));
    $("solve").addEventListener("click", () => this.solve());
    $("stop").addEventListener("click", () => this.stop());
    $("samples").addEventListener("input", () => ($("noise").disabled = Number($("samples").value) < 2));
    for (const id of ["show-changed", "show-heat", "show-digits"])
      $(id).addEventListener("change", () => (this.drawPuzzle(), this.player.drawStep()));
    this.player.wire();
    makeEditable($("puzzle"), {
      kind: () => this.kind, brush: () => this.brush, tokens: () => this.puzzle.tokens,
      write: (index, token) => this.write(index, token), solve: () => this.solve(),
    });
    this.root.addEventListener("paste", (event) => {
      if (event.target.closest?.("input, textarea")) return;
      event.preventDefault();
      this.paste(event.clipboardData.getData("text"));
    });
  }
}
