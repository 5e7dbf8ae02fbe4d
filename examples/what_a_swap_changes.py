"""What a swap of the network changes besides the class name: what code for one family gets wrong for another.

For each family, new and tiny: padding (how far the state at index -1 of a padded row is from the last word's, while by
coordinates the row gets what it gets alone), special tokens, the token that may stand for a text, token types, and the
end of the positions. Prints them; raises where a call that would quietly be wrong is not refused.
"""

import sys
from collections.abc import Callable
from importlib.resources import files

import torch

import sightline as sl
from sightline.model.families import LAYOUTS
from sightline.tasks.fresh import fresh_model

SHORT, LONG = "The bread was stale.", "I would walk there twice for a second bowl of that soup, and pay."


def refusal(call: Callable[[], object]) -> str:
    """What the call is refused with; empty where it runs."""
    try:
        call()
    except sl.SightlineError as error:
        return str(error)
    return ""


def must(fact: bool, what: str) -> None:
    if not fact:
        raise SystemExit(f"not so: {what}")


@torch.no_grad()
def padding(model: sl.Model) -> str:
    alone = model(**model.tokenizer(SHORT)).last_hidden_state[0, -1]
    off = []
    for side in ("right", "left"):
        batch = model.tokenizer([SHORT, LONG], padding_side=side)
        hidden, real = model(**batch).last_hidden_state[0], batch["attention_mask"][0].bool()
        must(torch.allclose(hidden[real][-1], alone, atol=1e-5), f"padded {side}, a row is what it is alone")
        off.append(float((hidden[-1] - alone).abs().max()))
    return f"index -1 is {off[0]:.2f} off where padding is right, {off[1]:.2f} where left; by coordinates 0.00"


def special_tokens(model: sl.Model) -> str:
    plain = model.tokenizer.encode("bread", add_special_tokens=False)
    around = ["…" if id in plain else model.tokenizer.token(id) for id in model.tokenizer.encode("bread")]
    return " ".join(dict.fromkeys(around)) + f"; blanks are {model.tokenizer.special.mask or 'unknown'}"


def pooling(model: sl.Model) -> str:
    usual = sl.with_classifier(model, ("bad", "good")).head("classifier").pooling
    first = refusal(lambda: sl.with_classifier(model, ("bad", "good"), pooling="first"))
    must(bool(first) == (model.mask == sl.Causal()), "the first token may stand for a text unless it sees only itself")
    return f"{usual}; first {'refused' if first else 'allowed'}"


def token_types(model: sl.Model) -> str:
    ids, known = model.tokenizer(SHORT)["input_ids"], getattr(model.config, "token_types", 0)
    refused = refusal(lambda: model(ids, token_type_ids=torch.ones_like(ids)))
    must(bool(refused) == (known < 2), "types that nothing reads are refused")
    return f"{known or 'none'}{'; token_type_ids refused' if refused else ''}"


def positions(model: sl.Model) -> str:
    end = sl.describe(model).positions
    refused = "" if end is None else refusal(lambda: model(torch.full((1, end + 1), 5)))
    must(bool(refused) or end is None, "a token too many is refused")
    return refused.partition(":")[0] or "relative, without end"


if __name__ == "__main__":
    rows = sl.read_examples(str(files("sightline").joinpath("data", "reviews.csv"))).examples
    for word in sys.argv[1:] or LAYOUTS:
        network = fresh_model(word, "tiny", rows, seed=0)
        print(f"\n{word}, {network.mask}")
        for check in (padding, special_tokens, pooling, token_types, positions):
            print(f"  {check.__name__.replace('_', ' '):15} {check(network)}")
