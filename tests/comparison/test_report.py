"""The numbers of a comparison against values computed by hand, its table and its picture."""

import math
from pathlib import Path

import pytest

from tests.comparison.comparisons import comparison, row
from trm.comparison.picture import draw_comparison
from trm.comparison.statistics import holm, mean_interval, sign_test, t_quantile
from trm.comparison.table import comparison_table, headline, remarks, table_page

#: Of ten puzzles the second row has more of eight and fewer of one, the third row more of five.
BASE = row("base", "0000000011", "0000000010")
BETTER = row("better", "1111111011", "1111111110", flops=3e15)
FIVE = row("five", "1111100011", "0000000010")


def test_each_row_is_tested_against_the_first_over_the_puzzles() -> None:
    found = comparison(BASE, row("better", "1111111101", "1111111110"), FIVE).tests
    better, five = found["better"], found["five"]
    assert (better.better, better.worse, better.p) == (8, 1, 20 / 512)  # 2 * (1 + 9) / 2**9
    assert (five.better, five.worse, five.p) == (5, 0, 2 / 32)
    # The smaller one times two; the larger one is not below it.
    assert (better.p_holm, five.p_holm) == (40 / 512, 40 / 512)
    assert better.difference == pytest.approx(0.9 - 0.15)
    assert better.seeds == (0, 1)


def test_rows_that_are_not_finished_count_in_the_correction() -> None:
    better = comparison(BASE, BETTER, FIVE, row("none")).tests["better"]
    all_finished = comparison(BASE, BETTER, FIVE, row("same", "0000000011", "0000000010"))
    assert better.p_holm == all_finished.tests["better"].p_holm


def test_a_puzzle_that_seeds_gain_and_lose_counts_for_neither() -> None:
    found = comparison(row("a", "10", "01"), row("b", "01", "11")).tests["b"]
    assert (found.better, found.worse) == (1, 0)


def test_only_seeds_that_both_have_are_tested() -> None:
    half = row("b", "1111", first_seed=1)
    found = comparison(row("a", "1111", "0000"), half).tests["b"]
    assert (found.seeds, found.better, found.difference) == ((1,), 4, 1.0)
    assert comparison(row("a", "11"), half).tests == {}


def test_mean_spread_and_interval() -> None:
    assert BASE.mean == pytest.approx(0.15)
    assert BASE.spread == pytest.approx(0.05 * math.sqrt(2))
    assert row("one", "1100").spread is None
    assert row("none").mean is row("none").interval is None
    # Half a t interval: 4.3027 * 0.1 / sqrt(3) = 0.24842; Wilson of 6 in 10: 0.3127 to 0.8318.
    low, high = mean_interval([0.5, 0.6, 0.7], 10)
    assert low == pytest.approx(0.6 - math.hypot(0.24842, 0.6 - 0.3127), abs=1e-4)
    assert high == pytest.approx(0.6 + math.hypot(0.24842, 0.8318 - 0.6), abs=1e-4)
    assert mean_interval([0.6], 10) == pytest.approx((0.3127, 0.8318), abs=1e-4)


def test_quantiles_of_student() -> None:
    table = {1: 12.7062, 2: 4.3027, 3: 3.1824, 4: 2.7764, 9: 2.2622, 10: 2.2281, 100: 1.9840}
    assert {n: round(t_quantile(n), 4) for n in table} == table


@pytest.mark.parametrize(
    ("better", "worse"), [(0, 0), (3, 3), (6, 1), (1, 6), (400, 300), (600, 500), (5000, 4800)]
)
def test_the_exact_test(better: int, worse: int) -> None:
    count = better + worse
    tail = sum(math.comb(count, k) for k in range(min(better, worse) + 1))
    assert sign_test(better, worse) == pytest.approx(min(1.0, 2 * tail / 2**count), rel=1e-8)


def test_the_test_of_very_many_pairs_is_a_number() -> None:
    assert sign_test(200_000, 0) == 0.0
    assert 0.02 < sign_test(100_500, 99_500) < 0.03  # 2.24 standard deviations


def test_holm() -> None:
    assert holm([]) == []
    assert holm([0.5, 0.01, 0.02]) == [0.5, pytest.approx(0.03), pytest.approx(0.04)]
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_the_table() -> None:
    found = comparison(BASE, BETTER, row("half", "1111111111"))
    table = comparison_table(found)
    assert [column.name for column in table.columns][:5] == [
        "row", "exact accuracy", "95% interval", "vs. first", "p"
    ]  # fmt: skip
    assert table.rows[0] == (
        "base", "0.1500 ± 0.0707", "0.000-0.856", "-", "-", "40", "90 s", "2 P", "0.25", "12,345"
    )  # fmt: skip
    assert table.rows[1][3:5] == ("+0.7500", "0.016")  # 8 of 8: 2 / 256, for two rows
    assert table.rows[2][:2] == ("half (1 of 2 seeds)", "1.0000")
    assert "NOT FINISHED: 5 of 6 runs" in headline(found)
    assert "on the same 10 puzzles against 'base'" in " ".join(remarks(found))
    page = table_page(found)
    assert page.startswith("**g: 40 steps a run, on the test puzzles of data/toy; NOT FINISHED")
    assert "| half (1 of 2 seeds) | 1.0000 |" in page


def test_a_comparison_without_results_has_a_table() -> None:
    found = comparison(row("a"), row("b"))
    assert comparison_table(found).rows[1][1:7] == ("-",) * 6
    assert "NOT FINISHED: 0 of 4 runs" in table_page(found)
    assert found.as_json()["rows"][0]["mean"] is None


def test_json_has_what_the_table_has() -> None:
    found = comparison(BASE, BETTER).as_json()
    assert (found["num_runs"], found["num_finished"]) == (4, 4)
    assert found["budget"] == {"steps": 40}
    better = found["rows"][1]
    assert better["against_first"]["p"] == 2 / 256
    assert better["settings"] == {"optim.lr": 0.5}
    assert [run["value"]["value"] for run in better["runs"]] == [0.9, 0.9]


def test_notebooks_show_the_rows() -> None:
    found = comparison(BASE, BETTER)
    page = found._repr_html_()
    assert "better" in page
    assert "0.0078" in page
    assert repr(found) == "<Comparison of 2 rows, all 4 runs are finished: o>"


@pytest.mark.parametrize("unit", ["steps", "flops"])
def test_the_picture(tmp_path: Path, unit: str) -> None:
    found = comparison(BASE, BETTER, row("half", "1111111111"), row("none"), unit=unit)
    for name in ("a.svg", "b.svg", "a.png"):
        draw_comparison(tmp_path / name, found)
    drawn = (tmp_path / "a.svg").read_text()
    assert drawn == (tmp_path / "b.svg").read_text()
    words = {"exact accuracy", "better", "half", "NOT FINISHED: 5 of 8 runs"}
    words |= {
        "minutes of training a run; bars: lowest to highest seed"
        if unit == "flops"
        else "PFLOP of training a run; bars: lowest to highest seed"
    }
    assert all(f"<!-- {word} -->" in drawn for word in words)
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_more_rows_than_markers_have_numbers(tmp_path: Path) -> None:
    rows = [row(f"r{number}", "10", "11") for number in range(9)]
    draw_comparison(tmp_path / "a.svg", comparison(*rows))
    drawn = (tmp_path / "a.svg").read_text()
    assert "<!-- 9 r8 -->" in drawn
    assert "<!-- 9 -->" in drawn
