// The player: the answers of one or two models step by step, and their halting curves.

import { drawCurve, drawFacts } from "./answers.js";
import { drawBoard } from "./board.js";

const DELAY = 350; // milliseconds that each step stays while it plays

// `view` is the PuzzleView that it belongs to.
export class Player {
  constructor(view) {
    this.view = view;
    this.$ = view.$;
    this.timer = null;
    this.forget();
  }

  forget() {
    this.play(false);
    Object.assign(this, { solved: [], given: null, step: 0, follows: true });
    this.$("step").max = 0;
    this.drawStep();
  }

  // Begins to take the steps of models, named `names`, that solve the tokens `given`.
  start(names, given) {
    this.given = given;
    this.solved = names.map((model) => ({ model, steps: [], end: null }));
  }

  take(line) {
    const solved = this.solved[line.model];
    if (line.end) solved.end = line.end;
    else solved.steps.push(line);
    this.$("step").max = Math.max(...this.solved.map((one) => one.steps.length));
    // Without a valid answer, the one to show is that of the first try.
    if (this.follows) this.step = (this.solved.length === 1 && line.end?.shown) || this.most;
    this.drawStep();
  }

  get most() {
    return Number(this.$("step").max);
  }

  get marks() {
    return { changed: this.$("show-changed").checked, heat: this.$("show-heat").checked, digits: this.$("show-digits").checked };
  }

  showStep(step) {
    this.step = step;
    this.follows = step === this.most;
    this.drawStep();
  }

  drawStep() {
    const { $, most } = this;
    $("step").value = this.step;
    $("step").disabled = $("play").disabled = !most;
    $("step-text").textContent = most ? `Step ${this.step} of ${most}` : "Step";
    $("step").setAttribute("aria-valuetext", $("step-text").textContent);
    $("heat-key").hidden = !this.marks.heat;
    this.view.root.querySelectorAll(".answer").forEach((panel, number) => this.drawAnswer(panel, this.solved[number], number));
    this.drawCurves();
  }

  drawAnswer(panel, solved, number) {
    panel.hidden = number === 1 && !this.$("other").value;
    const { kind, puzzle } = this.view, name = this.$(number ? "other" : "model").value;
    panel.querySelector("h2").textContent = solved ? solved.model : name || "Answer";
    const board = panel.querySelector("[data-part=board]"), facts = panel.querySelector("[data-part=facts]");
    const steps = solved?.steps ?? [], shown = steps[Math.min(this.step, steps.length) - 1];
    if (!shown) {
      const tokens = this.given ?? puzzle.tokens;
      if (kind) drawBoard(board, kind, { tokens, answer: kind.plain ? puzzle.grid : null, label: `Board of ${name}`, marks: { digits: this.marks.digits } });
      facts.textContent = solved ? "" : "Not solved yet.";
      return;
    }
    const before = steps[shown.step - 2]?.tokens ?? this.given;
    drawBoard(board, kind, {
      ...shown, given: this.given, before, marks: this.marks,
      label: `Board of ${solved.model} after step ${shown.step}`,
    });
    drawFacts(facts, solved, shown, before);
  }

  drawCurves() {
    this.drawnWidth = this.$("curve").parentElement.clientWidth;
    drawCurve(this.$("curve"), this.$("curve-text"), this.solved, this.step);
  }

  play(on) {
    clearInterval(this.timer);
    this.timer = null;
    this.$("play").textContent = on ? "Pause" : "Play";
    this.$("play").setAttribute("aria-pressed", String(on));
    if (!on) return;
    if (this.step >= this.most) this.showStep(0);
    this.timer = setInterval(() => {
      if (this.step >= this.most) this.play(false);
      else this.showStep(this.step + 1);
    }, DELAY);
  }

  wire() {
    const { $ } = this;
    $("play").addEventListener("click", () => this.play(this.timer === null));
    $("step").addEventListener("input", () => this.showStep(Number($("step").value)));
    this.drawCurvesAsWideAsTheyAre();
  }

  // A curve is drawn for a width, which changes with the window, or when its element gets its place.
  drawCurvesAsWideAsTheyAre() {
    const figure = this.$("curve").parentElement;
    const draw = () => {
      if (figure.clientWidth && figure.clientWidth !== this.drawnWidth) this.drawCurves();
    };
    new ResizeObserver(() => requestAnimationFrame(draw)).observe(figure);
  }
}
