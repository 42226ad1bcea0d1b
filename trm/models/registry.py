"""The installed kinds of models, by name."""

from dataclasses import dataclass
from typing import Any

from trm.config.model import DEFAULT_KIND, ModelConfig, PuzzleSpec
from trm.models.base import RecursiveModel
from trm.models.trm import TinyRecursiveModel
from trm.plugins import find_model, models_of_plugins


@dataclass(frozen=True)
class InstalledModel:
    """A kind of model and its origin; see :class:`trm.tasks.registry.InstalledTask`."""

    model: type[RecursiveModel]
    origin: str

    def as_json(self) -> dict[str, Any]:
        """The fields for ``trm models --kinds --json``."""
        settings = {
            name: field.description or ""
            for name, field in self.model.config_class.model_fields.items()
        }
        return {
            "name": self.model.name,
            "summary": self.model.summary,
            "origin": self.origin,
            "settings": settings,
        }


def get_model_class(kind: str) -> type[RecursiveModel]:
    """The class of the models of a kind.

    Raises:
        PluginError: if there is no such kind. The message suggests the nearest name.
    """
    if kind == DEFAULT_KIND:  # spares the search for plugins
        return TinyRecursiveModel
    found: type[RecursiveModel] = find_model(kind)
    return found


def list_model_kinds() -> dict[str, InstalledModel]:
    """Every installed kind of model by name. A broken plugin is skipped with a warning.

    Raises:
        PluginError: if two plugins provide a kind of the same name.
    """
    return {name: InstalledModel(*one) for name, one in models_of_plugins().items()}


def create_model(config: ModelConfig, spec: PuzzleSpec, **options: object) -> RecursiveModel:
    """A model of its kind.

    Args:
        config, spec: see :class:`~trm.models.base.RecursiveModel`.
        options: ``generator`` and ``init_weights``, see there.
    """
    return get_model_class(config.kind)(config, spec, **options)  # type: ignore[arg-type]
