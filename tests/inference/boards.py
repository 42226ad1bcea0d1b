"""Puzzles of 4x4, all with one solution in mind, to solve by the file."""

import itertools

SOLVED = "1234341221434321"
#: Puzzles with four blanks, all different.
PUZZLES = [
    "".join("." if cell in blanks else digit for cell, digit in enumerate(SOLVED))
    for blanks in itertools.combinations(range(16), 4)
]
