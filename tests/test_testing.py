"""The conformance kit: built-in kinds of models pass it, and a broken model does not.

``tests/system/test_model_package.py`` runs all of it, on the model of the example.
"""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from trm.errors import PluginError
from trm.models import Passes, TinyRecursiveModel, kinds, list_model_kinds
from trm.models.kinds.hrm import HierarchicalReasoningModel
from trm.testing import CHECKS, ConformanceError, check_model, main

#: These take seconds each.
SLOW = ("round-trip", "onnx", "compiled", "processes")
QUICK = [name for name in CHECKS if name not in SLOW]
#: These do not even train.
OF_A_STEP = [name for name in QUICK if name != "resume"]


@pytest.mark.parametrize(
    "kind", [name for name, kind in list_model_kinds().items() if kind.origin == "built in"]
)
def test_a_built_in_kind_passes_the_quick_checks(kind: str) -> None:
    check_model(kind, checks=QUICK)


@pytest.mark.parametrize(
    "settings",
    [
        {"mlp_t": True, "pos_encodings": "none"},
        {"pos_encodings": "learned", "act_continue": True},
        {"separate_networks": True},
        {"gradient": "one_step"},
    ],
    ids=str,
)
def test_a_trm_with_other_settings_passes_them(settings: dict[str, Any]) -> None:
    check_model("trm", settings, checks=OF_A_STEP)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch, as it compiles
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # likewise
@pytest.mark.parametrize(
    ("check", "kind", "settings"),
    [
        ("round-trip", "singlez", {}),
        ("onnx", "hier6", {}),
        ("compiled", "hrm", {}),
        ("processes", "transformer", {"act_continue": True}),
    ],
)
def test_a_built_in_kind_passes_a_slow_check(
    check: str, kind: str, settings: dict[str, Any]
) -> None:
    check_model(kind, settings, checks=[check])


def test_each_file_of_a_kind_is_installed() -> None:
    files = {file.stem for file in Path(kinds.__file__).parent.glob("*.py")} - {"__init__"}
    assert len(files) >= 6
    found = {name for name, kind in list_model_kinds().items() if kind.origin == "built in"}
    assert found == {"trm", *files}


class MixesRows(TinyRecursiveModel):
    def recurse(self, state: Any, embedded: Tensor, *more: Any) -> Any:
        return super().recurse(state, embedded + embedded.mean(0, keepdim=True), *more)


class IgnoresNoise(TinyRecursiveModel):
    def recurse(self, state: Any, embedded: Tensor, depth: Any = None, noise: Any = None) -> Any:
        return super().recurse(state, embedded, depth)


class IgnoresDepth(TinyRecursiveModel):
    def recurse(self, state: Any, embedded: Tensor, depth: Any = None, noise: Any = None) -> Any:
        return super().recurse(state, embedded, None, noise)


class Draws(TinyRecursiveModel):
    def recurse(self, state: Any, embedded: Tensor, *more: Any) -> Any:
        return super().recurse(state, embedded + torch.rand(()), *more)


class KeepsGradients(TinyRecursiveModel):
    def forward(self, *args: Any, **kwargs: Any) -> Any:
        output = super().forward(*args, **kwargs)
        grown = self.state_class(*(part + self.halt_head.bias.sum() for part in output.state))
        return output._replace(state=grown)


class HasAnUnusedWeight(TinyRecursiveModel):
    def build_core(self) -> Any:
        core = super().build_core()
        core.unused = nn.Linear(2, 2)
        return core


class CountsWrong(HierarchicalReasoningModel):
    @classmethod
    def passes(cls, config: Any, depth: Any = None) -> Passes:
        return super().passes(config, depth)._replace(learned=1)


@pytest.mark.parametrize(
    ("broken", "check", "message"),
    [
        (MixesRows, "determinism", "a row depends on the other rows"),
        (Draws, "determinism", "the same step gives other numbers"),
        (IgnoresNoise, "noise", "noise has no effect"),
        (IgnoresDepth, "depth", r"a depth of \(1, 1\) changes nothing"),
        (KeepsGradients, "shapes", "answer is not detached"),
        (HasAnUnusedWeight, "gradients", "no gradient reaches core.unused.weight"),
        (MixesRows, "settings", "the installed kind 'trm' is another class"),
    ],
)
def test_a_broken_model_is_named(
    broken: type[TinyRecursiveModel], check: str, message: str
) -> None:
    with pytest.raises(ConformanceError, match=f"^trm, {check}: {message}"):
        check_model(broken, checks=[check])


class HasAFloat32Buffer(TinyRecursiveModel):
    def build_core(self) -> Any:
        core = super().build_core()
        core.register_buffer("shift", torch.zeros(self.config.hidden_size), persistent=False)
        return core

    def recurse(self, state: Any, embedded: Tensor, *more: Any) -> Any:
        return super().recurse(state, embedded + self.core.shift, *more)


class Raises(TinyRecursiveModel):
    def recurse(self, *arguments: Any) -> Any:
        raise ValueError("shapes differ\nhere")


def test_an_error_of_the_model_is_named() -> None:
    with pytest.raises(ConformanceError, match=r"^trm, shapes: ValueError: shapes differ$"):
        check_model(Raises, checks=["shapes"])
    with pytest.raises(ConformanceError, match=r"^trm, bfloat16: "):
        check_model(HasAFloat32Buffer, checks=["bfloat16"])
    check_model(HasAFloat32Buffer, checks=["shapes"])


def test_the_command_says_what_is_skipped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("trm.testing.CHECKS", {name: CHECKS[name] for name in ("noise", "onnx")})
    assert main(["trm"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "trm noise: Noise changes the state, by the generator it is given.",
        "trm onnx: skipped: onnx is not installed",
    ]
    assert main([]) == 2
    assert capsys.readouterr().err == "Usage: python -m trm.testing KIND...\n"
    assert main(["hrmm"]) == 1


def test_wrong_counts_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trm.models.flops.get_model_class", lambda kind: CountsWrong)
    with pytest.raises(ConformanceError, match=r"hrm, flops: .* operations computed, .* counted"):
        check_model("hrm", checks=["flops"])


def test_a_kind_that_is_not_installed() -> None:
    with pytest.raises(PluginError, match=r"unknown kind of model 'hrmm'\. Did you mean 'hrm'"):
        check_model("hrmm")
