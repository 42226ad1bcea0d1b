"""matplotlib figures in our style, and the files that they are written to.

matplotlib is imported only to draw. ``pyplot`` is never imported, so no window system is needed.
The same numbers give the same bytes.
"""

import contextlib
import importlib.util
import io
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trm.errors import ConfigError, InputError
from trm.storage import atomic_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PLOT_EXTENSIONS = (".png", ".svg", ".pdf")

_STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib
    "font.size": 10,
    "axes.edgecolor": "#555555",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.8,
    "xtick.color": "#555555",
    "ytick.color": "#555555",
    "xtick.labelcolor": "black",
    "ytick.labelcolor": "black",
    "text.parse_math": False,  # a $ in a name is a $
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "lines.markersize": 5,
    "figure.constrained_layout.w_pad": 0.08,
    "figure.constrained_layout.h_pad": 0.06,
    "svg.hashsalt": "trm",
    "pdf.fonttype": 42,
}
#: No date and no version, so that the same picture is the same file.
_METADATA: dict[str, dict[str, Any]] = {
    ".png": {"Software": None},
    ".svg": {"Date": None, "Creator": None},
    ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}


def check_extension(path: Path, extensions: Sequence[str] = PLOT_EXTENSIONS) -> None:
    """Check the extension of a picture file.

    Raises:
        InputError: if it is not one of ``extensions``.
    """
    if path.suffix.lower() not in extensions:
        known = f"{', '.join(extensions[:-1])} or {extensions[-1]}"
        raise InputError(f"cannot draw to {path}: unknown file extension. Use {known}.")


def check_matplotlib() -> None:
    """Check before the work is done that pictures can be drawn.

    Raises:
        ConfigError: if matplotlib is not installed.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise ConfigError(
            "drawing needs matplotlib, which is not installed. Run: pip install matplotlib"
        )


@contextlib.contextmanager
def plot_style() -> Iterator[None]:
    """Use our matplotlib settings instead of the user's. Draw and save inside the block.

    Raises:
        ConfigError: if matplotlib is not installed.
    """
    check_matplotlib()
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield


def save_figure(path: Path, figure: "Figure", dpi: int = 160) -> None:
    """Write a figure to a file. The extension decides the format.

    Raises:
        StorageError: if the file cannot be written. No partial file is left.
    """
    extension = path.suffix.lower()
    data = io.BytesIO()
    with warnings.catch_warnings():
        # Characters that the font does not have are drawn as boxes.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(data, format=extension[1:], dpi=dpi, metadata=_METADATA[extension])
    with atomic_file(path) as file:
        file.write(data.getvalue())
