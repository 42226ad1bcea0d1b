"""The base class of all models: embeddings and heads, as every published model has them.

A kind of model is a subclass of :class:`RecursiveModel`, which adds the part between: what happens
in a supervision step. :mod:`trm.models.trm` is the default kind, and the one to read first.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.func import functional_call

from trm.config.model import ModelConfig, PuzzleSpec
from trm.errors import ConfigError
from trm.models.input_embedding import InputEmbedding
from trm.models.layers import Hidden, truncated_normal_
from trm.models.puzzle_embedding import PuzzleEmbedding

if TYPE_CHECKING:
    from trm.models.published import PublishedModel

#: The state of a model between supervision steps: a NamedTuple of tensors (batch, tokens, hidden).
State = Any


class StepOutput(NamedTuple):
    """The result of one supervision step.

    ``continue_logits`` are trained and read only if the model learns to continue.
    """

    state: State
    logits: Float[Tensor, "batch seq vocab"]
    halt_logits: Float[Tensor, " batch"]
    continue_logits: Float[Tensor, " batch"]


class Depth(NamedTuple):
    """The depth of the recursion in a supervision step; see :class:`~trm.config.TRMConfig`."""

    h_cycles: int
    l_cycles: int


@dataclass(frozen=True)
class StateNoise:
    """Normal noise, added to the answer or latent after each application of the network.

    Attributes:
        scale: the standard deviation.
        generator: on the device of the model.
    """

    scale: float
    generator: torch.Generator

    def sample_like(self, hidden: Hidden) -> Hidden:
        """New noise with the shape and dtype of ``hidden``."""
        shape, device, dtype = hidden.shape, hidden.device, hidden.dtype
        normal = torch.randn(shape, generator=self.generator, device=device, dtype=dtype)
        return self.scale * normal


class Passes(NamedTuple):
    """How often layers are applied in a supervision step, summed over the layers.

    Attributes:
        forward: the passes in evaluation.
        learned: those of them that have a gradient in training.
        trials: more passes in training, without a gradient.
        head_trials: more passes of the heads in training, without a gradient.
    """

    forward: int
    learned: int
    trials: int = 0
    head_trials: int = 0


class RecursiveModel(nn.Module, ABC):
    """A model that improves its answer in supervision steps.

    A subclass sets the class attributes, and defines :meth:`build_core` and :meth:`recurse`.

    Args:
        config: the architecture, of the class ``config_class``.
        spec: vocabulary, length and number of identifiers of the puzzles.
        generator: draws the initial weights.
        init_weights: False leaves the weights uninitialised, for a caller that loads them.

    Attributes:
        name: the value of ``model.kind``.
        summary: one line for ``trm models --kinds``.
        config_class: its settings; the default of ``kind`` is ``name``.
        state_class: a NamedTuple of the tensors that a supervision step passes to the next. The
            first is the answer, which the heads read.
        published: how the published code names its parts, None if it does not have this model.

    Raises:
        ConfigError: if ``forward_dtype`` is still ``auto``.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    config_class: ClassVar[type[ModelConfig]]
    state_class: ClassVar[Any]
    published: ClassVar["PublishedModel | None"] = None

    config: ModelConfig

    def __init__(
        self,
        config: ModelConfig,
        spec: PuzzleSpec,
        *,
        generator: torch.Generator | None = None,
        init_weights: bool = True,
    ) -> None:
        super().__init__()
        if config.forward_dtype == "auto":
            raise ConfigError("forward_dtype is 'auto', which training decides. Name a type.")
        self.config, self.spec = config, spec
        self.is_compiled = False
        self.dtype: torch.dtype = getattr(torch, config.forward_dtype)
        self.embedding = self.build_embedding()
        self.puzzle_embedding: PuzzleEmbedding | None = None
        if config.puzzle_emb_width:
            self.puzzle_embedding = PuzzleEmbedding(
                spec.num_puzzle_identifiers, config.puzzle_emb_width
            )
        with torch.random.fork_rng(devices=[], enabled=generator is not None):
            if generator is not None:  # what torch draws follows the seed, too
                torch.manual_seed(generator.initial_seed())
            self.core = self.build_core()
        self.output_head = self.build_output_head()
        # Two outputs as published: halt and continue.
        self.halt_head = nn.Linear(config.hidden_size, 2)
        for part in self.state_fields():
            self.register_buffer(f"{part}_init", torch.empty(config.hidden_size))
        self.register_more_states()
        if init_weights:
            self.reset_parameters(generator)
        if self.dtype == torch.float64:
            self.double()

    @abstractmethod
    def build_core(self) -> nn.Module:
        """Build what is trained between the embeddings and the heads, by ``config`` and ``spec``.

        :meth:`reset_parameters` draws new weights for linear layers and embeddings. Other parts
        keep those that they were built with.
        """

    def build_embedding(self) -> nn.Module:
        """Build what :meth:`embed` calls with the inputs, the puzzles' vectors, and a dtype."""
        return InputEmbedding(self.config, self.spec)

    def build_output_head(self) -> nn.Linear:
        """Build the layer that :meth:`read_answer` applies."""
        return nn.Linear(self.config.hidden_size, self.spec.vocab_size, bias=False)

    @abstractmethod
    def recurse(
        self,
        state: State,
        embedded: Hidden,
        depth: Depth | None = None,
        noise: StateNoise | None = None,
    ) -> State:
        """A supervision step without the heads: the new state, with its gradient.

        Args:
            state: of ``state_class``.
            embedded: the puzzles, from :meth:`embed`.
            depth: the depth of the recursion; None for the model's own. Always None if
                ``config.cycles`` is.
            noise: to add to what is updated; None for no noise.
        """

    def register_more_states(self) -> None:
        """Register initial states besides one for each part of the state."""

    @classmethod
    def state_fields(cls) -> tuple[str, ...]:
        """The names of the parts of the state, the answer first."""
        return cast(tuple[str, ...], cls.state_class._fields)

    @classmethod
    def passes(cls, config: Any, depth: Depth | None = None) -> Passes | None:
        """How often layers of :class:`~trm.models.layers.Block` are applied in a training step.

        Operations and memory are computed from it. None if the model has other parts, which are
        then measured.

        Args:
            config: of ``config_class``.
            depth: see :meth:`recurse`.
        """
        return None

    @torch.no_grad()
    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw new weights.

        ==================================  ==========================================
        linear layers                       truncated normal, std 1 / sqrt(inputs)
        token and position embeddings       truncated normal, std 1 / sqrt(hidden_size)
        initial states (fixed)              truncated normal, std 1
        halting head                        weight 0, bias -5: nothing halts at first
        puzzle embedding                    0
        other parts                         as torch draws them
        ==================================  ==========================================
        """
        for module in self.modules():
            if isinstance(module, nn.Linear):
                truncated_normal_(module.weight, module.in_features**-0.5, generator)
            elif isinstance(module, nn.Embedding):
                truncated_normal_(module.weight, module.embedding_dim**-0.5, generator)
            elif isinstance(module, PuzzleEmbedding):
                module.weight.zero_()
        for part in self.state_fields():
            truncated_normal_(getattr(self, f"{part}_init"), 1.0, generator)
        self.halt_head.weight.zero_()
        self.halt_head.bias.fill_(-5.0)

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return self.output_head.weight.device

    @property
    def num_parameters(self) -> int:
        """Number of trained parameters, without the puzzle embedding."""
        return sum(p.numel() for p in self.parameters())

    @property
    def state_shape(self) -> tuple[int, int]:
        """Tokens and features of a part of the state."""
        return self.config.prefix_len + self.spec.seq_len, self.config.hidden_size

    def initial_state(self, batch_size: int, sample: int = 0) -> State:
        """The initial state for evaluation, the same for all puzzles.

        Args:
            batch_size: number of puzzles.
            sample: number of the rollout.
        """
        shape = (batch_size, *self.state_shape)
        inits = (getattr(self, f"{part}_init") for part in self.state_fields())
        return self.state_class(*(init.to(self.dtype).expand(shape) for init in inits))

    def initial_training_state(
        self, batch_size: int, generator: torch.Generator | None = None
    ) -> State:
        """The initial state for training.

        Args:
            batch_size: number of puzzles.
            generator: draws the states if ``config.draws_states``; on the model's device.
        """
        return self.initial_state(batch_size)

    def puzzle_vectors(
        self, identifiers: Int[Tensor, " batch"]
    ) -> Float[Tensor, "batch width"] | None:
        """The puzzle embeddings of a batch, or None if the model has none."""
        return None if self.puzzle_embedding is None else self.puzzle_embedding(identifiers)

    def embed(
        self, inputs: Int[Tensor, "batch seq"], puzzle_vectors: Float[Tensor, "batch width"] | None
    ) -> Hidden:
        """Embed the puzzles. The recursion gets the same embeddings at every supervision step."""
        embedded: Tensor = self.embedding(inputs, puzzle_vectors, self.dtype)
        return embedded

    def compile_network(self) -> None:
        """Compile what is applied again and again with ``torch.compile``: the whole core.

        A model with many applications in a step compiles one of them instead.
        """
        if not self.is_compiled:
            self.core.compile()
            self.is_compiled = True

    def call_core(self, *arguments: Any) -> Any:
        """Call the core with its weights in the dtype of the activations.

        Each weight is cast once per step: the recursion uses it dozens of times.
        """
        weights = {name: p.to(self.dtype) for name, p in self.core.named_parameters()}
        return functional_call(self.core, weights, arguments)

    def forward(
        self,
        state: State,
        embedded: Hidden,
        depth: Depth | None = None,
        noise: StateNoise | None = None,
    ) -> StepOutput:
        """One supervision step. The new state is detached from the gradient.

        Args:
            state: see :meth:`recurse`.
            embedded: see :meth:`recurse`.
            depth: see :meth:`recurse`.
            noise: see :meth:`recurse`.
        """
        state = self.recurse(state, embedded, depth, noise)
        answer = state[0]
        logits = self.read_answer(answer)
        wide = torch.promote_types(self.dtype, torch.float32)
        halting = linear(self.halt_head, self.summarize(answer)).to(wide)
        state = self.state_class(*(part.detach() for part in state))
        return StepOutput(state, logits, halting[:, 0], halting[:, 1])

    def read_answer(self, answer: Hidden) -> Float[Tensor, "batch seq vocab"]:
        """The logits of the cells."""
        return linear(self.output_head, answer[:, self.config.prefix_len :])

    def summarize(self, answer: Hidden) -> Float[Tensor, "batch hidden"]:
        """The vector of each puzzle that the halting head reads: the first token, as published."""
        return answer[:, 0]

    def training_step(
        self,
        state: State,
        embedded: Hidden,
        answer_losses: Callable[[Tensor], Float[Tensor, " batch"]],
        depth: Depth | None = None,
        noise: StateNoise | None = None,
    ) -> StepOutput:
        """A supervision step in training, if it differs from one in evaluation.

        Args:
            state: see :meth:`recurse`.
            embedded: see :meth:`recurse`.
            depth: see :meth:`recurse`.
            noise: see :meth:`recurse`.
            answer_losses: computes the loss of each row from logits (batch, seq, vocab).
        """
        output: StepOutput = self(state, embedded, depth, noise)
        return output

    def halt_decision(self, output: StepOutput) -> Float[Tensor, " batch"]:
        """Above 0 for the rows that halt before their last step.

        Training looks at it with ``config.halts_in_training``, an evaluation with
        ``config.halts_in_evaluation``.
        """
        if self.config.continues:
            return output.halt_logits - output.continue_logits
        return output.halt_logits

    def extra_losses(
        self, output: StepOutput, labels: Int[Tensor, "batch seq"]
    ) -> Float[Tensor, " batch"] | None:
        """A loss of each row that is added to that of the answer; None for none.

        Args:
            output: of this supervision step, with its gradient.
            labels: the correct tokens, -100 where nothing is scored.
        """
        return None


def linear(layer: nn.Linear, x: Tensor) -> Tensor:
    """Apply a layer in the dtype of ``x``."""
    bias = None if layer.bias is None else layer.bias.to(x.dtype)
    return torch.nn.functional.linear(x, layer.weight.to(x.dtype), bias)


def tensors_of(state: State) -> Mapping[str, Tensor]:
    """The parts of a state by name."""
    return cast(Mapping[str, Tensor], state._asdict())
