"""The verb explain: why two outputs of a model differ."""

from __future__ import annotations

from typing import Annotated, Any

from typer import Option

from sightline.app import talk
from sightline.app.opening import open_any
from sightline.app.options import AnyModel, Device, Ids, Json, Revision, Text, Vocabulary, text_or_ids, token_ids
from sightline.errors import ConfigError

OTHERS = ("text", "ids", "checkpoint")  # what b may have of its own beside settings
SHOWN = (
    "mode=train, text=TEXT, padding=left:3, batch=4, cache=on, kernel=sdpa, dtype=bfloat16, mask=causal,"
    " checkpoint=NAME"
)


def _inputs(settings: dict[str, Any], otherwise: Any) -> Any:
    """What a run reads: a text or ids of its own, or what the other reads."""
    if "text" in settings and "ids" in settings:
        raise ConfigError("text and ids both say what is read; give one of them")
    if "ids" in settings:
        return token_ids(settings.pop("ids"))
    return settings.pop("text", otherwise)


def explain(
    model: AnyModel,
    text: Text = None,
    against: Annotated[list[str] | None, Option(help=f"How the other run differs, repeatable: {SHOWN}")] = None,
    both: Annotated[list[str] | None, Option(help="A setting of both runs, repeatable: mode=train.")] = None,
    ids: Ids = None,
    at: Annotated[list[int] | None, Option(help="Look at this token only, from 0; repeatable.")] = None,
    output: Annotated[str, Option(help="What is compared: auto, logits, last_hidden_state.")] = "auto",
    vocabulary: Vocabulary = None,
    seed: Annotated[int, Option(help="Seed of the random numbers.")] = 0,
    json: Json = False,
    revision: Revision = None,
    device: Device = None,
) -> None:
    """Say why two outputs of a model differ: which setting makes how much of the difference, and in which layer.

    **sightline explain gpt2 "The keys to the cabinet" --against padding=left:3**

    **sightline explain mymodels:make --ids 5,6,7,8 --against ids=5,6,7,9 --at 0**

    **sightline explain bert-base-uncased "The keys" --against dtype=bfloat16 --against batch=8 --both kernel=sdpa**
    """
    from sightline.probing.explain import explain as search
    from sightline.probing.run import SETTINGS, Run, parse_settings

    shared = parse_settings(both or [])
    other = {**shared, **parse_settings(against or [], (*SETTINGS, *OTHERS))}
    if not against:
        raise ConfigError(f"nothing differs; say how the other run does: --against with one of {SHOWN}")
    read: Any = text_or_ids(text, ids)
    opened = open_any(model, revision, device, None, None)
    checkpoint = other.pop("checkpoint", None)
    second = opened if checkpoint is None else open_any(checkpoint, None, device, None, None)
    a = Run(opened, read, vocabulary=vocabulary, **shared)  # type: ignore[arg-type]  # names were checked
    b = Run(second, _inputs(other, read), vocabulary=vocabulary, **other)  # type: ignore[arg-type]
    with talk.busy("Running"):
        found = search(a, b, at=at or None, output=output, seed=seed)
    talk.answer_json(found.as_dict()) if json else talk.answer(str(found))
