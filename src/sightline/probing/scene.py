"""Scene: one row of tokens, all that a model is told beside them, and how it reads them: at once, or in two calls.

Shapes: R copies of the row, T tokens, P of them read in an earlier call, O outputs, W width of vectors.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from sightline.errors import ConfigError, InputError, UnsupportedError
from sightline.probing.subject import NOTHING, Inputs, Step, Subject
from sightline.probing.untouched import seed_everything

State = Literal["cache", "memory"]
STATES = ("cache", "memory")


@dataclass(frozen=True, kw_only=True, eq=False)
class Scene:
    """What is read.

    ids     int64 (1, T)
    inputs  named tensors of one row each
    past    so many first tokens are read in a call of their own, and the outputs are those of the others
    state   what goes from that call to the next: a cache of keys and values, or a memory of hidden states
    seed    where random numbers begin in every run
    """

    ids: Tensor
    inputs: Inputs = field(default_factory=lambda: NOTHING)
    past: int = 0
    state: State = "cache"
    seed: int = 0

    @property
    def tokens(self) -> int:
        """How many there are, T."""
        return self.ids.shape[1]

    @property
    def asked(self) -> Tensor:
        """The places of the tokens whose outputs are looked at, int64 (O,); of a row of targets, those of the targets
        in their own order."""
        if "targets" in self.inputs:
            return self.inputs["targets"][0]
        if "target_mapping" in self.inputs:
            return self.inputs["target_mapping"][0].argmax(-1)
        return torch.arange(self.past, self.tokens)

    @property
    def real(self) -> Tensor:
        """Which tokens are not padding, bool (T,)."""
        given = self.inputs.get("attention_mask")
        if given is None or given.dim() != 2:  # a mask of more dimensions says who sees whom, and not what is padding
            return torch.ones(self.tokens, dtype=torch.bool)
        return given[0, : self.tokens].bool().cpu()

    def check(self, subject: Subject) -> None:
        """Raise InputError where the subject cannot read this."""
        if self.state not in STATES:
            raise ConfigError(f"state={self.state!r} goes from no call to the next; choose one of {', '.join(STATES)}")
        subject.check(self.ids, self.inputs)
        if not 0 <= self.past < self.tokens:
            raise InputError(f"past={self.past} of {self.tokens} tokens leaves none to look at; give fewer")
        if self.past:
            self._step(subject)
            apart = {"allowed", "perm_mask", "targets", "target_mapping"} & self.inputs.keys()
            if apart:
                raise InputError(f"{', '.join(sorted(apart))} cannot be told together with past={self.past}")

    def _step(self, subject: Subject) -> Step:
        step = subject.step if self.state == "cache" else subject.memory
        if step is None:
            raise UnsupportedError(
                f"{subject.name} has no {self.state} to go on from, so past={self.past} means nothing;"
                " pass subject(model, step=…) where it has a way of its own"
            )
        return step

    def run(self, subject: Subject, tokens: Tensor, *, seeded: bool = True) -> Tensor:
        """Outputs (R, O, V) for copies of the row, some of them changed: ids (R, T), or vectors (R, T, W).

        seeded  whether random numbers begin anew; else they go on where they are
        """
        if seeded:
            seed_everything(self.seed)
        outputs = self._outputs(subject, tokens)
        return outputs.flatten(2) if outputs.dim() > 2 else outputs[..., None]

    def _outputs(self, subject: Subject, tokens: Tensor) -> Tensor:
        told = dict(self.inputs)
        if tokens.is_floating_point():
            told["input_ids"] = self.ids
        if not self.past:
            return subject.call(tokens, told)
        step, past = self._step(subject), self.past
        early = {name: value[:, :past] for name, value in told.items()}
        late = {name: value if name == "attention_mask" else value[:, past:] for name, value in told.items()}
        _, state = step(tokens[:, :past], None, early)
        return step(tokens[:, past:], state, late)[0]


@contextmanager
def quiet(subject: Subject) -> Iterator[None]:
    """No weight collects gradients meanwhile: only what goes in is looked at."""
    wanted = [] if subject.module is None else [p for p in subject.module.parameters() if p.requires_grad]
    for parameter in wanted:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in wanted:
            parameter.requires_grad_(True)
