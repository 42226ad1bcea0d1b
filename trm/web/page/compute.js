// A model in a worker, so that the page answers while it computes. One message is one call; a call
// of `step` computes one supervision step from the state that the call before it left.

import * as ort from "./onnxruntime/ort.wasm.bundle.min.mjs";

ort.env.wasm.numThreads = 1; // more need headers that a static server does not send
ort.env.wasm.wasmPaths = { wasm: new URL("./onnxruntime/ort-wasm-simd-threaded.wasm", import.meta.url).href };
const now = { folder: null, start: null, model: null, parts: [], inputs: null };

const tensor = (numbers, shape) => new ort.Tensor("int32", Int32Array.from(numbers), shape);
const given = (session, values) => Object.fromEntries(session.inputNames.map((name) => [name, values[name]]));

async function open(folder) {
  if (now.folder === folder) return;
  const session = (name) => ort.InferenceSession.create(new URL(`./${folder}/${name}`, import.meta.url).href, { executionProviders: ["wasm"] });
  Object.assign(now, { start: await session("initial_state.onnx"), model: await session("model.onnx"), folder });
  now.parts = now.start.outputNames;
}

async function start({ folder, tokens }) {
  await open(folder);
  const puzzle = { tokens: tensor(tokens, [1, tokens.length]), puzzle_identifiers: tensor([0], [1]) };
  now.inputs = { ...puzzle, ...(await now.start.run(given(now.start, puzzle))) };
}

async function step({ loss }) {
  const found = await now.model.run(given(now.model, now.inputs));
  for (const part of now.parts) now.inputs[part] = found[`next_${part}`];
  return { ...cells(found.logits, loss), halt: 1 / (1 + Math.exp(-found.halt_logits.data[0])) };
}

// The most likely token of each cell, and its probability as the loss defines probabilities.
function cells({ data, dims: [, length, kinds] }, loss) {
  const tokens = [], confidence = [];
  for (let cell = 0; cell < length; cell++) {
    const logits = data.subarray(cell * kinds, (cell + 1) * kinds), most = Math.max(...logits);
    const weight = loss === "softmax" ? (x) => Math.exp(x - most) : (x) => (x < 0 ? 1 / (1 - x) : x + 1);
    tokens.push(logits.indexOf(most));
    confidence.push(weight(most) / logits.reduce((sum, x) => sum + weight(x), 0));
  }
  return { tokens, confidence };
}

const calls = { start, step };

self.onmessage = async ({ data: [name, value] }) => {
  try {
    self.postMessage({ value: await calls[name](value) });
  } catch (error) {
    const reason = String(error.message ?? error).split("\n")[0].slice(0, 120);
    self.postMessage({ error: `the model cannot be computed here: ${reason}. Copy the whole folder, or try another browser.` });
  }
};
