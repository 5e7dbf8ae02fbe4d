"""Is feeding one example to `forward` one-shot learning? Conditioning and learning told apart, in numbers.

A tiny GPT-2 learns to look things up: rows state some facts (a thing has a colour; every fact is one token), then ask
for the things again. Then it is asked for a colour that nothing has told it, with and without an example in its
context, and again after some steps of an optimizer on that example. Prints the chance that it names the colour each
time, and how many of its tensors have changed; raises where `forward` changed one, or where the example did not help.
"""

import argparse

import torch
import torch.nn.functional as F

import sightline as sl

THINGS, COLOURS, FACTS = 8, 8, 4
ASKED, NAMED = THINGS * COLOURS, THINGS * COLOURS + THINGS  # first tokens of questions, and of colours


def learn(model: sl.Model, steps: int) -> None:
    """Four facts, then the question for each of their things; the answer is its colour."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.0)
    for _ in range(steps):
        things = torch.rand(64, THINGS).argsort(1)[:, :FACTS]
        colours = torch.randint(COLOURS, things.shape)
        order = torch.rand(64, FACTS).argsort(1)
        ids = torch.cat([things * COLOURS + colours, things.gather(1, order) + ASKED], 1)
        logits = model.logits(model(ids).last_hidden_state)[:, FACTS:]
        loss = F.cross_entropy(logits.flatten(0, 1), (colours.gather(1, order) + NAMED).flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def main(steps: int) -> None:
    torch.manual_seed(0)
    sizes = {"vocabulary": NAMED + COLOURS, "positions": 2 * FACTS, "width": 64, "inner": 256, "init_std": 0.1}
    model = sl.build("gpt2", "tiny", **sizes, dropout=0.0, embedding_dropout=0.0, attention_dropout=0.0, seed=0)
    learn(model, steps)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}

    def changed() -> str:
        count = sum(not torch.equal(before[name], weight) for name, weight in model.state_dict().items())
        return f"{count} of {len(before)} tensors changed"

    thing, colour = 0, 5
    facts = [other * COLOURS + other for other in range(1, FACTS + 1)]  # of other things, in other colours but one
    example = [*facts[1:], thing * COLOURS + colour]

    @torch.no_grad()
    def chance(told: list[int]) -> float:
        """Of the colour, when asked for the thing after these facts."""
        hidden = model(torch.tensor([[*told, ASKED + thing]])).last_hidden_state
        return float(model.logits(hidden)[0, -1].softmax(-1)[NAMED + colour])

    alone, conditioned, again = chance(facts), chance(example), chance(facts)
    print(f"{'asked alone':36} {alone:.4f}")
    print(f"{'with one example in the context':36} {conditioned:.4f}")
    print(f"{'asked alone again':36} {again:.4f}, {changed()}")
    if again != alone or not changed().startswith("0 "):
        raise SystemExit("forward changed something")
    if steps > 100 and conditioned < 2 * alone:
        raise SystemExit("the example in the context did not help")

    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(10):
        logits = model.logits(model(torch.tensor([[*facts, ASKED + thing]])).last_hidden_state)[:, -1]
        F.cross_entropy(logits, torch.tensor([NAMED + colour])).backward()
        optimizer.step()
        optimizer.zero_grad()
    print(f"{'asked alone, after ten SGD steps':36} {chance(facts):.4f}, {changed()}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=150, help="how long it learns to look things up")
    main(parser.parse_args().steps)
