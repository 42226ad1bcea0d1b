"""What TensorBoard reads in the run folder."""

import json
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata

from trm.config import RunConfig
from trm.trackers import flat_settings
from trm.trackers.tensorboard import TensorBoard


def read(run: Path) -> EventAccumulator:
    return EventAccumulator(str(run / "tensorboard")).Reload()


def series(events: EventAccumulator) -> dict[str, list[tuple[int, float]]]:
    tags = events.Tags()["scalars"]
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in tags}


@pytest.fixture(scope="module")
def events(logged: Any) -> EventAccumulator:
    return read(logged.run)


def test_a_run_that_went_on_is_one_series(events: EventAccumulator) -> None:
    assert series(events) == {
        "train/loss": [(1, 4.0), (2, 3.0), (3, 2.0), (4, 1.0)],  # not 9.0, which was undone
        "train/num_halted": [(1, 3.0)],
        "eval/exact_accuracy": [(2, 0.25), (4, 0.5)],
    }


def test_the_whole_config_is_there_as_text(events: EventAccumulator) -> None:
    (first, second) = events.Tensors("config/text_summary")
    config = RunConfig.model_validate_json(
        first.tensor_proto.string_val[0].decode().removeprefix("```json\n").removesuffix("\n```")
    )
    assert config == RunConfig.model_validate({"task": "sudoku", "train": {"seed": 5}})
    assert (first.step, second.step) == (0, 2)


def test_the_settings_are_hyperparameters(events: EventAccumulator, logged: Any) -> None:
    contents = events.PluginTagToContent(metadata.PLUGIN_NAME)
    begun = metadata.parse_session_start_info_plugin_data(
        contents[metadata.SESSION_START_INFO_TAG]
    ).hparams
    config = RunConfig.model_validate({"task": "sudoku", "train": {"seed": 5}})
    assert set(begun) == set(flat_settings(config))
    assert begun["train.seed"].number_value == 5
    assert begun["model.forward_dtype"].string_value == "bfloat16"
    assert metadata.SESSION_END_INFO_TAG in contents


def test_what_was_logged_survives_a_kill(tmp_path: Path, config: RunConfig) -> None:
    killed = TensorBoard()
    killed.start(tmp_path, config, 0)
    for step in (1, 2, 3):
        killed.log({"event": "train", "step": step, "loss": 0.5})
        assert series(read(tmp_path))["train/loss"][-1] == (step, 0.5)  # though it is still open
    killed.close(finished=False)


def test_a_run_that_did_not_finish_has_no_end(tmp_path: Path, config: RunConfig) -> None:
    tracker = TensorBoard()
    tracker.start(tmp_path, config, 0)
    tracker.close(finished=False)
    contents = read(tmp_path).PluginTagToContent(metadata.PLUGIN_NAME)
    assert metadata.SESSION_START_INFO_TAG in contents
    assert metadata.SESSION_END_INFO_TAG not in contents


def test_flat_settings_are_the_settings_by_their_names(config: RunConfig) -> None:
    found = flat_settings(config)
    assert found["task"] == "sudoku"
    assert found["optim.ema"] is True
    assert found["model.mlp_t"] is False
    assert "train.max_steps" not in found  # unset
    assert json.dumps(found)
