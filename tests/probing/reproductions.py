"""Three lines that repeat what an audit found of a tiny model of transformers, without the audit.

Each prints a number: how far two outputs are apart that should be equal, or 0 where they are equal and should not be.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import re
from collections.abc import Callable
from dataclasses import dataclass

import torch

from probing.shrunk import tiny

APART = "print(({}).abs().max().item())"
STATES = ("past_key_values", "cache_params", "mems", "state")


@dataclass(frozen=True)
class Found:
    """A failed check of one type: what it said, and what the model's forward takes."""

    kind: str
    name: str
    detail: str
    takes: tuple[str, ...]

    def number(self, pattern: str, default: int) -> int:
        """The first number that the pattern finds in the detail."""
        found = re.search(pattern, self.detail)
        return int(found[1]) if found else default

    @property
    def state(self) -> str:
        return next((name for name in STATES if name in self.takes), STATES[0])


def _leak(found: Found) -> list[str]:
    tokens, output = found.number(r"at (\d+) tokens", 8), found.number(r"output (\d+)", 0)
    token = found.number(r"to(?:ken| token) (\d+)", 1)
    return [
        f'model, ids = tiny("{found.kind}"), torch.arange(7, {7 + tokens})[None]',
        f"other = ids.index_fill(1, torch.tensor({token}), 5)",
        APART.format(f"(model(input_ids=other).logits - model(input_ids=ids).logits)[0, {output}]"),
    ]


def _padded(found: Found) -> list[str]:
    """Padding on one side; with the text alone, or with other ids there."""
    places = found.number(r"(\d+) of padding", 3)
    left, content = "on the left" in found.detail, found.name.startswith("what stands")
    sides = ("filler", "ids") if left else ("ids", "filler")
    masks = ("filler * 0", "ids * 0 + 1") if left else ("ids * 0 + 1", "filler * 0")
    real = f"[:, {places}:]" if left else "[:, :5]"
    mask = f"attention_mask=torch.cat([{', '.join(masks)}], 1)"
    padded, alone = (
        f"model(input_ids=torch.cat([{', '.join(ids)}], 1), {mask}).logits{real}"
        for ids in (sides, [side.replace("filler", "filler + 1") for side in sides])
    )
    return [
        f'model, ids = tiny("{found.kind}"), torch.tensor([[7, 11, 23, 5, 42]])',
        f"filler = torch.full((1, {places}), 9)",
        APART.format(f"{padded} - {alone if content else 'model(input_ids=ids).logits'}"),
    ]


def _pieces(found: Found) -> list[str]:
    size, state = found.number(r"in pieces of (\d+)", 1), found.state
    ask = "use_mems" if state == "mems" else "use_cache"
    ids = "torch.randint(3, 64, (8, 24), generator=torch.Generator().manual_seed(0))"
    step = f"made = model(input_ids=part, {state}=made and made.{state}, {ask}=True); parts.append(made.logits)"
    return [
        f'model, ids, made, parts = tiny("{found.kind}"), {ids}, None, []',
        f"for part in ids.split({size}, 1): {step}",
        APART.format("torch.cat(parts, 1) - model(input_ids=ids).logits"),
    ]


def _unequal(found: Found) -> list[str]:
    state, told = found.state, "position_ids" in found.takes
    early = ", position_ids=(mask.cumsum(1) - 1).clamp(0)[:, :5]" if told else ""
    late = ", position_ids=(mask.cumsum(1) - 1)[:, 5:]" if told else ""
    ids = "torch.tensor([[9, 9, 7, 11, 23, 5], [42, 17, 8, 30, 12, 25]])"
    mask = "torch.tensor([[0, 0, 1, 1, 1, 1], [1] * 6])"
    row = "model(input_ids=ids[:1, 2:]).logits[0, -1:]"
    return [
        f'model, ids, mask = tiny("{found.kind}"), {ids}, {mask}',
        f"made = model(input_ids=ids[:, :5], attention_mask=mask[:, :5]{early}, use_cache=True)",
        APART.format(
            f"model(input_ids=ids[:, 5:], attention_mask=mask{late}, {state}=made.{state}, use_cache=True).logits[0]"
            f" - {row}"
        ),
    ]


def _begun(found: Found) -> list[str]:
    tokens, begun = found.number(r"of (\d+) tokens", 33), found.number(r"the first (\d+)", 8)
    return [
        f'model = tiny("{found.kind}")',
        f"ids = torch.randint(3, 64, (8, {tokens}), generator=torch.Generator().manual_seed(0))",
        APART.format(f"model(input_ids=ids[:, :{begun}]).logits - model(input_ids=ids).logits[:, :{begun}]"),
    ]


def _kernels(found: Found) -> list[str]:
    names = re.search(r": (\w+) and (\w+) differ", found.detail)
    one, other = names.groups() if names else ("eager", "sdpa")
    zeros = "[1] * 6 + [0] * 2" if "on the right" in found.detail else "[0] * 2 + [1] * 6"
    mask = f"torch.tensor([[1] * 8, {zeros}])" if "padded" in found.detail else "torch.ones(2, 8).long()"
    call = "model(input_ids=ids, attention_mask=mask).logits[mask.bool()]"
    return [
        f'model, ids, mask = tiny("{found.kind}"), torch.arange(7, 23).view(2, 8), {mask}',
        f'one, other = (model.set_attn_implementation(name) or {call} for name in ("{one}", "{other}"))',
        APART.format("one - other"),
    ]


def _named(found: Found) -> list[str]:
    """Types or positions: as a text without them is read, or as others are."""
    types = "types" in found.name
    name = "token_type_ids" if types else "position_ids"
    usual = "ids * 0" if types else "torch.arange(6)[None]"
    other = "torch.tensor([[0, 0, 0, 1, 1, 1]])" if types else "2 * torch.arange(6)[None]"
    ignored = "give what" in found.detail
    return [
        f'model, ids = tiny("{found.kind}"), torch.arange(7, 13)[None]',
        f"told = {other if ignored else usual}",
        APART.format(f"model(input_ids=ids, {name}=told).logits - model(input_ids=ids).logits"),
    ]


def _writes(found: Found) -> list[str]:
    how = "max_new_tokens=1, do_sample=False, return_dict_in_generate=True, output_logits=True, pad_token_id=0"
    ids = "torch.tensor([[{0}, {0}, {0}, 7, 11, 23, 5]])"
    call = f"model.generate(input_ids={ids}, attention_mask=mask, {how}).logits[0]"
    return [
        f'model, mask = tiny("{found.kind}"), torch.tensor([[0] * 3 + [1] * 4])',
        f"one, other = {call.format(9)}, {call.format(33)}",
        APART.format("one - other"),
    ]


def _rows(found: Found) -> list[str]:
    return [
        f'model, ids = tiny("{found.kind}"), torch.randint(7, 60, (5, 8))',
        "alone = torch.cat([model(input_ids=row[None]).logits for row in ids])",
        APART.format("model(input_ids=ids).logits - alone"),
    ]


def _saved(found: Found) -> list[str]:
    return [
        f'model, ids, folder = tiny("{found.kind}"), torch.arange(7, 13)[None], tempfile.mkdtemp()',
        "model.save_pretrained(folder); again = type(model).from_pretrained(folder).eval()",
        APART.format("model(input_ids=ids).logits - again(input_ids=ids).logits"),
    ]


def _asked(found: Found) -> list[str]:
    """Attention weights: asking for them, or what they say."""
    layer, query, key = (found.number(rf"{word} (\d+)", 0) for word in ("layer", "query", "key"))
    first = f'model, ids = tiny("{found.kind}"), torch.arange(7, 15)[None]'
    second = "asked = model(input_ids=ids, output_attentions=True)"
    if "changes outputs" in found.detail:
        return [first, second, APART.format("asked.logits - model(input_ids=ids).logits")]
    if "sum to" in found.detail:
        return [first, second, APART.format(f"asked.attentions[{layer}].sum(-1) - 1")]
    return [first, second, APART.format(f"asked.attentions[{layer}][0, :, {query}, {key}]")]


def _by_audit(found: Found) -> list[str]:
    return [
        f'model = tiny("{found.kind}")',
        'report = sl.audit(model, expect="causal")',
        f"print(report.check({found.name!r}))",
    ]


WRITTEN: dict[str, Callable[[Found], list[str]]] = {
    "nobody sees what is hidden": _leak,
    "no gradient from what is hidden": _leak,
    "a row alone = the same row in a batch": _rows,
    "a beginning alone = the same in a longer text": _begun,
    "what stands in padding is inert": _padded,
    "padding on the right is inert": _padded,
    "padding on the left is inert": _padded,
    "cached = uncached, token by token": _pieces,
    "cached = uncached, in pieces": _pieces,
    "cached = uncached, unequal prompts in a batch": _unequal,
    "attention kernels agree": _kernels,
    "attention rows sum to one and respect the mask": _asked,
    "token types matter when given": _named,
    "positions matter when given": _named,
    "generation ignores what stands in padding": _writes,
    "saved = loaded": _saved,
}


def reproduction(kind: str, name: str, detail: str, takes: tuple[str, ...]) -> list[str]:
    """Three lines, to be run after `import tempfile, torch, sightline as sl; from probing.shrunk import tiny`."""
    return WRITTEN.get(name, _by_audit)(Found(kind, name, detail, takes))


def takes_of(model: torch.nn.Module) -> tuple[str, ...]:
    """The names of what its forward takes."""
    return tuple(inspect.signature(model.forward).parameters)


def run(lines: list[str]) -> str:
    """What the lines print."""
    import tempfile

    import sightline as sl

    names = {"tempfile": tempfile, "torch": torch, "sl": sl, "tiny": tiny}
    with contextlib.redirect_stdout(io.StringIO()) as said, torch.no_grad():
        exec("\n".join(lines), names)
    return said.getvalue().strip()
