"""Values that a careless reader trips over: texts, names, and numbers as they are written."""

DEEP = 20_000
NUMBERS = (
    "-1", "0", "1", "2", "7", "256", "-0.0", "0.5", "1e-320", "1e30", "-1e30", "1e308", "1e999",
    "2147483648", "9223372036854775807", "9223372036854775808", "18446744073709551616",
    "-9223372036854775809", "1000000000", "9" * 5000, "0." + "3" * 5000, "1e1000000000",
)  # fmt: skip
#: Numbers only for some readers: JSON of Python, the command line, CSV.
ODD_NUMBERS = (
    "NaN", "Infinity", "-Infinity", "nan", "inf", "1_0", "0x10", "\u0663", "\uff11", "\xb2", "+1",
    "",
)  # fmt: skip
TEXTS = (
    "", " ", ".", "..", "../x", "a/../../b", "-", "--", "-x", "--help", "~", "x" * 300,
    "y" * 70_000,
    "\x1b[31mred\x1b[0m", "\x1b]0;title\x07", "a\nb", "a\r\nb", "a\tb", "\x7f", "\x9b31m",
    "\x08\x08",
    "[/x]", "[red]", "[bold", "[link=x]", ":smile:", "\\[x]", "<script>alert(1)</script>",
    "# heading",
    "| a | b |", "---", "{x}", "%s%n", "{0}", "$HOME", "`id`", "'", '"', "\\", "a\\",
    "\u202egnp.exe", "\u2066x", "\ufeff", "\u200b", "\u2028", "e\u0301", "日本語", "😀", "\ud800",
    "\udcff",
    "None", "null", "true", "NaN", "0", "1e5", "con", "a:b", "a@b", "a/b", "a/b@c", "https://x/y",
    "hf://a/b", ".hidden", "x.json", "x.npz", "x.csv", "x/", "*", "?", "<pad>", "|||",
)  # fmt: skip
#: JSON texts in the place of any value.
JSON_VALUES = (
    "null", "true", "[]", "{}", '""', '"x"', "[[]]", '{"": 0}', "[1, null]", '{"a": {"b": []}}',
    "[" * DEEP + "]" * DEEP, '{"a":' * DEEP + "1" + "}" * DEEP, "[1,2", '"\\ud800"', '"\\u0000"',
)  # fmt: skip
TOML_VALUES = (
    "[]", "{}", '""', "true", "[" * DEEP, "[" * DEEP + "]" * DEEP, "1979-05-27", "{a.b.c = 1}",
    "0x" + "f" * 5000, "inf", "-nan", '"\\ud800"', '"""', "'\x00'",
)  # fmt: skip
YAML_VALUES = (
    "[]", "{}", "~", "&a [*a]", "[" * DEEP, "!!python/object/apply:os.system ['true']",
    "2001-01-01",
    "!!binary x", "*x", "? a", "{a: b: c}", "'", "- - - -", "!!float x", "!!int ''", "0b", "1:2:3",
    "&a [1,1,1,1,1,1,1,1,1], &b [*a,*a,*a,*a,*a,*a,*a,*a]", ".inf", "0o9", "!!timestamp x",
)  # fmt: skip
BYTES = (
    b"", b"\x00", b"\x00" * 64, b"\xff" * 16, b"\xfe\xff", b"\xef\xbb\xbf", b"\x80\x81",
    b"PK\x03\x04",
    b"\x93NUMPY", b"\r", b"\n\n", b'"', b",", b"\x1b[2J", b"\xed\xa0\x80", b"\x1f\x8b",
    b"\x80\x04.",
)  # fmt: skip
