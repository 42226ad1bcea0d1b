// What the page asks its server. Addresses are relative, so that a token in the address stays.

// The JSON of an answer. An error is thrown with the server's one line.
async function answer(response) {
  if (response.ok) return response.json();
  throw new Error(await problem(response));
}

async function problem(response) {
  const text = await response.text();
  try {
    return JSON.parse(text).error;
  } catch {
    return response.status === 503 ? "busy: too many requests. Try again in a moment." : `the server answered ${response.status}. Try again.`;
  }
}

const GONE = "the server does not answer. Start it again: trm web";

async function ask(address, more) {
  try {
    return await fetch(address, { cache: "no-store", ...more });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error(GONE);
  }
}

const post = (address, value, more) =>
  ask(address, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(value), ...more });

export const getModels = async () => answer(await ask("api/models"));
export const getRuns = async () => answer(await ask("api/runs"));
export const getRecords = async (run, start) =>
  answer(await ask(`api/records?run=${encodeURIComponent(run)}&start=${start}`));
export const readPuzzle = async (model, text) => answer(await post("api/read", { model, text }));
export const drawPuzzle = async (model, difficulty, seed) =>
  answer(await post("api/draw", { model, difficulty, seed }));

// Calls `onLine` with each line of a solve, as it is computed.
export async function solve(request, onLine, signal) {
  const response = await post("api/solve", request, { signal });
  if (!response.ok) throw new Error(await problem(response));
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "", isWhole = false;
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines.map((text) => JSON.parse(text))) {
      if (line.error) throw new Error(line.error);
      isWhole = Boolean(line.end);
      onLine(line);
    }
  }
  if (!isWhole) throw new Error("the server ended the solve too early. Try again.");
}
