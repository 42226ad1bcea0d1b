"""A notebook for a widget: Chromium runs its script, and the widget itself is the kernel.

anywidget imports the script of a widget from a blob, and gives ``render`` an element and a
``model``. So does this page. Its ``model.send`` calls the widget, which answers the listeners.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.web.browser import Seen

#: Loads the widget into the element ``#out``. ``window.kernel`` turns a message into its replies.
_LOAD = """async ({ script, offered, theme }) => {
  document.body.innerHTML = '<div id="out"></div>';
  document.documentElement.style.cssText = theme;
  const listeners = new Set();
  const model = {
    get: (name) => ({ offered })[name],
    on: (name, call) => listeners.add(call),
    off: (name, call) => listeners.delete(call),
    send: async (message) => {
      for (const reply of await window.kernel(message)) for (const call of listeners) call(reply);
    },
  };
  window.widgetModel = model;
  window.keysThatLeave = [];
  document.addEventListener("keydown", (event) => window.keysThatLeave.push(event.key));
  const address = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
  const { default: widget } = await import(address);
  URL.revokeObjectURL(address);
  window.closeWidget = widget.render({ model, el: document.getElementById("out") });
}"""


class Kernel:
    """The side of Python: sends what a front end would send, and keeps the replies."""

    def __init__(self, widget: Any) -> None:
        self._widget, self._replies = widget, []
        widget.send = self._replies.append

    def ask(self, message: object) -> list[dict[str, Any]]:
        """The replies to one message."""
        data = {"method": "custom", "content": message}
        self._widget.comm.handle_msg({"content": {"data": data}, "buffers": []})
        replies = self._replies[:]
        self._replies.clear()
        return replies


@contextmanager
def opened_widget(chromium: Any, widget: Any, *, theme: str = "", **more: Any) -> Iterator[Any]:
    """A page that shows a widget. At the end it has asked no machine, and has no error."""
    context = chromium.new_context(**{"viewport": {"width": 700, "height": 900}, **more})
    page, seen = context.new_page(), Seen()
    page.set_default_timeout(30_000)
    page.expose_function("kernel", Kernel(widget).ask)
    page.on("request", lambda request: seen.addresses.append(request.url))
    page.on("console", lambda message: seen.errors.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: seen.errors.append(f"exception: {error}"))
    try:
        given = {"script": widget._esm, "offered": widget.offered, "theme": theme}
        page.evaluate(_LOAD, given)
        page.wait_for_selector("#solve")
        yield page
        assert seen.errors == []
        assert [one for one in seen.addresses if not one.startswith("blob:")] == []
    finally:
        context.close()
