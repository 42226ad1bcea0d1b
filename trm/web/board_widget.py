"""The widget of :func:`trm.play`. Its script is made of the page's modules."""

from pathlib import Path

from trm.errors import ConfigError

try:
    import traitlets
    from anywidget import AnyWidget
except ImportError as error:
    raise ConfigError(
        f"the widget needs {error.name}, which is not installed. Run: pip install anywidget"
    ) from error

from trm.web.bundle import bundle
from trm.web.catalogue import Catalogue
from trm.web.conversation import Conversation

_SCRIPT = Path(__file__).parent / "notebook/widget.js"


class BoardWidget(AnyWidget):
    """A board to type a puzzle into, and the steps of a model that solves it.

    Args:
        catalogue: the models that it offers.
    """

    _esm = bundle(_SCRIPT)
    offered = traitlets.Dict().tag(sync=True)

    def __init__(self, catalogue: Catalogue) -> None:
        self._conversation = Conversation(catalogue)
        super().__init__(offered=self._conversation.offered())
        self.on_msg(self._receive)

    def _receive(self, widget: object, content: object, buffers: object) -> None:
        for reply in self._conversation.replies(content):
            self.send(reply)
