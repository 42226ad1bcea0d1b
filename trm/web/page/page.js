// The page: its two views, and the puzzle in its address.

import { PuzzleView } from "./puzzles.js";
import { showRuns } from "./runs.js";

// A page that `trm export --format web` wrote has no server. It computes everything itself.
const isAlone = document.documentElement.hasAttribute("data-alone");
const server = await import(isAlone ? "./in_browser.js" : "./server.js");
const $ = (id) => document.getElementById(id);

const view = new PuzzleView(document, server, { isAlone, onPuzzle: keepInAddress });

// The address

function keepInAddress(task, text) {
  history.replaceState(null, "", text ? `#${task}=${encodeURIComponent(text)}` : location.pathname);
}

// Takes the puzzle in the address, such as #sudoku=53..7....
async function readAddress() {
  const [task, text] = splitOnce(location.hash.slice(1));
  if (text) await view.attempt(() => view.open(task, decoded(text)));
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

// The views

function showView(name) {
  for (const one of ["puzzle", "runs"]) {
    $(`view-${one}`).hidden = one !== name;
    $(`tab-${one}`).setAttribute("aria-selected", String(one === name));
    $(`tab-${one}`).tabIndex = one === name ? 0 : -1;
  }
  showRuns(name === "runs");
}

function wire() {
  for (const one of ["puzzle", "runs"]) {
    $(`tab-${one}`).addEventListener("click", () => showView(one));
    $(`tab-${one}`).addEventListener("keydown", (event) => {
      if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
      const other = one === "runs" ? "puzzle" : "runs";
      showView(other);
      $(`tab-${other}`).focus();
    });
  }
  window.addEventListener("hashchange", readAddress);
}

async function begin() {
  wire();
  const address = location.hash;
  if (!(await view.begin()) || !address) return;
  history.replaceState(null, "", address);
  await readAddress();
}

begin();
