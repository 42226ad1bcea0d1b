"""Moving pictures: the files are read back, frame by frame."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from trm.errors import ConfigError, InputError
from trm.pictures.moving import Frame, save_moving_picture
from trm.tasks.base import Board

pytest.importorskip("matplotlib")
from PIL import Image

WHITE, GREY, ORANGE = (255, 255, 255), (224, 224, 224), (213, 94, 0)
CELL = 72  # pixels


def board(rows: int, columns: int, changed: tuple[int, int] | None = None) -> Board:
    colors = np.full((rows, columns, 3), 255, np.uint8)
    colors[0, 0] = GREY
    marks = np.zeros((rows, columns), bool)
    if changed is not None:
        marks[changed] = True
    return Board(colors, changed=marks)


def frames_of(path: Path) -> list[tuple[np.ndarray, float]]:
    """Each frame, (height, width, 3) uint8, and its milliseconds."""
    found = []
    with Image.open(path) as picture:
        assert picture.info["loop"] == 0
        for number in range(picture.n_frames):
            picture.seek(number)
            found.append((np.asarray(picture.convert("RGB")), picture.info["duration"]))
    return found


FFMPEG = """#!/bin/sh
printf '%s ' "$@" > {0}/arguments
cat > {0}/raw
for file; do true; done
printf film > "$file"
exit {1}
"""


@pytest.fixture
def ffmpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Put a program in the place of ffmpeg, which ends with a code."""

    def make(code: int = 0, text: str = FFMPEG) -> None:
        program = tmp_path / "bin/ffmpeg"
        program.parent.mkdir(exist_ok=True)
        program.write_text(text.format(tmp_path, code))
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")

    return make


def test_a_film_is_made_by_ffmpeg(tmp_path: Path, ffmpeg: Callable[..., None]) -> None:
    ffmpeg()
    steps = [Frame("puzzle", board(4, 4)), Frame("step 1", board(4, 4), 0.5, is_last=True)]
    save_moving_picture(tmp_path / "steps.mp4", steps)
    assert (tmp_path / "steps.mp4").read_bytes() == b"film"
    words = (tmp_path / "arguments").read_text().split()
    width, height = map(int, words[words.index("-s") + 1].split("x"))
    assert words[words.index("-r") + 1] == "10"
    pictures = np.fromfile(tmp_path / "raw", np.uint8).reshape(-1, height, width, 3)
    assert len(pictures) == 9 + 30  # 0.9 and 3 seconds
    assert (pictures[0] == pictures[8]).all()
    assert (pictures[8] != pictures[9]).any()


def test_without_ffmpeg_there_is_no_film(
    tmp_path: Path, ffmpeg: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    steps, path = [Frame("puzzle", board(4, 4))], tmp_path / "steps.mp4"
    ffmpeg(1, "#!/bin/sh\necho no such codec >&2\ncat > {0}/raw\nexit {1}\n")
    with pytest.raises(
        ConfigError, match=r"^ffmpeg made no MP4 file: no such codec\. Save a \.gif"
    ):
        save_moving_picture(path, steps)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match=r"steps\.mp4: an MP4 file needs ffmpeg\. Install it"):
        save_moving_picture(path, steps)
    assert not path.exists()


@pytest.mark.parametrize("ending", ["gif", "apng"])
def test_each_step_is_a_frame(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"steps.{ending}"
    steps = [
        Frame("puzzle", board(4, 4)),
        Frame("step 1", board(4, 4, changed=(1, 2)), 0.0),
        Frame("step 2", board(4, 4), 1.0, is_last=True),
    ]
    save_moving_picture(path, steps)
    (first, short), (second, _), (third, long) = frames_of(path)
    assert long > 2 * short
    left, top = (first.shape[1] - 4 * CELL) // 2, 32 + 26
    middle = (top + CELL // 2, left + CELL // 2)
    assert tuple(first[middle]) == GREY
    assert tuple(first[0, 0]) == WHITE
    edge = second[top + CELL + CELL // 2, left + 2 * CELL : left + 3 * CELL]
    assert (edge == ORANGE).all(axis=1).sum() > 6  # the frame of the changed cell
    assert not (third == ORANGE).all(axis=2).any()
    is_blue = [(frame == (0, 114, 178)).all(axis=2).sum() for frame in (first, second, third)]
    assert is_blue[:2] == [0, 0]
    assert is_blue[2] > 1000  # the bar of the halting probability


def test_boards_of_several_sizes_share_a_canvas(tmp_path: Path) -> None:
    save_moving_picture(tmp_path / "a.gif", [Frame("", board(3, 3)), Frame("b", board(2, 9))])
    assert len({frame.shape for frame, _ in frames_of(tmp_path / "a.gif")}) == 1


def test_the_same_frames_are_the_same_bytes(tmp_path: Path) -> None:
    steps = [Frame("a", board(2, 2)), Frame("b", board(2, 2, changed=(0, 0)), 0.3)]
    for name in ("a.gif", "b.gif"):
        save_moving_picture(tmp_path / name, steps)
    assert (tmp_path / "a.gif").read_bytes() == (tmp_path / "b.gif").read_bytes()


def test_too_much_or_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^no board was given to draw\. Give one or more\.$"):
        save_moving_picture(tmp_path / "a.gif", [])
    with pytest.raises(InputError, match=r"would have 501 frames, more than 500\. Give fewer"):
        save_moving_picture(tmp_path / "a.gif", [Frame("", board(1, 1))] * 501)
    with pytest.raises(InputError, match=r"unknown file extension\. Use \.gif, \.apng or \.mp4\.$"):
        save_moving_picture(tmp_path / "a.png", [Frame("", board(1, 1))])
    assert not list(tmp_path.iterdir())
