"""Can BERT generate? Mask-predict against writing word by word: rounds, time and likelihood.

Three tiny networks learn the sentences that ship inside from the same tokens: a GPT-2 that writes, a BERT that fills
blanks (any share of a sentence, up to all of it), and another GPT-2 that judges. GPT-2 goes on from the first three
words of some; BERT, which must be told the length, fills as many blanks as GPT-2 wrote words. Prints for each
way how often the network is asked, milliseconds a text, and the judge's log-probability a token, in nats.
"""

import argparse
import time
from importlib.resources import files

import torch
import torch.nn.functional as F

import sightline as sl


def learn(model: sl.Model, sentences: list[str], steps: int) -> sl.Model:
    """GPT-2 predicts each next token; BERT those that a random share of blanks hides."""
    batch = model.tokenizer(sentences)
    ids, real = batch["input_ids"], batch["attention_mask"] == 1
    optimizer = torch.optim.AdamW(model.train().parameters(), lr=3e-3, weight_decay=0.0)
    for _ in range(steps):
        if model.mask == sl.Causal():
            shown, answers, asked = ids, ids.roll(-1, 1), real.roll(-1, 1)
            asked[:, -1] = False
        else:
            words = real & (ids != model.tokenizer.special.cls_id) & (ids != model.tokenizer.special.sep_id)
            asked = words & (torch.rand(ids.shape) < torch.rand(len(ids), 1))
            shown, answers = ids.masked_fill(asked, model.tokenizer.special.mask_id), ids
        states = model(shown, real).last_hidden_state
        loss = F.cross_entropy(model.logits(states[asked]), answers[asked])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()


@torch.no_grad()
def likelihood(judge: sl.Model, prompt: str, new: list[int]) -> float:
    """Mean log-probability of the new tokens after the prompt, in nats."""
    ids = judge.tokenizer.prompt(prompt) + new
    logits = judge.logits(judge(torch.tensor([ids])).last_hidden_state)[0]
    chosen = logits[:-1].log_softmax(-1).gather(1, torch.tensor(ids[1:])[:, None])
    return float(chosen[-len(new) :].mean())


def main(steps: int) -> None:
    torch.manual_seed(0)
    sentences = files("sightline").joinpath("data", "demo.txt").read_text(encoding="utf-8").splitlines()
    tokenizer = sl.learn_tokenizer(sentences, vocabulary=400)
    sizes = {"tokenizer": tokenizer, "positions": 64, "dropout": 0.0, "attention_dropout": 0.0}
    writer, judge = (learn(sl.build("gpt2", "tiny", seed=seed, **sizes), sentences, steps) for seed in (0, 1))
    bert = learn(sl.build("bert", "tiny", seed=0, **sizes), sentences, 2 * steps)

    prompts = sorted({" ".join(sentence.split()[:3]) for sentence in sentences})[::2]
    end = tokenizer.special.sep_id
    words = [[id for id in sl.generate(writer, prompt).ids()[0] if id != end] for prompt in prompts]
    asked: list[object] = []
    for network in (writer.network, bert.network):
        network.register_forward_hook(lambda *call: asked.append(None))
    print(f"{'how':24} {'asked':>6} {'ms a text':>10} {'log p a token':>14}")
    for rounds in (None, 1, 2, 4, 8):
        judged, started = [], time.perf_counter()
        asked.clear()
        for prompt, length in zip(prompts, (max(1, len(new)) for new in words), strict=True):
            how = {} if rounds is None else {"method": "mask-predict", "rounds": rounds}
            (new,) = sl.generate(writer if rounds is None else bert, prompt, max_new_tokens=length, **how).ids()
            judged.append((prompt, new))
        ms = 1000 * (time.perf_counter() - started) / len(prompts)
        mean = sum(likelihood(judge, *one) for one in judged) / len(judged)
        name = "word by word" if rounds is None else f"mask-predict, {rounds} round{'s' * (rounds > 1)}"
        print(f"{name:24} {len(asked) / len(prompts):6.1f} {ms:10.1f} {mean:14.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=100, help="how long GPT-2 learns; BERT twice as long")
    main(parser.parse_args().steps)
