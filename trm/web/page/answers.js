// What is shown below the boards: the facts of a step, and the halting curve.

import { drawChart } from "./chart.js";

// What is to say of a step: {valid, halt, tokens} after the tokens `before`.
export function drawFacts(element, { steps, end }, shown, before) {
  const changed = shown.tokens.filter((token, index) => token !== before[index]).length;
  const valid = document.createElement("b");
  valid.className = shown.valid ? "valid" : "invalid";
  valid.textContent = { true: "✓ valid", false: "✗ not valid", null: "" }[String(shown.valid)];
  const parts = [
    ...(shown.effort ? [`effort ${shown.effort}`] : []),
    `halting probability ${shown.halt.toFixed(3)}`,
    changed === 1 ? "1 cell changed" : `${changed} cells changed`,
    ...(end && shown.step === (end.shown ?? steps.length) ? [end.confidence] : []),
  ];
  element.replaceChildren(valid, ...(valid.textContent ? [", "] : []), parts.join(", "));
}

// Where the first try would have halted.
const haltStep = ({ steps }) => steps.find((step) => !step.effort && step.halt > 0.5);

// The halting curves of one or two models, and what they say in words.
export function drawCurve(element, words, all, now) {
  const series = all.filter((one) => one.steps.length).map((one) => {
    const halt = haltStep(one);
    return { name: one.model, points: one.steps.map((step) => [step.step, step.halt]),
      mark: halt && [halt.step, halt.halt], markText: halt && `halts at ${halt.step}` };
  });
  const texts = all.map((one) => {
    const halt = haltStep(one);
    return `${one.model} ${halt ? `would have halted at step ${halt.step}` : "would not have halted"}`;
  });
  const isDone = series.length > 0;
  element.hidden = !isDone;
  const most = Math.max(2, ...all.map((one) => one.steps.length));
  if (isDone) drawChart(element, series, { label: `Halting curve. ${texts.join(". ")}.`, xName: "step", xRange: [1, most], yRange: [0, 1], half: true, now: Math.max(1, now) });
  words.textContent = isDone ? `Halting probability after each step. ${texts.join("; ")}.`
    : "The halting curve: how likely the model thinks that its board is right, after each step.";
}
