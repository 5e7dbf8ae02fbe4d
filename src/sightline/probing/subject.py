"""Subject: one face for whatever is to be probed, audited or explained.

A model of ours, a model of transformers, any module, any function from token ids to numbers: what they are called and
what they are made of does not matter, only what they do.

Shapes: B batch, T tokens, P tokens that a state remembers, W width of the vectors that stand for ids.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final

import torch
from torch import Tensor, nn

from sightline.core.check import whole
from sightline.core.mask import Mask
from sightline.errors import ConfigError, InputError, SightlineError, UnsupportedError

Inputs = Mapping[str, Tensor]
Call = Callable[[Tensor, Inputs], Tensor]
Step = Callable[[Tensor, Any, Inputs], tuple[Tensor, Any]]

NOTHING: Inputs = {}
WITHOUT_FLOAT64 = {"mps"}  # kinds of devices: Apple's GPUs
ERRORS: Final = Exception  # what a model may raise that somebody else wrote: anything


def in_a_line(error: BaseException) -> str:
    """What an error says, in a line; its kind too, where the words alone say little."""
    lines = str(error).strip().splitlines()
    if lines and isinstance(error, SightlineError | RuntimeError | ValueError | TypeError):
        return lines[0][:200]
    return f"{type(error).__name__}{f': {lines[0]:.200}' if lines else ''}"


def for_rows(inputs: Mapping[str, Any], rows: int) -> dict[str, Any]:
    """The inputs with one row for each of `rows`, where they had a single one for all; what is no tensor as it is."""
    return {
        name: value.expand(rows, *value.shape[1:]) if isinstance(value, Tensor) and value.shape[:1] == (1,) else value
        for name, value in inputs.items()
    }


@contextmanager
def _default(dtype: torch.dtype) -> Iterator[None]:
    """Numbers that a model makes without saying of which type are of this one."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def _typed(call: Call, dtype: torch.dtype) -> Call:
    def typed(tokens: Tensor, inputs: Inputs) -> Tensor:
        with _default(dtype):
            return call(tokens, inputs)

    return typed


@dataclass(frozen=True, kw_only=True, eq=False)
class Subject:
    """What is probed.

    name        what messages call it
    call        ids int64 (B, T), or where `vectors` is there floats (B, T, W), and named inputs, each with B rows or
                one for all → floats (B, T, …). With floats, `input_ids` among the inputs says which ids they stand for
    vocabulary  how many ids there are
    forbidden   ids that are not drawn: special tokens
    accepts     the named inputs that it takes: attention_mask, position_ids, token_type_ids, documents, ranks, …
    module      what is behind it; None of a function
    embedding   the module that reads the ids; None where none was found
    vectors     ids (B, T) → what the embedding makes of them (B, T, W); None where vectors cannot take ids' place
    step        ids (B, T) or vectors, the state so far or None, named inputs → outputs and the new state. An
                attention_mask is of remembered and new tokens, (B, P + T); all else of the new ones. None: no cache
    memory      the same, for a state that holds hidden states of earlier segments and not keys and values
    kernels     what `with_kernel` takes
    declared    who may see whom, if the model itself says so; `limits`: what each layer and-s to it, or None
    tokenizer   for texts and the tokens' texts; None where there is none
    remake      the same view of another module, a copy of this one's
    """

    name: str
    call: Call
    vocabulary: int
    forbidden: frozenset[int] = frozenset()
    accepts: frozenset[str] = frozenset()
    module: nn.Module | None = None
    embedding: nn.Module | None = None
    vectors: Callable[[Tensor], Tensor] | None = None
    step: Step | None = None
    memory: Step | None = None
    kernels: tuple[str, ...] = ()
    declared: Mask | None = None
    limits: tuple[Mask | None, ...] | None = None
    tokenizer: Any = None
    remake: Callable[[nn.Module], Subject] | None = field(default=None, repr=False)
    switch: Callable[[str], Subject] | None = field(default=None, repr=False)

    @property
    def dtype(self) -> torch.dtype:
        """The type of its first floating weight; PyTorch's default where it has none."""
        weights = () if self.module is None else self.module.parameters()
        return next((each.dtype for each in weights if each.is_floating_point()), torch.get_default_dtype())

    @property
    def device(self) -> torch.device:
        """Where its first weight is; the CPU where it has none."""
        weights = () if self.module is None else self.module.parameters()
        return next((each.device for each in weights), torch.device("cpu"))

    def with_kernel(self, name: str) -> Subject:
        """The same, computing attention by that kernel; ConfigError for one that it has not."""
        if self.switch is None or name not in self.kernels:
            known = ", ".join(self.kernels) or "none that can be chosen"
            raise ConfigError(f"{self.name} has no attention kernel {name!r}; it has {known}")
        own = self.switch(name)
        return replace(own, vocabulary=self.vocabulary, tokenizer=self.tokenizer, forbidden=self.forbidden)

    def copy(self, dtype: torch.dtype | None = None) -> Subject:
        """The same on a deep copy of its module, in another type where one is given; on the CPU, where its own device
        does not have that type.

        Raises UnsupportedError where there is no module, or it cannot be copied.
        """
        if self.module is None or self.remake is None:
            raise UnsupportedError(f"{self.name} is a function, of which there is no copy in another type")
        try:
            twin = copy.deepcopy(self.module)
            if dtype is None:
                return self.remake(twin)
            place = "cpu" if dtype == torch.float64 and self.device.type in WITHOUT_FLOAT64 else None
            with _default(dtype):
                made = self.remake(twin.to(device=place, dtype=dtype))
        except ERRORS as error:
            raise UnsupportedError(f"{self.name} cannot be copied: {in_a_line(error)}") from error
        return replace(made, call=_typed(made.call, dtype), tokenizer=self.tokenizer, forbidden=self.forbidden)

    def draw(self, rows: int, tokens: int, *, seed: int = 0) -> Tensor:
        """Ids (rows, tokens) at random, none of them forbidden."""
        generator = torch.Generator().manual_seed(seed)
        return self.allowed_ids()[torch.randint(len(self.allowed_ids()), (rows, tokens), generator=generator)]

    def allowed_ids(self) -> Tensor:
        """Every id that may be drawn, int64 (N,); all there are, where so few are left that nothing could be told."""
        ids = torch.arange(self.vocabulary)
        banned = torch.tensor(sorted(each for each in self.forbidden if 0 <= each < self.vocabulary), dtype=torch.long)
        kept = ids[~torch.isin(ids, banned)]
        return kept if len(kept) > 1 else ids

    def check(self, tokens: Tensor, inputs: Inputs = NOTHING) -> None:
        """Raise InputError for ids outside the vocabulary, a wrong shape, or inputs that it does not take."""
        if tokens.is_floating_point() and (self.vectors is None or tokens.dim() != 3):
            raise InputError(f"{self.name} takes ids (batch, tokens), not {tokens.dtype} of {tuple(tokens.shape)}")
        if not tokens.is_floating_point():
            if tokens.dim() != 2 or not tokens.numel():
                raise InputError(f"ids have shape {tuple(tokens.shape)}; they must be (batch, tokens)")
            low, high = (int(bound) for bound in tokens.aminmax())
            if low < 0 or high >= self.vocabulary:
                wrong = low if low < 0 else high
                raise InputError(f"token id {wrong} is outside the vocabulary of {self.vocabulary}")
        for name in inputs.keys() - self.accepts - {"input_ids"}:
            takes = ", ".join(sorted(self.accepts)) or "ids and nothing else"
            raise InputError(f"{self.name} takes no {name!r}; it takes {takes}")


def subject(
    model: object,
    *,
    vocabulary: int | None = None,
    step: Step | None = None,
    output: str = "auto",
    tokenizer: Any = None,
) -> Subject:
    """The subject that a model is.

    model       a Model of ours, a model of transformers, any `nn.Module` whose first input are ids, any function of
                ids; a Subject stays as it is, but for a step or tokenizer that is given
    vocabulary  how many ids there are; found by itself where an embedding reads them
    step        how it goes on from a state, where it has a way of its own
    output      what of its result is read: "auto" (logits, else last_hidden_state, else the first floats
                (batch, tokens, …)), or a name, such as "last_hidden_state"

    Raises ConfigError for what cannot be called, and where no vocabulary is given and none is found.

        subject(lambda ids: model(ids).scores, vocabulary=1000)
    """
    from sightline.model.model import Model
    from sightline.probing.of_modules import of_function, of_module
    from sightline.probing.of_ours import of_ours
    from sightline.probing.of_transformers import of_transformers, takes_input_ids

    if vocabulary is not None:
        whole("vocabulary", vocabulary, least=2)
    if isinstance(model, Subject):
        made = model
    elif isinstance(model, Model):
        made = of_ours(model, output)
    elif isinstance(model, nn.Module):
        of_any = of_transformers if takes_input_ids(model) else of_module
        made = of_any(model, vocabulary, output)
    elif callable(model):
        made = of_function(model, vocabulary, output)
    else:
        raise ConfigError(f"{model!r:.80} cannot be called; pass a model, or a function from ids to numbers")
    known = getattr(made.embedding, "num_embeddings", None)
    if vocabulary is not None and known is not None and vocabulary > known:
        raise ConfigError(
            f"vocabulary={vocabulary} is more than the {known} ids that the embedding of {made.name} knows"
        )
    vocabulary = made.vocabulary if vocabulary is None else vocabulary
    step = made.step if step is None else step
    tokenizer = made.tokenizer if tokenizer is None else tokenizer
    banned = made.forbidden | special_ids(tokenizer)
    return replace(made, vocabulary=vocabulary, step=step, tokenizer=tokenizer, forbidden=banned)


def special_ids(tokenizer: Any) -> frozenset[int]:
    """The ids that stand for no text, of a tokenizer of ours or of transformers."""
    special = getattr(tokenizer, "special", None)
    ids = getattr(tokenizer, "all_special_ids", ()) if special is None else special.ids
    return frozenset(int(each) for each in ids)
