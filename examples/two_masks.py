"""Two small models, one block, two masks: what every verb makes of them, in a minute.

Learns a tokenizer and two tiny networks from the sentences that ship inside, by plain PyTorch, since a Model is an
nn.Module like any other; saves them in the Hugging Face layout, and runs every verb of the command line on them. The
networks know 48 sentences and nothing else: what they say is by heart. Prints each command and what it answers.
"""

import argparse
import shlex
from importlib.resources import files
from pathlib import Path

import torch
import torch.nn.functional as F

import sightline as sl
from sightline.app.cli import main


def run(*command: str) -> None:
    print(f"\n$ sightline {shlex.join(command)}", flush=True)
    if main(command):
        raise SystemExit(f"sightline {command[0]} failed")


def learn(model: sl.Model, sentences: list[str], steps: int) -> None:
    """By heart: BERT guesses hidden words from both sides, GPT-2 each next word from the left."""
    optimizer = torch.optim.AdamW(model.train().parameters(), lr=3e-3, weight_decay=0.0)
    batch = model.tokenizer(sentences)
    ids, real = batch["input_ids"], batch["attention_mask"]
    for _ in range(steps):
        if model.family == "bert":
            asked = (torch.rand(ids.shape) < 0.3) & (real == 1)
            shown, answers = ids.masked_fill(asked, model.tokenizer.special.mask_id), ids
        else:
            shown, answers = ids, ids.roll(-1, dims=1)  # after each token comes the next one
            asked = real.roll(-1, dims=1) == 1
            asked[:, -1] = False
        states = model(shown, real).last_hidden_state
        loss = F.cross_entropy(model.logits(states[asked]), answers[asked])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    print(f"  {model.family}: loss {loss.item():.2f} after {steps} steps")


def demo(out: Path, steps: int) -> None:
    torch.manual_seed(0)
    sentences = files("sightline").joinpath("data", "demo.txt").read_text(encoding="utf-8").splitlines()
    print(f"Two tiny networks learn {len(sentences)} sentences by heart")
    wordpiece = sl.learn_tokenizer(sentences, kind="wordpiece", vocabulary=400)
    bytelevel = sl.learn_tokenizer([s + "<|endoftext|>" for s in sentences], kind="bytelevel-bpe", vocabulary=600)
    bert = sl.build("bert", "tiny", tokenizer=wordpiece, positions=64, dropout=0.0, attention_dropout=0.0, seed=0)
    gpt2 = sl.build("gpt2", "tiny", tokenizer=bytelevel, positions=64, dropout=0.0, attention_dropout=0.0, seed=0)
    learn(bert, sentences, steps)
    learn(gpt2, [f"{sentence}<|endoftext|>" for sentence in sentences], steps // 2)
    folders = str(bert.save(out / "bert")), str(gpt2.save(out / "gpt2"))

    run("show", folders[0])
    run("show", *folders)
    run("fill", folders[0], "The pizza was fantastic. The restaurant is [MASK].")
    run("generate", folders[1], "The restaurant is", "--max-new-tokens", "20")
    run("generate", folders[0], "The restaurant is", "--max-new-tokens", "8", "--method", "mask-predict")
    (out / "reviews.txt").write_text("\n".join(sentences[:8]) + "\n", encoding="utf-8")
    run("embed", folders[0], str(out / "reviews.txt"), "--out", str(out / "vectors.npy"))
    print(f"\nThe models are in {out}; try: .venv/bin/sightline fill {folders[0]} 'The soup was [MASK].'")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("examples-output"), help="where the models go")
    parser.add_argument("--steps", type=int, default=260, help="how long BERT learns; GPT-2 half as long")
    options = parser.parse_args()
    demo(options.out, options.steps)
