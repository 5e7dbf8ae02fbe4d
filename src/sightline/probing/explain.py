"""Explain: why are two outputs different?

    a = sl.Run(model, "The keys to the cabinet are here.")
    b = sl.Run(model, "The keys to the cabinet are here.", padding="left:3")
    print(sl.explain(a, b))

Every setting in which the two runs differ is switched alone: from a to b, and back from b to a. What random numbers do
is found by running each twice. What rounding can do is found on the model itself, and doubt is settled in float64.

Shapes: P compared tokens, V numbers of each output.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

from torch import Tensor

from sightline.core.check import whole
from sightline.errors import ConfigError, InputError, SightlineError
from sightline.probing.checks.rounding import difference
from sightline.probing.comparing import Compared
from sightline.probing.explanation import Cause, Explanation, Status, Together
from sightline.probing.layers import first_difference
from sightline.probing.run import Run
from sightline.probing.setup import Setup, setup_of
from sightline.probing.staging import Stage
from sightline.probing.subject import ERRORS, in_a_line
from sightline.probing.switches import DRAWS, detail_of, differing, label_of, places, switched, taught
from sightline.probing.texts import texts_of

BROKEN = 1e3  # standard deviations of the outputs that a number is worth where one run has none
LIKE = 4  # times as large as what a model does by itself may be just that


def explain(
    a: Run, b: Run, *, at: int | Sequence[int] | None = None, output: str = "auto", seed: int = 0
) -> Explanation:
    """Why two runs give different outputs.

    at      which tokens of a are looked at, by place; default: all that b has too
    output  what of the model's result is compared: "auto", or its name
    seed    where random numbers begin in a; in b, where both draw some, they go on

    Shares are of the squared difference: how much of it points where the cause alone points. They sum to one where
    causes do not interact. The models are left as they were.

    Raises InputError where the runs have no token in common or outputs of different sizes, ConfigError for what is no
    Run; and what `Run` means that a model cannot do.

        explain(Run(model, "a text"), Run(model, "a text", mode="train")).verdict()
    """
    for run in (a, b):
        if not isinstance(run, Run):
            raise ConfigError(f"explain compares two runs, and {type(run).__name__} is none; write Run(model, inputs)")
    whole("seed", seed, least=0)
    if not isinstance(output, str):
        raise ConfigError(f'output={output!r:.40} is no name; pass "auto", or one such as "last_hidden_state"')
    one, other = setup_of(a, seed, output), setup_of(b, seed, output)
    if a.model is b.model and a.vocabulary == b.vocabulary:
        other = replace(other, subject=one.subject)
    if one.what != other.what and isinstance(one.what.text, str) and one.what.text == other.what.text:
        ways = {one.special_tokens, other.special_tokens}
        if all(one.what.encode(way) == other.what.encode(way) for way in ways):
            other = replace(other, what=one.what)
    return _Search(one, other, at, output).explanation()


class _Search:
    """The search for causes.

    random  whether PyTorch's random numbers count in one of the runs
    calm    the runs between which all other settings are switched: without random numbers
    """

    def __init__(self, one: Setup, other: Setup, at: int | Sequence[int] | None, output: str) -> None:
        self.stage, self.notes = Stage(output), list[str]()
        noise, drawn = 0.0, []
        for name, setup in (("a", one), ("b", other)):
            first, again = _ran(self.stage, name, setup), self.stage.run(setup)
            noise = max(noise, float(difference(first, again).max()))
            drawn.append(float(difference(first, self.stage.outputs(_redrawn(setup))).max()) > LIKE * noise)
        self.random = any(drawn)
        if all(drawn) and one.mode == other.mode:
            other = _redrawn(other)  # random numbers go on from a to b
        self.one, self.other = one, other
        self.compared = Compared(self.stage, one, other, at, noise)
        self.whole = self._effect(one, other)
        self.scale = float(self.whole.square().sum())
        settled = one.settled(), replace(other, draws=("eval", one.draws[1]))
        self.calm = settled if self.random else (one, other)

    def explanation(self) -> Explanation:
        """Everything that was found."""
        names = differing(self.one, self.other)
        causes = [self._cause(name) for name in names]
        together = self._together([name for name in names if name != DRAWS or not self.random], causes)
        largest = float(self.compared.apart(self.one, self.other).max())
        status = self._status(largest, causes, together)
        changed = set[int]()
        if status == "different":
            causes = [self._with_first(cause) for cause in causes]
            _, where = self.compared.tell(self.one, self.other, settle=not self.random)
            changed = set(where).union(*(cause.positions for cause in causes))
        elif "different" in (cause.status for cause in causes):  # of which nothing is left: no shares
            causes = [replace(cause, alone=None, back=None) for cause in causes]
        order = {"different": 0, "unclear": 1, "same": 2}
        causes.sort(key=lambda cause: (order[cause.status], -abs(cause.share)))
        known = (cause.back if cause.alone is None else cause.alone for cause in causes)
        explained = sum(each or 0.0 for each in known) + sum(pair.share for pair in together)
        unit = self.compared.unit
        for name, setup in (("a", self.one), ("b", self.other)):
            kept = self.compared.outputs(setup).isfinite().all(1).tolist()
            broken = [place for place, fine in zip(self.compared.positions, kept, strict=True) if not fine]
            if broken:
                self.notes.append(f"{name} gives numbers that are none (NaN or infinite) at {places(broken)}")
        if self.compared.noise:
            apart = f"{self.compared.noise / unit:.2g}"
            self.notes.append(f"the same run twice differs by {apart}, and not by PyTorch's random numbers alone")
        return Explanation(
            model=self.one.subject.name,
            tokens=texts_of(self.one.subject, self.one.ids),
            compared=tuple(self.compared.positions),
            changed=tuple(sorted(changed)),
            difference=largest / unit,
            rounding=self.compared.rounding(self.one, self.other).nothing / unit,
            status=status,
            causes=tuple(causes),
            together=tuple(together),
            unexplained=1.0 - explained if self.scale and status == "different" else 0.0,
            notes=tuple(self.notes),
        )

    def _status(self, largest: float, causes: list[Cause], together: list[Together]) -> Status:
        """What the whole is."""
        if largest == 0:
            return "same"
        if largest <= LIKE * self.compared.noise:
            return "cannot tell"
        told = [self.compared.tell(self.one, self.other, settle=not self.random)[0]]
        if self.one.dtype != self.other.dtype:  # the coarser type may hide what else differs
            told.append(self.compared.tell(self.one, switched(self.other, self.one, "dtype"), settle=False)[0])
        if "different" in told:
            return "different"
        verdicts = [cause.status for cause in causes] + [pair.status for pair in together]
        if set(told) == {"same"}:
            return "rounding"
        return "different" if "different" in verdicts else "cannot tell"

    def _effect(self, start: Setup, target: Setup) -> Tensor:
        """What a switch does to the outputs, (P, V). A number that is lost, or comes back, counts as BROKEN units."""
        before, after = self.compared.outputs(start), self.compared.outputs(target)
        lost = before.isfinite().double() - after.isfinite().double()
        return (after - before).nan_to_num(0.0, 0.0, 0.0) + lost * BROKEN * self.compared.unit

    def _share(self, effect: Tensor) -> float:
        """How much of the difference an effect makes: its part along the difference."""
        return float((effect * self.whole).sum()) / self.scale if self.scale else 0.0

    def _ends(self, name: str) -> tuple[Setup, Setup]:
        """The two runs between which a setting is switched."""
        return (self.one, self.other) if name == DRAWS else self.calm

    def _cause(self, name: str) -> Cause:
        one, other = self._ends(name)
        shares: list[float | None] = []
        sizes, verdicts, changed, real = [0.0], ["same"], set[int](), []
        for pair in ((one, switched(one, other, name)), (switched(other, one, name), other)):
            try:
                shares.append(self._share(self._effect(*pair)))
                sizes.append(float(self.compared.apart(*pair).max()))
                told, where = self.compared.tell(*pair, settle=name not in ("dtype", DRAWS))
            except ERRORS as error:
                shares.append(None)
                way = "alone" if len(shares) == 1 else "taken back"
                self.notes.append(f"{label_of(name, one, other)} cannot be switched {way}: {in_a_line(error)}")
                continue
            verdicts.append(told)
            changed |= set(where)
            real += [pair] if told == "different" else []
        status = next(each for each in ("different", "unclear", "same") if each in verdicts)
        label, detail = self._of_draws() if name == DRAWS else (label_of(name, one, other), detail_of(name, one, other))
        return Cause(
            name=name,
            label=label,
            detail=detail + self._remedy(name, real),
            alone=shares[0],
            back=shares[1],
            size=max(sizes) / self.compared.unit,
            status=status,
            positions=tuple(sorted(changed)),
        )

    def _of_draws(self) -> tuple[str, str]:
        """What training mode or random numbers do, and whether eval mode ends it."""
        if any(float(self.compared.apart(setup, _redrawn(setup)).max()) > 0 for setup in self.calm if self.random):
            return "random numbers", "they are drawn in eval mode, too"
        new = any(_is_new(setup) for setup in (self.one, self.other))
        said = f"{taught(self.one, self.other)}{' (built from a config)' if new else ''}"
        settled = self.one.settled(), replace(self.other, draws=("eval", self.one.draws[1]))
        _, moved = self.compared.tell(*settled)
        still = [place for place in self.compared.positions if place not in moved]
        if still and len(still) == len(self.compared.positions) > 1:
            said += "; in eval mode, nothing changes"
        elif still:
            said += f"; in eval mode, {places(still)} {'do' if still[1:] else 'does'} not change"
        return ("dropout" if self.random else "training mode"), said

    def _remedy(self, name: str, pairs: Sequence[tuple[Setup, Setup]]) -> str:
        """What would make a cause do nothing in all pairs of runs in which it does something, where it was tried."""
        other = self.calm[1]
        if name != "padding" or other.position_ids is not None or "position_ids" not in other.subject.accepts:
            return ""
        told = [tuple(replace(setup, position_ids="real") for setup in pair) for pair in pairs]
        try:
            same = [self.compared.tell(*pair)[0] == "same" for pair in told]
        except ERRORS:
            return ""
        return "; with position_ids that leave padding out, nothing changes" if same and all(same) else ""

    def _together(self, names: Sequence[str], causes: Sequence[Cause]) -> list[Together]:
        """Which pairs of settings do together what neither does alone."""
        one, other = self.calm
        labels = {cause.name: cause.label for cause in causes}
        found = []
        for first, second in combinations(names, 2):
            both = switched(one, other, first, second)
            try:
                parts = [self._effect(one, switched(one, other, name)) for name in (first, second)]
                more = self._effect(one, both) - parts[0] - parts[1]
                status = self.compared.rounding(one, both).tell(float(more.abs().max()))
            except ERRORS:
                continue
            if status != "same":
                found.append(Together(labels=(labels[first], labels[second]), share=self._share(more), status=status))
        return found

    def _with_first(self, cause: Cause) -> Cause:
        """The cause with the layer where it is first seen."""
        if cause.status != "different" or self.one.subject.module is None:
            return cause
        one, other = self._ends(cause.name)
        for pair in ((one, switched(one, other, cause.name)), (switched(other, one, cause.name), other)):
            try:
                tokens = list(zip(*(self.compared.places_in(each).tolist() for each in pair), strict=True))
                found = first_difference(self.stage, *pair, tokens)
            except ERRORS:
                continue
            if found is not None:
                place = self.compared.positions[found.position]
                return replace(cause, first=replace(found, position=place))
        return cause


def _ran(stage: Stage, name: str, setup: Setup) -> Tensor:
    """What a run gives; InputError that names the run where it fails."""
    try:
        return stage.outputs(setup)
    except SightlineError:
        raise
    except ERRORS as error:
        beyond = isinstance(error, IndexError) and "out of range" in str(error)
        hint = " (more tokens, positions or token types than the model has?)" if beyond else ""
        raise InputError(f"{name} cannot be run: {in_a_line(error)}{hint}") from error


def _redrawn(setup: Setup) -> Setup:
    """The same with other random numbers."""
    return replace(setup, draws=(setup.mode, setup.draws[1] + 1))


def _is_new(setup: Setup) -> bool:
    """Whether a model of transformers is in training mode because it was made from its configuration, never loaded."""
    module = setup.subject.module
    return module is not None and module.training and getattr(module, "name_or_path", None) == ""
