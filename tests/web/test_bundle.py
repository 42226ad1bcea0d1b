"""Modules as one: what they export, and what cannot be bundled."""

from pathlib import Path
from typing import Any

import pytest

from trm.web.bundle import bundle
from trm.web.catalogue import PAGE

RUN = """async (script) => {
  const address = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
  return (await import(address)).default;
}"""


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text)
    return folder / "main.js"


def test_modules_are_called_once_and_texts_stay_texts(chromium: Any, tmp_path: Path) -> None:
    entry = write(
        tmp_path,
        main_js='import { first, calls as number } from "./a.js";\n'
        'import { Second } from "./b.js";\nimport text from "./t.html";\n'
        "export default [first(), number(), new Second().value, text];\n",
        a_js='import { step } from "./c.js";\nexport const calls = () => step();\n'
        "export function first() {\n  return step();\n}\n",
        b_js='import { step } from "./c.js";\nexport class Second {\n  value = step();\n}\n'
        "const first = 7; // a name of another module\n",
        c_js="let count = 0;\nexport const step = () => ++count;\n",
        t_html='</script>\n"quoted" \\ `${text}` \u2028',
    )
    page = chromium.new_page()
    try:
        found = page.evaluate(RUN, bundle(entry))
    finally:
        page.close()
    assert found == [1, 2, 3, (tmp_path / "t.html").read_text()]


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ('import * as all from "./a.js";\n', r"main.js has `import \* as all"),
        ("export { one };\n", r"main.js has `export \{ one \}"),
        ('const a = await import("./a.js");\n', "main.js has `import"),
        ('import { one } from "./main.js";\n', "main.js imports itself"),
    ],
)
def test_other_forms_are_refused(tmp_path: Path, source: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        bundle(write(tmp_path, main_js=source))


def test_the_page_itself_needs_no_bundle() -> None:
    with pytest.raises(ValueError, match=r"page\.js has `import"):
        bundle(PAGE / "page.js")
