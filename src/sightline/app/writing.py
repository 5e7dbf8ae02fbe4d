"""Showing text as it is generated."""

from __future__ import annotations

import sys
import time

from sightline.app import talk
from sightline.decoding.generation import Generation, Step


def _as_dict(row: list[Step]) -> dict[str, object]:
    return {
        "text": "".join(step.text for step in row),
        "tokens": [step.token for step in row],
        "log_probs": [step.log_prob for step in row],
        "ending": row[-1].ending if row else None,
    }


def write_out(generation: Generation, prompt: str, *, samples: int, wanted: int, json: bool, started: float) -> None:
    """The prompt and what follows it: one text piece by piece, several numbered. Fewer tokens than `wanted`, with
    nothing that ended the text, are explained."""
    if samples == 1 and not json:
        sys.stdout.write(prompt)
        for step in generation:
            sys.stdout.write(step.text)
            sys.stdout.flush()
        sys.stdout.write("\n")
    rows = generation.rows()
    if json:
        talk.answer_json({"prompt": prompt, "rows": [_as_dict(row) for row in rows]})
    elif samples > 1:
        for number, row in enumerate(rows, start=1):
            talk.answer(f"[{number}] {prompt}{_as_dict(row)['text']}")
    seconds = time.perf_counter() - started
    tokens = sum(len(row) for row in rows)
    talk.say(f"{tokens} token{'' if tokens == 1 else 's'} in {seconds:.1f} s ({tokens / seconds:.0f} a second)")
    if any(row and row[-1].ending == "length" and len(row) < wanted for row in rows):
        talk.say(f"note: the model's positions are full, so there are fewer than {wanted} tokens")
