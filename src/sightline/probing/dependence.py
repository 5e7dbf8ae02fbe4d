"""Dependence: what was found by probing: which output depends on which input, how strongly, and whether it should.

Shapes: O outputs, T inputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from sightline.probing.draw import Matrix

Status = Literal["clear", "cannot tell"]
SHOWN = 40  # tokens a side that a terminal has room for
LISTED = 5  # leaks that a sentence names


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One output and one input.

    output         the place of the output's token, from 0; `input` likewise
    strength       by how much the output moves, in standard deviations of the outputs: the larger of both methods
    output_text    the tokens' texts
    """

    output: int
    input: int
    strength: float
    output_text: str
    input_text: str

    def __str__(self) -> str:
        return (
            f"output {self.output} {self.output_text!r} depends on input {self.input} {self.input_text!r}"
            f" (strength {self.strength:.2g})"
        )


@dataclass(frozen=True, kw_only=True)
class Gap:
    """Between what was called nothing and what was called dependence, in standard deviations of the outputs.

    nothing    the largest that was called nothing
    something  the smallest that was called dependence; infinite where there is none
    rounding   what rounding can do to the outputs
    refined    cells that were decided in float64
    """

    nothing: float
    something: float
    rounding: float
    refined: int

    def __str__(self) -> str:
        low = "exactly 0" if self.nothing == 0 else f"at most {self.nothing:.2g}"
        high = "nothing depends" if self.something == float("inf") else f"what does by {self.something:.2g} or more"
        also = f"; {self.refined} cells were decided in float64" if self.refined else ""
        return f"what does not depend moves by {low}, {high} (rounding: {self.rounding:.2g}){also}"


@dataclass(frozen=True, kw_only=True, eq=False)
class Dependence:
    """What `probe` gives back.

    model          whose behaviour it is
    tokens         the tokens' texts (T); `ids`: their ids
    outputs        the places of the tokens whose outputs were looked at (O): all that are not padding, or after `past`
    visible        bool (O, T): does the output depend on the input
    unsure         bool (O, T): nobody can tell
    strength       by method, "substitution" and "gradient", float64 (O, T): how much the output moves, in standard
                   deviations of the outputs; NaN where it was not measured
    expected       bool (O, T): may it; None where nobody said. `required`: must it; between the two either is right
    expected_text  where that comes from
    leaks          those that depend and may not, the strongest first; `missing`: those that must and do not
    status         "clear", or "cannot tell" where some cells are open
    gap            between nothing and dependence
    deterministic  whether the same input gives the same output; `cause`: in a sentence why not
    batch          by how much a row alone differs from the same row in a batch; `mates`: by how much a row changes when
                   others of its batch do
    notes          what else was found: a method that could not be used, the sample of a long text
    """

    model: str
    tokens: tuple[str, ...]
    ids: tuple[int, ...]
    outputs: tuple[int, ...]
    visible: Tensor
    unsure: Tensor
    strength: Mapping[str, Tensor]
    expected: Tensor | None
    required: Tensor | None
    expected_text: str
    leaks: tuple[Pair, ...]
    missing: tuple[Pair, ...]
    status: Status
    gap: Gap
    deterministic: bool
    cause: str
    batch: float
    mates: float
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether no output depends on what it may not, all depend on what they must, and nothing is open."""
        return not self.leaks and not self.missing and self.status == "clear"

    @property
    def measured(self) -> Tensor:
        """Bool (O, T): which cells were looked at by at least one method."""
        return torch.stack([~each.isnan() for each in self.strength.values()]).any(0)

    @property
    def strongest(self) -> Tensor:
        """Float64 (O, T): the larger strength of both methods, 0 where nothing was measured."""
        return torch.stack([each.nan_to_num(nan=0.0) for each in self.strength.values()]).amax(0)

    def matrix(self) -> Matrix:
        """The whole as a picture takes it. Where an output may but need not depend, either is as expected."""
        should = self.expected
        if should is not None and self.required is not None:
            should = torch.where(self.visible, self.expected, self.required)  # type: ignore[arg-type]
            should = torch.where(self.measured, should, self.visible)
        return Matrix(
            outputs=[self.tokens[place] for place in self.outputs],
            inputs=self.tokens,
            measured=self.visible,
            expected=should,
            strength=self.strongest,
            unsure=self.unsure | ~self.measured,
        )

    def verdict(self) -> str:
        """The finding in a sentence."""
        return self._found() if self.deterministic else f"{self._found()}; and the outputs are random: {self.cause}"

    def _found(self) -> str:
        if self.leaks:
            return f"{_count(len(self.leaks), 'leak')}: outputs depend on inputs that they may not see"
        if self.status == "cannot tell":
            return f"cannot tell of {_count(int(self.unsure.sum()), 'cell')}: rounding, or dependence?"
        if self.missing:
            first = self.missing[0]
            where = f"output {first.output} {first.output_text!r} on input {first.input} {first.input_text!r}"
            return f"no leak; {_count(len(self.missing), 'dependence')} missing, such as {where}"
        if self.expected is None:
            return _seen(self.visible, self.outputs)
        return "every output depends on exactly what it should"

    def as_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON: tables as rows of numbers, what is NaN or infinite as null."""
        return {
            "ok": self.ok,
            "status": self.status,
            "verdict": self.verdict(),
            "model": self.model,
            "tokens": list(self.tokens),
            "ids": list(self.ids),
            "outputs": list(self.outputs),
            "visible": _table(self.visible),
            "unsure": _table(self.unsure),
            "strength": {name: _numbers(each) for name, each in self.strength.items()},
            "expected": None if self.expected is None else _table(self.expected),
            "required": None if self.required is None else _table(self.required),
            "expected_text": self.expected_text,
            "leaks": [_finite(asdict(each)) for each in self.leaks],
            "missing": [_finite(asdict(each)) for each in self.missing],
            "gap": _finite(asdict(self.gap)),
            "deterministic": self.deterministic,
            "cause": self.cause,
            "batch": _finite({"by": self.batch})["by"],
            "mates": _finite({"by": self.mates})["by"],
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        lines = [f"{self.model}: {self.verdict()}", ""]
        if max(len(self.outputs), len(self.tokens)) <= SHOWN:
            lines += [*_drawn(self.matrix(), self.outputs), ""]
        if self.expected_text:
            lines.append(f"expected   {self.expected_text}")
        lines.append(f"gap        {self.gap}")
        if self.leaks:
            lines += [f"leak       {each}" for each in self.leaks[:LISTED]]
            if len(self.leaks) > LISTED:
                lines.append(f"           and {len(self.leaks) - LISTED} more")
        return "\n".join([*lines, *(f"note       {each}" for each in self.notes)])


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _seen(visible: Tensor, outputs: Sequence[int]) -> str:
    """What was found where nobody said what should be."""
    place = torch.tensor(list(outputs))[:, None]
    column = torch.arange(visible.shape[1])[None]
    later, earlier = bool((visible & (column > place)).any()), bool((visible & (column < place)).any())
    if bool(visible.all()):
        return "every output depends on every input (bidirectional)"
    if not later and bool((visible | (column > place)).all()):
        return "every output depends on its own input and all before it, on none after it (causal)"
    if not later:
        return "no output depends on a later input" + ("" if earlier else ", nor on an earlier one")
    return f"{int(visible.sum())} of {visible.numel()} pairs of output and input depend; some inputs are later"


def _drawn(matrix: Matrix, outputs: Sequence[int]) -> list[str]:
    """The matrix for a terminal: a row an output, its token beside it."""
    from sightline.probing.draw import SIGNS, label

    texts = [label(text)[:12] for text in matrix.outputs]
    wide = max(len(text) for text in texts)
    return [
        f"{place:>4} {text:<{wide}}  {' '.join(SIGNS[kind] for kind in row)}"
        for place, text, row in zip(outputs, texts, matrix.kinds(), strict=True)
    ]


def _table(table: Tensor) -> list[list[int]]:
    return table.int().tolist()


def _numbers(table: Tensor) -> list[list[float | None]]:
    return [[float(f"{each:.3g}") if abs(each) < float("inf") else None for each in row] for row in table.tolist()]


def _finite(values: dict[str, Any]) -> dict[str, Any]:
    """The same, numbers that JSON has no sign for as None."""
    return {
        name: None if isinstance(value, float) and not abs(value) < float("inf") else value
        for name, value in values.items()
    }
