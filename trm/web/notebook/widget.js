// The widget of trm.play: the page's view of puzzles in a shadow root, which keeps its styles and ids
// apart from those of the notebook. trm/web/bundle.py makes one module of this and what it imports.

import { connect } from "./kernel.js";
import { followScheme } from "./scheme.js";
import { PuzzleView } from "../page/puzzles.js";
import page from "../page/page.html";
import pageStyle from "../page/page.css";
import ownStyle from "./widget.css";

function render({ model, el }) {
  const host = document.createElement("div");
  host.dataset.lmSuppressShortcuts = "true"; // JupyterLab leaves keys alone that are typed here
  for (const type of ["keydown", "keypress", "keyup", "paste"])
    host.addEventListener(type, (event) => event.stopPropagation()); // and so do other notebooks
  const root = host.attachShadow({ mode: "open" });
  const style = new CSSStyleSheet();
  style.replaceSync(ownStyle + pageStyle);
  root.adoptedStyleSheets = [style];
  const main = new DOMParser().parseFromString(page, "text/html").getElementById("view-puzzle");
  main.setAttribute("role", "group");
  main.setAttribute("aria-label", "Puzzle and answer");
  main.removeAttribute("aria-labelledby"); // the page's tab
  root.append(document.adoptNode(main));
  el.append(host);

  const kernel = connect(model, (text) => view.say(text));
  const view = new PuzzleView(root, kernel);
  root.querySelector(".choices").hidden = model.get("offered").models.length === 1;
  view.begin();
  const unfollow = followScheme(host, el);
  return () => {
    view.forget();
    kernel.close();
    unfollow();
  };
}

export default { render };
