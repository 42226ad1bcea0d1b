"""Boards as pictures: the files are written, read back and looked at, cell by cell."""

import html
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

from trm.errors import ConfigError, InputError, StorageError
from trm.pictures.boards import save_pictures
from trm.tasks.base import Board

pytest.importorskip("matplotlib")
from matplotlib.image import imread

PNG = b"\x89PNG\r\n\x1a\n"
SVG = "{http://www.w3.org/2000/svg}"
RED, GREEN, BLUE, WHITE = (255, 65, 54), (46, 204, 64), (0, 116, 217), (255, 255, 255)


def board(rows: int, columns: int, *, seed: int = 0, symbols: tuple[str, ...] = ()) -> Board:
    palette = np.array([RED, GREEN, BLUE, WHITE], np.uint8)
    drawn = np.random.default_rng(seed).integers(0, len(palette), (rows, columns))
    return Board(palette[drawn], symbols)


def pixels(path: Path) -> np.ndarray:
    """(height, width, 3) uint8."""
    return (imread(path)[..., :3] * 255).round().astype(np.uint8)


def middles(
    picture: np.ndarray, left: int, top: int, cell: int, shape: tuple[int, int]
) -> np.ndarray:
    """The colours in the middle of each cell of a board; in pixels."""
    rows, columns = shape
    down = top + cell // 2 + cell * np.arange(rows)
    across = left + cell // 2 + cell * np.arange(columns)
    return picture[np.ix_(down, across)]


def cells(path: Path, number: int) -> list[str]:
    """The styles of the paths of a board in an SVG, the first board being 1."""
    group = ET.parse(path).getroot().find(f".//{SVG}g[@id='board-{number}']")
    assert group is not None
    return [found.get("style", "") for found in group.iter(f"{SVG}path")]


def filled(color: tuple[int, int, int]) -> str:
    return "fill: #{:02x}{:02x}{:02x}".format(*color)


def test_each_cell_of_a_png_has_its_colour(tmp_path: Path) -> None:
    path, drawn = tmp_path / "board.png", board(30, 30)
    save_pictures(path, [("", drawn)])
    assert path.read_bytes().startswith(PNG)
    picture = pixels(path)
    cell, gap = 18, 32  # pixels
    assert picture.shape == (30 * cell + 2 * gap, 30 * cell + 2 * gap, 3)
    assert (middles(picture, gap, gap, cell, (30, 30)) == drawn.colors).all()


def test_cells_are_parted_by_thin_lines(tmp_path: Path) -> None:
    path = tmp_path / "board.png"
    save_pictures(path, [("", Board(np.full((30, 30, 3), 255, np.uint8)))])
    row = pixels(path)[32 + 9]  # through the middles of the first cells
    dark = np.flatnonzero((row < 200).all(axis=1))
    assert len(dark) == 31
    assert set(np.diff(dark)) == {18}


def test_boards_fill_a_row_and_then_the_next(tmp_path: Path) -> None:
    path, boards = tmp_path / "boards.png", [board(9, 9, seed=seed) for seed in range(3)]
    save_pictures(path, [(f"board {seed}", drawn) for seed, drawn in enumerate(boards)], columns=2)
    picture, cell, gap, title = pixels(path), 60, 32, 26
    panel = 9 * cell
    assert picture.shape == (3 * gap + 2 * (panel + title), 3 * gap + 2 * panel, 3)
    right, down = 2 * gap + panel, 2 * gap + panel + 2 * title
    for drawn, left, top in zip(
        boards, (gap, right, gap), (gap + title, gap + title, down), strict=True
    ):
        assert (middles(picture, left, top, cell, (9, 9)) == drawn.colors).all()
    assert (picture[gap : gap + title, gap : gap + panel] < 100).any()  # the title
    assert (picture[down:, right:] == 255).all()  # no fourth board


def test_boards_of_several_shapes_keep_square_cells(tmp_path: Path) -> None:
    path, small, wide = tmp_path / "boards.png", board(3, 3), board(10, 30)
    save_pictures(path, [("", small), ("", wide)])
    picture, gap, panel = pixels(path), 32, 540
    left = gap + (panel - 3 * 72) // 2  # the small one stands in the middle of its panel
    assert (middles(picture, left, gap, 72, (3, 3)) == small.colors).all()
    assert (middles(picture, 2 * gap + panel, gap, 18, (10, 30)) == wide.colors).all()


def test_symbols_are_light_on_dark_and_dark_on_light(tmp_path: Path) -> None:
    path = tmp_path / "board.png"
    colors = np.array([[(0, 0, 0), (255, 255, 255)]], np.uint8)
    save_pictures(path, [("", Board(colors, ("8", "8")))])
    picture = pixels(path)
    left = (picture.shape[1] - 2 * 72) // 2
    dark = picture[36:100, left + 4 : left + 68]
    light = picture[36:100, left + 76 : left + 140]
    for cell, ground in ((dark, 0), (light, 255)):
        assert 0.5 < (cell == ground).mean() < 0.95
        assert (cell == 255 - ground).any()


def test_long_symbols_stay_in_their_cells(tmp_path: Path) -> None:
    path = tmp_path / "board.png"
    colors = np.full((1, 3, 3), 255, np.uint8)
    save_pictures(path, [("", Board(colors, ("", "1000", "")))])
    picture = pixels(path)
    left = (picture.shape[1] - 3 * 72) // 2
    assert (middles(picture, left, 32, 72, (1, 3))[0, [0, 2]] == 255).all()
    outer = picture[36:100, [*range(left + 4, left + 68), *range(left + 148, left + 212)]]
    assert (outer == 255).all()


def test_an_svg_has_a_path_a_cell(tmp_path: Path) -> None:
    path, first, second = tmp_path / "boards.svg", board(30, 30), board(5, 7, seed=1)
    save_pictures(path, [("one", first), ("two", second)])
    for number, drawn in ((1, first), (2, second)):
        styles = cells(path, number)
        assert len(styles) == drawn.colors.shape[0] * drawn.colors.shape[1]
        for style, color in zip(styles, drawn.colors.reshape(-1, 3), strict=True):
            assert filled(color) in style
            assert "stroke: #8a8a8a" in style
    assert not list(ET.parse(path).getroot().iter(f"{SVG}image"))


def test_an_svg_has_its_titles_and_symbols(tmp_path: Path) -> None:
    path = tmp_path / "board.svg"
    save_pictures(path, [("step 1: $5 <b> & _x", board(1, 2, symbols=("7", "")))])
    with_comments = ET.XMLParser(target=ET.TreeBuilder(insert_comments=True))
    tree = ET.parse(path, with_comments)
    comments = [html.unescape(found.text or "").strip() for found in tree.iter(ET.Comment)]
    assert "7" in comments
    assert "step 1: $5 <b> & _x" in comments


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_the_same_boards_are_the_same_bytes(tmp_path: Path, ending: str) -> None:
    boards = [("a", board(9, 9, symbols=tuple("123456789" * 9))), ("b", board(30, 30))]
    files = [tmp_path / f"{name}.{ending}" for name in ("first", "second", "elsewhere")]
    for path in files[:2]:
        save_pictures(path, boards)
    program = (
        "import sys, numpy as np; from pathlib import Path; from trm.tasks.base import Board;"
        "from trm.pictures.boards import save_pictures;"
        "read = lambda n: np.load(sys.argv[2])[n];"
        "save_pictures(Path(sys.argv[1]), [('a', Board(read('a'), tuple('123456789' * 9))),"
        "('b', Board(read('b')))]); print('matplotlib.pyplot' in sys.modules)"
    )
    np.savez(tmp_path / "colors.npz", **{title: drawn.colors for title, drawn in boards})
    arguments = [sys.executable, "-c", program, str(files[2]), str(tmp_path / "colors.npz")]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
    assert len({path.read_bytes() for path in files}) == 1
    assert b"Date" not in files[0].read_bytes()


def test_the_readers_own_settings_change_nothing(tmp_path: Path) -> None:
    import matplotlib

    save_pictures(tmp_path / "plain.png", [("a", board(4, 4))])
    with matplotlib.rc_context(
        {"axes.grid": True, "font.size": 30, "savefig.bbox": "tight", "figure.facecolor": "red"}
    ):
        save_pictures(tmp_path / "own.png", [("a", board(4, 4))])
        assert matplotlib.rcParams["font.size"] == 30  # and they are left as they were
    assert (tmp_path / "plain.png").read_bytes() == (tmp_path / "own.png").read_bytes()


def test_a_title_of_any_kind_is_drawn(tmp_path: Path) -> None:
    titles = ["日本 🙂", "$broken {math", "a" * 300, "word " * 60, "two\nlines", ""]
    save_pictures(tmp_path / "a.png", [(title, board(2, 2)) for title in titles], columns=2)
    assert (tmp_path / "a.png").read_bytes().startswith(PNG)


def test_an_empty_board_leaves_its_place_empty(tmp_path: Path) -> None:
    path, empty = tmp_path / "a.png", Board(np.zeros((0, 0, 3), np.uint8))
    save_pictures(path, [("", empty), ("", board(3, 3))])
    picture = pixels(path)
    assert (picture[:, : picture.shape[1] // 2] == 255).all()
    save_pictures(path, [("nothing", empty)])
    assert path.is_file()


def test_a_folder_that_is_missing_is_made(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "A.PNG"
    save_pictures(path, [("", board(2, 2))])
    assert [found.name for found in path.parent.iterdir()] == ["A.PNG"]


@pytest.mark.parametrize("name", ["board.jpg", "board", "board.pdf", "png"])
def test_another_ending_is_refused(tmp_path: Path, name: str) -> None:
    message = rf"^cannot draw to .*{name}: unknown file extension\. Use \.png or \.svg\.$"
    with pytest.raises(InputError, match=message):
        save_pictures(tmp_path / "new" / name, [("", board(2, 2))])
    assert not list(tmp_path.iterdir())


def test_nothing_to_draw_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^no board was given to draw\. Give one or more\.$"):
        save_pictures(tmp_path / "a.png", [])
    with pytest.raises(InputError, match=r"^columns is 0\. Give 1 or more\.$"):
        save_pictures(tmp_path / "a.png", [("", board(2, 2))], columns=0)


def test_a_picture_that_is_too_large_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        InputError,
        match=r"^the picture would have 604 x \d{5} pixels, more than 30000 on a side\. Draw fewer",
    ):
        save_pictures(tmp_path / "a.png", [("", board(30, 30))] * 60, columns=1)
    assert not list(tmp_path.iterdir())


def test_what_was_there_stays_if_drawing_fails(tmp_path: Path) -> None:
    path = tmp_path / "a.svg"
    path.write_text("old")
    with pytest.raises(ValueError, match="zip"):
        save_pictures(path, [("", board(2, 2, symbols=("too", "few")))])
    assert [found.name for found in tmp_path.iterdir()] == ["a.svg"]
    assert path.read_text() == "old"


def test_a_place_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match=r"^cannot write .*a\.png: "):
        save_pictures(tmp_path / "file" / "a.png", [("", board(2, 2))])


def test_without_matplotlib_the_message_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    message = r"^drawing needs matplotlib, which is not installed\. Run: pip install matplotlib$"
    with pytest.raises(ConfigError, match=message):
        save_pictures(tmp_path / "a.png", [("", board(2, 2))])
    assert not list(tmp_path.iterdir())


def test_matplotlib_is_imported_only_to_draw() -> None:
    program = (
        "import sys, trm.pictures.boards, trm.show.plots;"
        "print([m for m in ('matplotlib', 'torch') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_boxes_and_changed_cells_are_framed(tmp_path: Path) -> None:
    path, marks = tmp_path / "board.png", np.zeros((4, 4), bool)
    marks[0, 3] = True
    white = np.full((4, 4, 3), 255, np.uint8)
    filled_in = np.zeros((4, 4), bool)
    filled_in[3] = True
    symbols = tuple("1" if row in (1, 3) else "" for row in range(4) for _ in range(4))
    save_pictures(path, [("", Board(white, symbols, filled_in, marks, box=(2, 2)))])
    picture, cell = pixels(path), 72
    row = picture[32 + cell // 2 - 8, 32 : 32 + 4 * cell]
    thick = np.flatnonzero((row < 50).all(axis=1))
    assert {int(place) // (cell // 2) for place in thick} <= {0, 3, 4, 7}  # at the boxes alone
    assert np.abs(thick - 2 * cell).min() == 0
    (orange,) = np.where((row == (213, 94, 0)).all(axis=1))
    assert (orange // cell == 3).all()
    assert len(orange) > 6
    bold, light = (picture[32 + n * cell + 8 : 32 + (n + 1) * cell - 8] for n in (1, 3))
    assert (bold[:, 40:96] < 30).all(axis=2).sum() > (bold[:, 40:96] == (0, 75, 145)).all(2).sum()
    assert (light == (0, 75, 145)).all(axis=2).sum() > 100
