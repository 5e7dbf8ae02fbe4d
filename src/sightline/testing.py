"""Asserts for test suites: one line each, for any model, by its behaviour alone.

    from sightline.testing import assert_cache_exact, assert_causal, assert_padding_inert

    def test_model() -> None:
        assert_causal(make())

A model is one of ours or of transformers, any `nn.Module` whose first input are token ids, any function from ids to
numbers, or a `Subject`. It is looked at in eval mode and left as it was. Each assert takes:

    vocabulary  how many token ids there are, where nothing tells
    lengths     of the random texts, in tokens; default: 1 to 63, and around what the configuration names
    seed        of the random tokens
    output      what of the model's result is looked at: "auto", or its name
    step        how the model goes on from a state: ids, the state or None, named inputs → outputs and the new state
    tokenizer   for the tokens' texts in messages

and raises AssertionError that says where, by how much, and what the likely cause is. What cannot be told, or has
nothing to be checked on, is no success: it raises too.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sightline.core.check import whole
from sightline.core.mask import Mask
from sightline.errors import ConfigError
from sightline.probing import causes
from sightline.probing.audit import audit
from sightline.probing.checks.batch import MATE
from sightline.probing.checks.beginning import BEGINNING
from sightline.probing.checks.cache import CHUNKS, STEPS, UNEQUAL
from sightline.probing.checks.kernels import KERNELS
from sightline.probing.checks.padding import CONTENT, LEFT, RIGHT
from sightline.probing.checks.repeat import SAME
from sightline.probing.checks.visibility import ALONE, GRADIENT, LEAKS, PAST
from sightline.probing.dependence import Dependence
from sightline.probing.probe import probe
from sightline.probing.report import Check
from sightline.probing.subject import Step, Subject, subject
from sightline.probing.suite import RECORD, Checked

SEEN = "every token sees whom it should"
TOKENS = 8  # of the text on which each pair of tokens is looked at
WINDOWED = 32  # the same, where the layers are known and windows are told from more
LISTED = 3  # pairs that a message names

__all__ = [
    "assert_batch_independent",
    "assert_bidirectional",
    "assert_cache_exact",
    "assert_causal",
    "assert_mask",
    "assert_padding_inert",
]


@dataclass(frozen=True, kw_only=True)
class _How:
    """The options of one assert."""

    vocabulary: int | None
    lengths: Sequence[int] | None
    seed: int
    output: str
    step: Step | None
    tokenizer: Any
    layers: int | None = None

    def subject(self, model: object) -> Subject:
        """The model as it is looked at. Raises ConfigError for options that mean nothing."""
        whole("seed", self.seed, least=0)
        if self.layers is not None:
            whole("layers", self.layers)
        given: object = self.lengths
        if given is not None:
            if isinstance(given, str) or not isinstance(given, Iterable) or not list(given):
                raise ConfigError(f"lengths={given!r} are no numbers of tokens; give some, such as (1, 2, 8, 33)")
            for length in given:
                whole("lengths", length)
        return subject(model, vocabulary=self.vocabulary, step=self.step, output=self.output, tokenizer=self.tokenizer)


def assert_causal(
    model: object,
    *,
    vocabulary: int | None = None,
    lengths: Sequence[int] | None = None,
    seed: int = 0,
    output: str = "auto",
    step: Step | None = None,
    tokenizer: Any = None,
) -> None:
    """No output depends on a later token: at many lengths, on every kernel, beside a padded row; and all do on earlier.

    >>> assert_causal(model)  # doctest: +SKIP
    """
    __tracebackhide__ = True  # pytest shows the test's own line
    how = _How(vocabulary=vocabulary, lengths=lengths, seed=seed, output=output, step=step, tokenizer=tokenizer)
    _assert_seen("assert_causal", model, "causal", how)


def assert_bidirectional(
    model: object,
    *,
    vocabulary: int | None = None,
    lengths: Sequence[int] | None = None,
    seed: int = 0,
    output: str = "auto",
    step: Step | None = None,
    tokenizer: Any = None,
) -> None:
    """Every output depends on every token."""
    __tracebackhide__ = True
    how = _How(vocabulary=vocabulary, lengths=lengths, seed=seed, output=output, step=step, tokenizer=tokenizer)
    _assert_seen("assert_bidirectional", model, "bidirectional", how)


def assert_mask(
    model: object,
    see: Mask | str,
    *,
    layers: int | None = None,
    vocabulary: int | None = None,
    lengths: Sequence[int] | None = None,
    seed: int = 0,
    output: str = "auto",
    step: Step | None = None,
    tokenizer: Any = None,
) -> None:
    """Every output depends on those tokens that `see` shows, a mask or its text, and on none that it hides.

    layers  how many of them see so: through several, a window reaches further. Where nobody says, through any number:
            then `causal & sliding_window(8)` allows what causal does, and asks only for what the window shows

    >>> assert_mask(model, "prefix(4) | causal")  # doctest: +SKIP
    >>> assert_mask(model, "causal & sliding_window(8)", layers=2)  # doctest: +SKIP
    """
    __tracebackhide__ = True
    if not isinstance(see, Mask | str):
        raise ConfigError(f'{see!r:.40} is no mask; pass one, or its text, such as "prefix(4) | causal"')
    how = _How(
        vocabulary=vocabulary,
        lengths=lengths,
        seed=seed,
        output=output,
        step=step,
        tokenizer=tokenizer,
        layers=layers,
    )
    _assert_seen("assert_mask", model, see, how)


def assert_padding_inert(
    model: object,
    *,
    vocabulary: int | None = None,
    lengths: Sequence[int] | None = None,
    seed: int = 0,
    output: str = "auto",
    step: Step | None = None,
    tokenizer: Any = None,
) -> None:
    """Padding on either side, and whatever stands in it, changes no real token's output."""
    __tracebackhide__ = True
    how = _How(vocabulary=vocabulary, lengths=lengths, seed=seed, output=output, step=step, tokenizer=tokenizer)
    _assert_passed("assert_padding_inert", model, (SAME, ALONE, LEAKS, MATE), (CONTENT, RIGHT, LEFT), how)


def assert_cache_exact(
    model: object,
    *,
    vocabulary: int | None = None,
    lengths: Sequence[int] | None = None,
    seed: int = 0,
    output: str = "auto",
    step: Step | None = None,
    tokenizer: Any = None,
) -> None:
    """Read token by token, in pieces, and from unequal prompts in a batch, a text gets what it gets at once."""
    __tracebackhide__ = True
    how = _How(vocabulary=vocabulary, lengths=lengths, seed=seed, output=output, step=step, tokenizer=tokenizer)
    _assert_passed("assert_cache_exact", model, (SAME, LEAKS), (STEPS, CHUNKS, UNEQUAL), how)


def assert_batch_independent(
    model: object,
    *,
    vocabulary: int | None = None,
    lengths: Sequence[int] | None = None,
    seed: int = 0,
    output: str = "auto",
    step: Step | None = None,
    tokenizer: Any = None,
) -> None:
    """A row gets what it gets alone, whatever other rows there are, how many, in which order."""
    __tracebackhide__ = True
    how = _How(vocabulary=vocabulary, lengths=lengths, seed=seed, output=output, step=step, tokenizer=tokenizer)
    _assert_passed("assert_batch_independent", model, (SAME,), (ALONE,), how)


def _assert_passed(claim: str, model: object, before: tuple[str, ...], asked: tuple[str, ...], how: _How) -> None:
    """Those checks pass; `before` are those that they build on."""
    __tracebackhide__ = True
    made = how.subject(model)
    report = audit(made, only=(*before, *asked), lengths=how.lengths, seed=how.seed)
    checks = tuple(check for check in report.checks if check.name in asked or check.name == SAME)
    _conclude(claim, made, checks, asked, ())


def _assert_seen(claim: str, model: object, see: Mask | str, how: _How) -> None:
    """Outputs depend on those tokens that the mask shows, and on no others."""
    __tracebackhide__ = True
    made = how.subject(model)
    names = (SAME, ALONE, LEAKS, BEGINNING, GRADIENT, PAST, MATE, KERNELS)
    report = audit(made, see, layers=how.layers, only=names, lengths=how.lengths, seed=how.seed)
    checks = tuple(check for check in report.checks if check.name != ALONE)
    pairs: tuple[str, ...] = ()
    if report.check(SAME).status != "failed":
        most = TOKENS if how.layers is None else WINDOWED
        tokens = max((length for length in report.lengths if length <= most), default=report.lengths[0])
        if tokens == 1:
            raise ConfigError(f"lengths={how.lengths!r}: a token alone has nobody to see; give a length of 2 or more")
        shown = _dependence(made, see, tokens, how)
        checks, pairs = (*checks, _as_check(shown, report.failed)), _pairs(shown)
    _conclude(claim, made, checks, (SEEN,), pairs)


def _dependence(made: Subject, see: Mask | str, tokens: int, how: _How) -> Dependence:
    """Who depends on whom in a short random text, in eval mode."""
    module = made.module
    modes = [] if module is None else [(each, each.training) for each in module.modules()]
    try:
        if module is not None:
            module.eval()
        return probe(made, made.draw(1, tokens, seed=how.seed), expect=see, layers=how.layers, seed=how.seed)
    finally:
        for each, mode in modes:
            each.training = mode


def _as_check(shown: Dependence, failed: Sequence[Check]) -> Check:
    """What was measured, as a check."""
    cause = next((check.cause for check in failed if check.cause), None)
    if shown.leaks:
        status, said = "failed", f"{len(shown.leaks)} pairs of output and input depend and may not"
        cause = cause or causes.SOME_LEAK
    elif shown.missing:
        status, said = "failed", f"{len(shown.missing)} pairs of output and input should depend and do not"
        ahead = all(pair.input > pair.output for pair in shown.missing)
        cause = cause or (causes.FUTURE_HIDDEN if ahead else causes.NO_PAST)
    elif shown.ok:
        status, said, cause = "passed", "every output depends on exactly what it should", None
    else:
        status, said, cause = "cannot tell", shown.verdict(), None
    expected = None if shown.expected is None else tuple(map(tuple, shown.expected.tolist()))
    return Check(
        name=SEEN,
        status=status,  # type: ignore[arg-type]  # one of the four words
        detail=f"{len(shown.tokens)} tokens: {said}",
        cause=cause,
        matrix=tuple(map(tuple, shown.visible.tolist())),
        expected=expected,
    )


def _pairs(shown: Dependence) -> tuple[str, ...]:
    """The pairs that are wrong, in words: the strongest first."""
    missing = [
        f"output {each.output} {each.output_text!r} does not depend on input {each.input} {each.input_text!r}"
        for each in shown.missing
    ]
    found = [*map(str, shown.leaks), *missing]
    more = [f"and {len(found) - LISTED} more"] if len(found) > LISTED else []
    return (*found[:LISTED], *more)


def _conclude(
    claim: str, made: Subject, checks: tuple[Check, ...], asked: tuple[str, ...], pairs: tuple[str, ...]
) -> None:
    """Keep what was found for the report, and raise where it does not hold."""
    __tracebackhide__ = True
    said = _said(claim, made, checks, asked, pairs)
    where = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0]
    RECORD.keep(Checked(where=where, claim=claim, model=made.name, ok=not said, said=said, checks=checks))
    if said:
        raise AssertionError(said)


def _said(claim: str, made: Subject, checks: tuple[Check, ...], asked: tuple[str, ...], pairs: tuple[str, ...]) -> str:
    """The message; empty where all holds."""
    failed = [check for check in checks if check.status == "failed"]
    if failed:
        first = failed[0]
        lines = [f"{made.name}: {claim} fails: {first.name}: {first.detail}"]
        lines += [f"likely: {first.cause}"] if first.cause else []
        others = [check.name for check in failed[1:]]
        return "\n  ".join([*lines, *pairs, *([f"fails too: {', '.join(others)}"] if others else [])])
    unsure = [check for check in checks if check.status == "cannot tell"]
    if unsure:
        return f"{made.name}: {claim} cannot tell: {unsure[0].name}: {unsure[0].detail}"
    if not any(check.status == "passed" for check in checks if check.name in asked):
        why = next(check.detail for check in checks if check.name in asked)
        return f"{made.name}: {claim} has nothing to check: {why}"
    return ""
