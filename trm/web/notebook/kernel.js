// The kernel of a notebook as the server of a view: the calls of server.js, as messages of a widget.
// Each call has an id, and the replies to it have the same one. trm/web/conversation.py answers.

const PATIENCE = 10_000; // milliseconds without a reply before we say so
const SILENT = "the kernel has not answered yet. If it was restarted, run the cell again.";

// `model` is that of anywidget. `tell(text)` shows a message; "" takes it back.
export function connect(model, tell) {
  const view = Math.random().toString(36).slice(2);
  const waiting = new Map(); // what to do with a reply, by the id of its call
  let count = 0;

  const receive = (reply) => {
    if (waiting.has(reply.id)) waiting.get(reply.id)(reply);
    else if (!reply.id && reply.error) tell(reply.error); // a message that the kernel could not read
  };
  model.on("msg:custom", receive);

  function call(message, { onLine, signal } = {}) {
    const id = `${view}-${++count}`;
    let timer = null, isSilent = false;
    const wait = (on) => {
      clearTimeout(timer);
      if (isSilent) tell("");
      isSilent = false;
      if (on) timer = setTimeout(() => (isSilent = true, tell(SILENT)), PATIENCE);
    };
    return new Promise((resolve, reject) => {
      waiting.set(id, (reply) => {
        wait(true);
        if (reply.error) reject(new Error(reply.error));
        else if (reply.line) onLine(reply.line);
        else if (reply.more) model.send({ id, ask: "next" });
        else resolve(reply.value);
      });
      signal?.addEventListener("abort", () => {
        model.send({ id, ask: "stop" });
        reject(signal.reason);
      });
      wait(true);
      model.send({ id, ...message });
    }).finally(() => {
      wait(false);
      waiting.delete(id);
    });
  }

  return {
    getModels: async () => model.get("offered"),
    readPuzzle: (name, text) => call({ ask: "read", model: name, text }),
    drawPuzzle: (name, difficulty, seed) => call({ ask: "draw", model: name, difficulty, seed }),
    // Calls `onLine` with each step, as it is computed.
    solve: (request, onLine, signal) => call({ ask: "solve", request }, { onLine, signal }),
    close: () => model.off("msg:custom", receive),
  };
}
