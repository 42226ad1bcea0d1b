// What a page without a server does itself, under the names of server.js. The folder beside it, with
// model.json, is written by `trm export --format web`.

import { makeKind } from "./kinds.js";
import { checkPuzzle, isValid, readBoard } from "./rules.js";

let offered = null, worker = null, pending = Promise.resolve();

export async function getModels() {
  const answer = await fetch("model.json");
  if (!answer.ok) throw new Error("model.json is missing. Copy the whole folder.");
  offered = await answer.json();
  return { models: offered.models, limits: offered.limits };
}

const modelNamed = (name) => offered.models.find((model) => model.name === name);

export async function readPuzzle(name, text) {
  const { task, size } = modelNamed(name);
  const tokens = readBoard(task, size, text);
  return { name: "", tokens, grid: makeKind({ task, size }).text(tokens) };
}

export const drawsPuzzles = () => Object.values(offered.puzzles).some((all) => all.length);

// One of the puzzles that came with the model.
export async function drawPuzzle(name, difficulty, seed) {
  const all = offered.puzzles[difficulty];
  if (!all?.length) throw new Error(`there is no ${difficulty} puzzle here. Choose another difficulty.`);
  return readPuzzle(name, all[seed % all.length]);
}

// Calls the worker. A call waits for the one before it, whose page may have stopped waiting.
function call(name, value) {
  const answer = pending.then(() => new Promise((resolve, reject) => {
    worker ??= new Worker(new URL("./compute.js", import.meta.url), { type: "module" });
    worker.onmessage = ({ data }) => (data.error ? reject(new Error(data.error)) : resolve(data.value));
    worker.onerror = () => {
      worker = null;
      reject(new Error("the model cannot be loaded. Copy the whole folder, or try another browser."));
    };
    worker.postMessage([name, value]);
  }));
  pending = answer.catch(() => {});
  return answer;
}

// Calls `onLine` with each step of a solve, and with its end, as the server would.
export async function solve(request, onLine, signal) {
  const model = modelNamed(request.models[0]), kind = makeKind(model);
  const given = readBoard(model.task, model.size, request.puzzle);
  checkPuzzle(kind, model.task, given);
  const most = request.options.steps ?? model.steps, steps = [];
  await call("start", { folder: model.folder, tokens: given });
  while (steps.length < most) {
    signal.throwIfAborted();
    const found = await call("step", { loss: model.loss });
    signal.throwIfAborted();
    steps.push({ step: steps.length + 1, ...found, valid: isValid(kind, model.task, given, found.tokens) });
    onLine({ model: 0, ...steps.at(-1) });
    if (request.options.until_valid && steps.at(-1).valid) break;
  }
  onLine({ model: 0, end: { valid: steps.at(-1).valid, confidence: inWords(steps) } });
}

// From which step on the model considered its answer correct.
function inWords(steps) {
  const answer = steps.at(-1).tokens.join();
  let first = null, other = null;
  for (const { step, tokens, halt } of steps) {
    const isAnswer = tokens.join() === answer, isSure = halt > 0.5;
    first = isAnswer && isSure ? first ?? step : null;
    if (isSure && !isAnswer) other ??= step;
  }
  const text = first === null ? "did not consider it correct" : `considered it correct from step ${first} on`;
  return other === null ? text : `${text}, but another board at step ${other}`;
}
