"""A moving picture of boards: how an answer changes from step to step, as GIF, APNG or MP4."""

import io
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from trm.errors import ConfigError, InputError
from trm.pictures.boards import DPI, Panel, draw_panel, empty_figure, lay_out
from trm.pictures.figures import check_extension, plot_style
from trm.storage import atomic_file, check_writable
from trm.tasks.base import Board

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL.Image import Image

#: (height, width, 3), red, green and blue of each pixel.
Picture = NDArray[np.uint8]
#: The extensions of moving pictures.
MOVING_EXTENSIONS = (".gif", ".apng", ".mp4")
_MAX_FRAMES = 500
_MAX_COLORS = 128
_PALETTE_FRAMES = 16
_MILLISECONDS, _LAST_MILLISECONDS = 900, 3000
_FRAME_RATE = 10  # of an MP4 file

# Lengths in points.
_BAR_SPACE, _BAR_HEIGHT, _LABEL_WIDTH, _TEXT_SIZE = 26, 8, 30, 9
_BAR_COLOR, _BAR_GROUND = "#0072b2", "#e4e4e4"


@dataclass(frozen=True)
class Frame:
    """A picture of a moving picture.

    Attributes:
        title: what stands above the board.
        board: the board.
        halt_probability: drawn as a bar below the board; None: no bar.
        is_last: whether it is the last of its puzzle, which is shown longer.
    """

    title: str
    board: Board
    halt_probability: float | None = None
    is_last: bool = False


def save_moving_picture(path: Path, frames: Sequence[Frame]) -> None:
    """Draw boards one after the other.

    Args:
        path: ends in ``.gif``, ``.apng`` or ``.mp4``.
        frames: the boards, in order. A GIF or APNG file repeats them without end.

    Raises:
        ConfigError: if matplotlib, which brings Pillow, is not installed, or ffmpeg for MP4.
        InputError: if the extension is unknown, or there are no or too many frames.
        StorageError: if the file cannot be written. No partial file is left.
    """
    check_moving_path(path)
    check_writable(path)
    if not frames:
        raise InputError("no board was given to draw. Give one or more.")
    if len(frames) > _MAX_FRAMES:
        raise InputError(
            f"the moving picture would have {len(frames):,} frames, more than {_MAX_FRAMES}. "
            "Give fewer puzzles or steps."
        )
    placed = [lay_out([(frame.title, frame.board)], 1) for frame in frames]
    width, height = (max(size[axis] for _, size in placed) for axis in (0, 1))
    size = width, height + _BAR_SPACE
    with plot_style():
        pictures = [
            _draw(frame, panel, panel_width, size)
            for frame, ((panel,), (panel_width, _)) in zip(frames, placed, strict=True)
        ]
    durations = [_LAST_MILLISECONDS if frame.is_last else _MILLISECONDS for frame in frames]
    if path.suffix.lower() == ".mp4":
        data = _film(pictures, durations)
    else:
        data = _animation(pictures, durations, "GIF" if path.suffix.lower() == ".gif" else "PNG")
    with atomic_file(path) as file:
        file.write(data)


def check_moving_path(path: Path) -> None:
    """Check the extension, and before the work is done that ffmpeg is there for MP4.

    Raises:
        ConfigError: if it is not.
        InputError: if the extension is unknown.
    """
    check_extension(path, MOVING_EXTENSIONS)
    if path.suffix.lower() == ".mp4" and shutil.which("ffmpeg") is None:
        raise ConfigError(f"{path}: an MP4 file needs ffmpeg. Install it, or save a .gif.")


def _animation(pictures: Sequence[Picture], durations: list[int], format: str) -> bytes:
    images = _one_palette(pictures)
    data = io.BytesIO()
    more = images[1:]
    images[0].save(data, format, save_all=True, append_images=more, duration=durations, loop=0)
    return data.getvalue()


def _film(pictures: Sequence[Picture], durations: list[int]) -> bytes:
    """An MP4 file that browsers play. Its width and height have to be even."""
    height, width = pictures[0].shape[:2]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "film.mp4"
        command = [
            "ffmpeg", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24",
            "-s", f"{width}x{height}", "-r", str(_FRAME_RATE), "-i", "-",
            "-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2:color=white", "-pix_fmt", "yuv420p", str(file),
        ]  # fmt: skip
        raw = b"".join(
            picture.tobytes() * (duration * _FRAME_RATE // 1000)
            for picture, duration in zip(pictures, durations, strict=True)
        )
        done = subprocess.run(command, input=raw, capture_output=True)
        if done.returncode or not file.is_file():
            said = done.stderr.decode(errors="replace").strip().splitlines()
            problem = said[-1] if said else f"it ended with {done.returncode}"
            raise ConfigError(f"ffmpeg made no MP4 file: {problem:.200}. Save a .gif instead.")
        return file.read_bytes()


def _draw(frame: Frame, panel: Panel, panel_width: int, size: tuple[int, int]) -> Picture:
    """The picture of a frame, with the panel in the middle."""
    from PIL import Image

    figure = empty_figure(size)
    panel = panel.moved((size[0] - panel_width) // 2)
    draw_panel(figure, size, panel, "board")
    if frame.halt_probability is not None:
        _draw_bar(figure, size, panel, frame.halt_probability)
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=DPI)
    return np.asarray(Image.open(data).convert("RGB"))


def _draw_bar(figure: "Figure", size: tuple[int, int], panel: Panel, probability: float) -> None:
    """Draw the halting probability below a board."""
    from matplotlib.patches import Rectangle

    width, height = size
    board_width, board_height = panel.shape[1] * panel.cell, panel.shape[0] * panel.cell
    bar_width = max(board_width, _LABEL_WIDTH * 3) - 2 * _LABEL_WIDTH
    left = panel.left + (board_width - bar_width) / 2
    bottom = height - panel.top - board_height - _BAR_SPACE
    for length, color in ((1.0, _BAR_GROUND), (probability, _BAR_COLOR)):
        figure.add_artist(
            Rectangle(
                (left / width, bottom / height),
                length * bar_width / width,
                _BAR_HEIGHT / height,
                color=color,
                linewidth=0,
            )
        )
    for x, text, side in (
        (left - 5, "halt", "right"),
        (left + bar_width + 5, f"{probability:.2f}", "left"),
    ):
        figure.text(
            x / width,
            (bottom + _BAR_HEIGHT / 2) / height,
            text,
            fontsize=_TEXT_SIZE,
            ha=side,
            va="center",
        )


def _one_palette(pictures: Sequence[Picture]) -> list["Image"]:
    """The pictures with the same few colours, so that still parts are stored once."""
    from PIL import Image

    packed = [picture @ np.array([1 << 16, 1 << 8, 1]) for picture in pictures]
    sample = packed[:: -(-len(packed) // _PALETTE_FRAMES)]
    colors, counts = np.unique(np.concatenate(sample), return_counts=True)
    common = _unpacked(colors[np.argsort(-counts, kind="stable")[:_MAX_COLORS]])
    images = []
    for picture in packed:
        own, places = np.unique(picture, return_inverse=True)
        distances = np.abs(_unpacked(own)[:, None] - common).sum(axis=2)
        nearest = distances.argmin(axis=1).astype(np.uint8)
        image = Image.fromarray(nearest[places].reshape(picture.shape))
        image.putpalette(common.astype(np.uint8).tobytes())
        images.append(image)
    return images


def _unpacked(colors: NDArray[np.int64]) -> NDArray[np.int64]:
    """Red, green and blue (num_colors, 3) of colours (num_colors,) of 24 bits."""
    channels: NDArray[np.int64] = colors[:, None] >> np.array([16, 8, 0]) & 255
    return channels
