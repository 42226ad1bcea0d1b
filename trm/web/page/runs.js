// The list of runs, and the curves of one, which grow while it trains.

import { drawChart, short } from "./chart.js";
import { getRecords, getRuns } from "./server.js";

const $ = (id) => document.getElementById(id);
const POLL = 2000; // milliseconds
const NOT_METRICS = ["event", "step", "examples", "all_examples", "elapsed_s", "eta_s"];
const state = { run: null, records: [], end: 0, visible: false };
let followers = 0; // each follower ends when there is a newer one
let reading = Promise.resolve(); // the records are read one block after the other

// Begins or ends to follow the runs.
export function showRuns(visible) {
  const wasVisible = state.visible;
  state.visible = visible;
  if (visible && !wasVisible) follow();
}

async function follow() {
  const number = ++followers;
  while (state.visible && number === followers) {
    try {
      const { runs } = await getRuns();
      listRuns(runs);
      if (state.run === null && runs.length) choose(runs[0].run);
      else if (state.run !== null) await readMore();
    } catch (error) {
      $("run-text").textContent = error.message;
    }
    await new Promise((resolve) => setTimeout(resolve, POLL));
  }
}

function listRuns(runs) {
  $("no-runs").textContent = runs.length ? "" : "No run in runs/. Train one: trm train sudoku --preset mini";
  const focused = document.activeElement?.dataset?.run;
  $("runs").tBodies[0].replaceChildren(...runs.map((run) => {
    const row = document.createElement("tr");
    row.classList.toggle("chosen", run.run === state.run);
    const button = document.createElement("button");
    button.textContent = run.run;
    button.dataset.run = run.run;
    button.addEventListener("click", () => choose(run.run));
    const best = run.best ? `${run.best.metric} ${run.best.value.toFixed(4)}` : "";
    const step = run.step === null ? "" : `${run.step.toLocaleString("en")} of ${run.total_steps?.toLocaleString("en") ?? "?"}`;
    for (const part of [button, run.error ? `${run.state}: ${run.error}` : run.state, step, best]) {
      const cell = document.createElement("td");
      cell.append(part);
      row.append(cell);
    }
    return row;
  }));
  if (focused) document.querySelector(`#runs [data-run="${CSS.escape(focused)}"]`)?.focus();
}

function choose(run) {
  Object.assign(state, { run, records: [], end: 0 });
  document.querySelectorAll("#runs tr").forEach((row) =>
    row.classList.toggle("chosen", row.querySelector("button")?.dataset.run === run));
  $("run-name").textContent = run;
  readMore().catch((error) => ($("run-text").textContent = error.message));
}

function readMore() {
  reading = reading.then(readBlocks, readBlocks);
  return reading;
}

async function readBlocks() {
  const run = state.run;
  for (let more = true; more; ) {
    const found = await getRecords(run, state.end);
    if (run !== state.run) return;
    if (found.start < state.end) state.records = [];
    state.records.push(...found.records);
    state.end = found.end;
    more = found.more;
  }
  listMetrics();
  drawMetric();
}

function listMetrics() {
  const names = new Set(state.records.flatMap((record) =>
    Object.keys(record).filter((name) => !NOT_METRICS.includes(name)).map((name) => `${record.event}/${name}`)));
  const sorted = [...names].sort((a, b) => a.localeCompare(b));
  const select = $("metric"), chosen = select.value;
  if (sorted.join() === [...select.options].map((one) => one.value).join()) return;
  select.replaceChildren(...sorted.map((name) => new Option(name.replace("/", ": "), name)));
  const wanted = [chosen, "eval/exact_accuracy", "train/exact_accuracy", "train/loss"];
  select.value = wanted.find((name) => names.has(name)) ?? sorted[0] ?? "";
}

function drawMetric() {
  const [event, name] = splitOnce($("metric").value);
  const points = state.records.filter((record) => record.event === event && name in record)
    .map((record) => [record.step, record[name]]);
  const last = points.at(-1);
  const text = last ? `${name} is ${short(last[1])} at step ${last[0].toLocaleString("en")}` : "No record of it yet.";
  $("run-text").textContent = text;
  drawChart($("run-curve"), points.length ? [{ name, points, mark: last, markText: short(last[1]) }] : [], { label: `Curve of ${state.run}: ${text}`, xName: "step" });
}

function splitOnce(text) {
  const place = text.indexOf("/");
  return [text.slice(0, place), text.slice(place + 1)];
}

$("metric").addEventListener("change", drawMetric);
