"""XLNet and ModernBERT, Sightline against transformers in one run: tokens a second of evaluation.

python benchmarks/families.py --write

Every case runs in rounds; in each round both sides run one after the other, each in a process of its own, on the same
folder (random weights in the full shape) and the same rows, and their ratio is taken. Equal rows need no padding.
Ragged rows come in the order in which they arrived: transformers pads each batch to its longest row, as its users do,
and Sightline's `embed` gets all of them at once. Tokens are counted without padding. What both sides say is compared.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from document import write
from run import machine

SIDES = ("sightline", "transformers")
ROWS, TOKENS, TARGETS = 16, 128, 21  # a sixth of the tokens is asked for, as in XLNet's pretraining
TEXTS, BATCH = 96, 32
WORDS = 30000
Work = Callable[[], torch.Tensor]  # computes what is measured, and returns it


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is measured, on which folder, and how: given the side, the folder and the type of the weights."""

    what: str
    make: Callable[[Path], None]
    work: Callable[[str, Path, torch.dtype], tuple[Work, int]]  # and the number of real tokens


def theirs(kind: str, folder: Path, dtype: torch.dtype) -> Any:
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    model = getattr(transformers, kind).from_pretrained(folder, dtype=dtype)
    return model.to(dtype).eval()  # it leaves XLNet's bare parameters in float32


def ours(folder: Path, dtype: torch.dtype) -> Any:
    import sightline as sl

    return sl.load(folder, dtype=dtype)


def words_tokenizer(folder: Path, special: Sequence[str], template: str, *, types: bool, **settings: Any) -> None:
    """A tokenizer whose every word is a token, and that makes token types or not: the same file for both sides."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    every = [*special, *(f"w{number}" for number in range(WORDS))]
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(every)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    used = [(word, index) for index, word in enumerate(special) if word in template]
    tokenizer.post_processor = processors.TemplateProcessing(single=template, special_tokens=used)
    tokenizer.save(str(folder / "tokenizer.json"))
    inputs = ["input_ids", *(["token_type_ids"] if types else []), "attention_mask"]
    stated = {"tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "<unk>", "model_input_names": inputs}
    (folder / "tokenizer_config.json").write_text(json.dumps({**stated, **settings}))


def equal_ids() -> torch.Tensor:
    return torch.randint(100, WORDS, (ROWS, TOKENS), generator=torch.Generator().manual_seed(0))


def ragged_texts() -> list[str]:
    """Texts whose lengths vary as real ones do: mostly short, some long, in no order."""
    die = torch.Generator().manual_seed(1)
    lengths = torch.empty(TEXTS).log_normal_(3.4, 0.9, generator=die).clamp(4, 250).long()
    return [
        " ".join(f"w{word}" for word in torch.randint(0, WORDS, (int(length),), generator=die).tolist())
        for length in lengths
    ]


def ragged(kind: str, added: int) -> Callable[[str, Path, torch.dtype], tuple[Work, int]]:
    """Texts in arrival order to one vector each, the mean of their tokens; tokenising included."""

    def of(side: str, folder: Path, dtype: torch.dtype) -> tuple[Work, int]:
        texts = ragged_texts()
        tokens = sum(len(text.split()) + added for text in texts)
        if side == "sightline":
            import sightline as sl

            model = ours(folder, dtype)
            return lambda: torch.from_numpy(sl.embed(model, texts, pooling="mean")), tokens

        import transformers

        model = theirs(kind, folder, dtype)
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)

        def work() -> torch.Tensor:
            vectors = []
            for start in range(0, len(texts), BATCH):
                batch = tokenizer(texts[start : start + BATCH], padding=True, return_tensors="pt")
                with torch.no_grad():
                    states = model(**batch).last_hidden_state
                real = batch["attention_mask"][:, :, None]
                vectors.append((states.float() * real).sum(1) / real.sum(1))
            return torch.cat(vectors)

        return work, tokens

    return of


# XLNet

XLNET_SPECIAL = ["<unk>", "<s>", "</s>", "<cls>", "<sep>", "<pad>", "<mask>", "<eod>", "<eop>"]


def make_xlnet(folder: Path) -> None:
    """xlnet-base's shape."""
    from transformers import XLNetConfig, XLNetLMHeadModel

    torch.manual_seed(0)
    sizes = {"d_model": 768, "n_layer": 12, "n_head": 12, "d_inner": 3072}
    vocabulary = len(XLNET_SPECIAL) + WORDS
    XLNetLMHeadModel(XLNetConfig(vocab_size=vocabulary, mem_len=None, use_mems_eval=False, **sizes)).save_pretrained(
        folder
    )
    names = {f"{name.strip('<>')}_token": name for name in ("<cls>", "<sep>", "<pad>", "<mask>")}
    words_tokenizer(folder, XLNET_SPECIAL, "$A:0 <sep>:0 <cls>:2", types=True, padding_side="left", **names)


def xlnet_equal(side: str, folder: Path, dtype: torch.dtype) -> tuple[Work, int]:
    """Hidden states of full rows, with segments as the tokenizer makes them."""
    ids = equal_ids()
    types = torch.zeros_like(ids)
    types[:, -1] = 2
    given = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "token_type_ids": types}
    model = ours(folder, dtype) if side == "sightline" else theirs("XLNetModel", folder, dtype)

    def work() -> torch.Tensor:
        with torch.no_grad():
            return model(**given).last_hidden_state

    return work, ids.numel()


def xlnet_streams(side: str, folder: Path, dtype: torch.dtype) -> tuple[Work, int]:
    """Both streams, as in pretraining: an order for each row, of which the last sixth is asked for; logits included."""
    ids, die = equal_ids(), torch.Generator().manual_seed(2)
    order = torch.stack([torch.randperm(TOKENS, generator=die) for _ in range(ROWS)])
    hides = (order[:, :, None] <= order[:, None]) & (order[:, None] >= TOKENS - TARGETS)
    asked = torch.nn.functional.one_hot(order.argsort(-1)[:, -TARGETS:], TOKENS)
    kind = dtype if side == "transformers" else torch.float32
    given = {"input_ids": ids, "perm_mask": hides.to(kind), "target_mapping": asked.to(kind)}
    if side == "sightline":
        model = ours(folder, dtype)

        def work() -> torch.Tensor:
            with torch.no_grad():
                return model.logits(model(**given).last_hidden_state)

    else:
        model = theirs("XLNetLMHeadModel", folder, dtype)
        table = model.transformer.relative_positional_encoding  # float32, which bfloat16 weights do not multiply
        model.transformer.relative_positional_encoding = lambda *a, **k: table(*a, **k).to(dtype)

        def work() -> torch.Tensor:
            with torch.no_grad():
                return model(**given).logits

    return work, ids.numel()


# ModernBERT and its decoder twin

MODERN_SPECIAL = ["<unk>", "<cls>", "<sep>", "<pad>", "<mask>"]


def make_modernbert(folder: Path) -> None:
    """ModernBERT-base's shape."""
    make_modern(folder, "ModernBertConfig", "ModernBertModel")


def make_modernbert_decoder(folder: Path) -> None:
    """Its decoder twin's, which is the same: Ettin's of 150M."""
    make_modern(folder, "ModernBertDecoderConfig", "ModernBertDecoderModel")


def make_modern(folder: Path, config: str, model: str) -> None:
    import transformers

    torch.manual_seed(0)
    ids = {name: MODERN_SPECIAL.index(f"<{name}>") for name in ("cls", "sep", "pad")}
    special = {"bos": ids["cls"], "eos": ids["sep"], **ids}
    settings = {f"{name}_token_id": index for name, index in special.items()}
    made = getattr(transformers, config)(vocab_size=len(MODERN_SPECIAL) + WORDS, **settings)
    getattr(transformers, model)(made).save_pretrained(folder)
    names = {f"{name.strip('<>')}_token": name for name in ("<cls>", "<sep>", "<pad>", "<mask>")}
    words_tokenizer(folder, MODERN_SPECIAL, "<cls>:0 $A:0 <sep>:0", types=False, padding_side="right", **names)


def states_of(given: dict[str, torch.Tensor], kind: str) -> Callable[[str, Path, torch.dtype], tuple[Work, int]]:
    """Hidden states of one batch, those of real tokens."""
    real = given["attention_mask"].bool()

    def of(side: str, folder: Path, dtype: torch.dtype) -> tuple[Work, int]:
        model = ours(folder, dtype) if side == "sightline" else theirs(kind, folder, dtype)

        def work() -> torch.Tensor:
            with torch.no_grad():
                return model(**given).last_hidden_state[real]

        return work, int(real.sum())

    return of


def equal_batch() -> dict[str, torch.Tensor]:
    ids = equal_ids()
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def ragged_batch() -> dict[str, torch.Tensor]:
    """The first of the ragged texts, as they come, padded on the right."""
    lengths = torch.tensor([len(text.split()) + 2 for text in ragged_texts()[:BATCH]])
    mask = (torch.arange(int(lengths.max())) < lengths[:, None]).long()
    ids = torch.randint(100, WORDS, mask.shape, generator=torch.Generator().manual_seed(3))
    pad = MODERN_SPECIAL.index("<pad>")
    return {"input_ids": torch.where(mask.bool(), ids, pad), "attention_mask": mask}


CASES = {
    "modernbert-equal": Case(
        what=f"ModernBERT-base, {ROWS} x {TOKENS} tokens",
        make=make_modernbert,
        work=states_of(equal_batch(), "ModernBertModel"),
    ),
    "modernbert-ragged": Case(
        what=f"ModernBERT-base, {TEXTS} ragged texts to vectors",
        make=make_modernbert,
        work=ragged("ModernBertModel", added=2),
    ),
    "modernbert-batch": Case(
        what=f"ModernBERT-base, one padded batch of {BATCH} ragged rows",
        make=make_modernbert,
        work=states_of(ragged_batch(), "ModernBertModel"),
    ),
    "modernbert-decoder-equal": Case(
        what=f"its decoder twin, {ROWS} x {TOKENS} tokens",
        make=make_modernbert_decoder,
        work=states_of(equal_batch(), "ModernBertDecoderModel"),
    ),
    "modernbert-decoder-batch": Case(
        what=f"its decoder twin, one padded batch of {BATCH} ragged rows",
        make=make_modernbert_decoder,
        work=states_of(ragged_batch(), "ModernBertDecoderModel"),
    ),
    "xlnet-equal": Case(what=f"XLNet-base, {ROWS} x {TOKENS} tokens", make=make_xlnet, work=xlnet_equal),
    "xlnet-ragged": Case(
        what=f"XLNet-base, {TEXTS} ragged texts to vectors", make=make_xlnet, work=ragged("XLNetModel", added=2)
    ),
    "xlnet-streams": Case(
        what=f"XLNet-base, both streams, {ROWS} x {TOKENS} tokens, {TARGETS} asked", make=make_xlnet, work=xlnet_streams
    ),
}
TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def run_one(case: str, side: str, folder: Path, dtype: str, clock: Callable[[], float]) -> None:
    """The work of one process: prints its numbers as JSON."""
    work, tokens = CASES[case].work(side, folder, TYPES[dtype])
    found = work()  # to warm up
    seconds = []
    for _ in range(3):
        start = clock()
        work()
        seconds.append(clock() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    check = found.double().flatten()[:: max(1, found.numel() // 50)].tolist()
    print(json.dumps({"value": tokens / statistics.median(seconds), "peak_mb": peak, "check": check}))


def measure(case: str, side: str, folder: Path, dtype: str, busy: bool) -> dict[str, Any]:
    """One side in a process of its own."""
    command = [sys.executable, __file__, "--one", case, side, str(folder), dtype, *["--busy"] * busy]
    settings = {**os.environ, "HF_HUB_OFFLINE": "1", **({"OMP_NUM_THREADS": "1"} if busy else {})}
    done = subprocess.run(command, capture_output=True, text=True, env=settings)
    if done.returncode:
        sys.exit(f"{case} by {side} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def agree(case: str, dtype: str, checks: Sequence[Sequence[float]]) -> None:
    """Stop where both sides do not say the same."""
    far = max(abs(one - other) for one, other in zip(*checks, strict=True))
    if far > {"float32": 1e-3, "bfloat16": 0.25}[dtype]:
        sys.exit(f"{case}, {dtype}: the two sides differ by {far:.1e}, so they did not compute the same")


def row(case: str, dtype: str, rounds: Sequence[dict[str, dict[str, Any]]]) -> str:
    values, memory = (
        [statistics.median(one[side][key] for one in rounds) for side in SIDES] for key in ("value", "peak_mb")
    )
    ratios = sorted(one["sightline"]["value"] / one["transformers"]["value"] for one in rounds)
    return (
        f"| {CASES[case].what}, {dtype} | {values[0]:.0f} | {values[1]:.0f} | **{statistics.median(ratios):.2f}** |"
        f" {ratios[0]:.2f}-{ratios[-1]:.2f} | {memory[0]:.0f} / {memory[1]:.0f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cases", nargs="*", default=list(CASES), choices=list(CASES))
    parser.add_argument("--types", nargs="*", default=list(TYPES), choices=list(TYPES))
    parser.add_argument("--write", action="store_true", help="put the table into docs/performance.md")
    parser.add_argument("--busy", action="store_true", help="the machine does other work: one thread, processor time")
    parser.add_argument("--one", nargs=4, metavar=("CASE", "SIDE", "FOLDER", "TYPE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        case, side, folder, dtype = options.one
        clock = time.process_time if options.busy else time.perf_counter
        return run_one(case, side, Path(folder), dtype, clock)
    how = "; one thread, tokens per second of processor time" if options.busy else ""
    command = f"python benchmarks/families.py --write{' --busy' * options.busy}"
    table = [
        f"{machine()}; {options.rounds} rounds, medians{how}; command: `{command}`",
        "",
        "| what | Sightline, tokens/s | transformers | ratio | range | peak MB |",
        "|---|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as name:
        for case in options.cases:
            folder = Path(name) / CASES[case].make.__name__
            if not folder.exists():
                folder.mkdir()
                CASES[case].make(folder)
            for dtype in options.types:
                rounds = []
                for number in range(options.rounds):
                    order = SIDES if number % 2 == 0 else SIDES[::-1]
                    rounds.append({side: measure(case, side, folder, dtype, options.busy) for side in order})
                    agree(case, dtype, [rounds[-1][side]["check"] for side in SIDES])
                table.append(row(case, dtype, rounds))
                print(table[-1], file=sys.stderr, flush=True)
    print("\n".join(table))
    if options.write:
        write("performance.md", "families", table)


if __name__ == "__main__":
    main()
