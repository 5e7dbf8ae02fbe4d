"""Probe: measure which output of a model depends on which input, and compare that with what should.

    found = sl.probe(model, "Every token sees those before it.")
    found.visible       # bool (outputs, inputs)
    found.leaks         # those that depend and may not

Two methods, since each alone errs: substitution misses what is saturated, gradients miss what is detached and read
nothing through argmax and routing. An output depends if either sees it.

Shapes: O outputs, T inputs, N outputs that are differentiated, C inputs that are changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from sightline.errors import InputError, SightlineError
from sightline.probing.conditions import Conditions, find_conditions
from sightline.probing.dependence import Dependence, Gap, Pair
from sightline.probing.expected import Expect, Expected, expected
from sightline.probing.judgement import Judgement, judge
from sightline.probing.measuring import InDoubt, Method, Settings, moved, notes_on, slopes
from sightline.probing.scene import Scene, State
from sightline.probing.subject import Subject, subject
from sightline.probing.texts import ids_of, texts_of
from sightline.probing.untouched import untouched


def _pairs(cells: Tensor, strength: Tensor, asked: Tensor, texts: Sequence[str]) -> tuple[Pair, ...]:
    """The cells that are true, the strongest first."""
    found = [
        Pair(
            output=int(asked[row]),
            input=column,
            strength=float(strength[row, column]),
            output_text=texts[int(asked[row])] if int(asked[row]) < len(texts) else "",
            input_text=texts[column],
        )
        for row, column in cells.nonzero().tolist()
    ]
    return tuple(sorted(found, key=lambda pair: -pair.strength))


def probe(
    model: object,
    text_or_ids: str | Sequence[int] | Tensor,
    *,
    method: Method = "both",
    expect: Expect = None,
    layers: int | None = None,
    inputs: Mapping[str, Tensor] | None = None,
    past: int = 0,
    state: State = "cache",
    substitutes: int = 3,
    projections: int = 2,
    positions: int = 64,
    vocabulary: int | None = None,
    tokenizer: Any = None,
    output: str = "auto",
    seed: int = 0,
) -> Dependence:
    """Which output depends on which input, measured.

    model        a model of ours, one of transformers, any `nn.Module` of ids, any function of ids, or a Subject
    text_or_ids  one text, or its ids (T) or (1, T)
    method       "both", "substitution" or "gradient"
    expect       who should see whom: a mask, its text form, or a table, bool (outputs, inputs). Default: what the model
                 declares, where it is one of ours; for others nobody says, and there are no leaks
    layers       how many layers `expect` goes through; None: any number
    inputs       named tensors that the model takes beside ids, one row each: attention_mask, position_ids, documents,
                 ranks, targets …
    past         so many first tokens are read in an earlier call: are they known to the outputs after them?
    state        what goes from call to call: "cache" (keys and values) or "memory" (hidden states)
    substitutes  how often each token is replaced; `projections`: random sums of each output that are differentiated
    positions    of longer texts, how many inputs are replaced and outputs differentiated: a sample, which is named
    vocabulary, tokenizer, output  as `subject` takes them

    Nothing of the model stays changed. A model in training mode is measured as it is, with the same random numbers in
    every run; the result names the cause.

    Raises InputError for ids or inputs that the model does not take, ConfigError for settings that mean nothing.

        probe(model, "a text", expect="causal").leaks
    """
    settings = Settings(method=method, substitutes=substitutes, projections=projections, positions=positions, seed=seed)
    with torch.inference_mode(False), torch.no_grad():
        made = subject(model, vocabulary=vocabulary, tokenizer=tokenizer, output=output)
        ids, read = ids_of(made, text_or_ids)
        told = {name: given.clone() for name, given in {**read, **(inputs or {})}.items()}
        scene = Scene(ids=ids.clone(), inputs=told, past=past, state=state, seed=seed)
        scene.check(made)
        with untouched(made.module, seed=seed):
            return _probe(made, scene, settings, expect, layers)


def _probe(made: Subject, scene: Scene, settings: Settings, expect: Expect, layers: int | None) -> Dependence:
    should = expected(made, scene, expect, layers)
    conditions = find_conditions(made, scene)
    measured: dict[str, Tensor] = {}
    notes: list[str] = []
    if settings.method != "gradient":
        measured["substitution"] = moved(made, scene, settings, conditions)
    if settings.method != "substitution":
        try:
            measured["gradient"] = slopes(made, scene, settings, conditions)
        except SightlineError as error:
            if settings.method == "gradient":
                raise
            notes.append(f"by substitution alone: {error}")
    nowhere = torch.full((len(scene.asked), scene.tokens), torch.nan, dtype=torch.float64)
    doubt = InDoubt(made, scene, settings, conditions)
    verdict = judge(
        measured.get("substitution", nowhere),
        measured.get("gradient", nowhere),
        None if should is None else should.may,
        None if should is None else should.must,
        conditions,
        doubt,
    )
    notes += [*doubt.notes, *notes_on(scene, settings, conditions, measured)]
    return _result(made, scene, should, conditions, measured, verdict, tuple(notes))


def _result(
    made: Subject,
    scene: Scene,
    should: Expected | None,
    conditions: Conditions,
    measured: Mapping[str, Tensor],
    verdict: Judgement,
    notes: tuple[str, ...],
) -> Dependence:
    asked, unit = scene.asked, conditions.spread
    real = torch.tensor([place >= scene.tokens or bool(scene.real[place]) for place in asked.tolist()])
    if not bool(real.any()):
        raise InputError("every output is padding: attention_mask hides all tokens; give a text with a real one")
    texts = texts_of(made, scene.ids[0].tolist())
    strength = {name: (each / unit)[real] for name, each in measured.items()}
    known = torch.stack([~each.isnan() for each in strength.values()]).any(0)
    visible = verdict.visible[real]
    unsure = verdict.unsure[real] | (known & ~visible & conditions.broken[real, None])
    most = torch.stack([each.nan_to_num(nan=0.0) for each in strength.values()]).amax(0)
    may, must = (None, None) if should is None else (should.may[real], should.must[real])
    kept = asked[real]
    leaks = () if may is None else _pairs(visible & ~may, most, kept, texts)
    missing = () if must is None else _pairs(must & ~visible & ~unsure & known, most, kept, texts)
    return Dependence(
        model=made.name,
        tokens=texts,
        ids=tuple(scene.ids[0].tolist()),
        outputs=tuple(kept.tolist()),
        visible=visible,
        unsure=unsure,
        strength=strength,
        expected=may,
        required=must,
        expected_text="" if should is None else should.text,
        leaks=leaks,
        missing=missing,
        status="cannot tell" if bool(unsure.any()) else "clear",
        gap=Gap(
            nothing=verdict.nothing / unit,
            something=verdict.something / unit,
            rounding=conditions.rounding.nothing / unit,
            refined=verdict.refined,
        ),
        deterministic=conditions.deterministic,
        cause=conditions.cause,
        batch=conditions.batch / unit,
        mates=conditions.mates / unit,
        notes=notes,
    )
