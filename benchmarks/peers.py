"""The same work done by Sightline and by transformers: one function a case and side, each run in a process of its own.

python benchmarks/peers.py CASE SIDE FOLDER     prints {"value": …} (higher is better) and what else it has to say
"""

import json
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

PROMPT = list(range(1000, 1016))
NEW_TOKENS = 128
BATCH = 32


def median_seconds(work: Callable[[], object], repeats: int) -> float:
    """After one run to warm up."""
    work()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def theirs(kind: str, folder: Path, dtype: torch.dtype):
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    return getattr(transformers, kind).from_pretrained(folder, dtype=dtype)


def ours(folder: Path, dtype: torch.dtype):
    import sightline as sl

    return sl.load(folder, dtype=str(dtype).removeprefix("torch."))


def decode(side: str, folder: Path, dtype: torch.dtype) -> dict:
    """Greedy decoding of one row: new tokens a second."""
    ids = []
    if side == "transformers":
        model, prompt = theirs("AutoModelForCausalLM", folder / "gpt2", dtype), torch.tensor([PROMPT])
        mask = torch.ones_like(prompt)

        def work() -> None:
            with torch.inference_mode():
                out = model.generate(
                    prompt,
                    attention_mask=mask,
                    max_new_tokens=NEW_TOKENS,
                    min_new_tokens=NEW_TOKENS,
                    do_sample=False,
                    pad_token_id=0,
                )
            ids[:] = out[0, len(PROMPT) :].tolist()
    else:
        from sightline.decoding.generate import generate

        model = ours(folder / "gpt2", dtype)

        def work() -> None:
            ids[:] = generate(model, [PROMPT], max_new_tokens=NEW_TOKENS).ids()[0]

    seconds = median_seconds(work, 3)
    return {"value": len(ids) / seconds, "check": ids[:4]}


def encode(side: str, folder: Path, dtype: torch.dtype) -> dict:
    """One batch of 32 rows of 128 tokens: tokens a second."""
    ids = torch.randint(1000, 30000, (BATCH, 128), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    model = theirs("AutoModel", folder / "bert", dtype) if side == "transformers" else ours(folder / "bert", dtype)
    last = []

    def work() -> None:
        with torch.no_grad():
            last[:] = [model(input_ids=ids, attention_mask=mask).last_hidden_state]

    seconds = median_seconds(work, 3)
    return {"value": ids.numel() / seconds, "check": round(last[0].float().mean().item(), 2)}


def ragged_texts() -> list[str]:
    """256 texts whose lengths vary as real ones do: mostly short, some long, in no order."""
    die = torch.Generator().manual_seed(1)
    lengths = torch.empty(256).log_normal_(3.4, 0.9, generator=die).clamp(4, 250).long()
    return [
        " ".join(f"w{word}" for word in torch.randint(0, 30000, (int(length),), generator=die).tolist())
        for length in lengths
    ]


def ragged(side: str, folder: Path, dtype: torch.dtype) -> dict:
    """Texts in arrival order to one vector each: real tokens a second, tokenising included."""
    texts = ragged_texts()
    vectors = []
    if side == "transformers":
        import transformers

        model = theirs("AutoModel", folder / "bert", dtype)
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder / "bert")

        def work() -> None:
            vectors.clear()
            for start in range(0, len(texts), BATCH):
                batch = tokenizer(texts[start : start + BATCH], padding=True, return_tensors="pt")
                with torch.no_grad():
                    states = model(**batch).last_hidden_state
                real = batch["attention_mask"][:, :, None].to(states.dtype)
                vectors.extend(((states * real).sum(1) / real.sum(1)).float())
    else:
        import sightline as sl

        model = ours(folder / "bert", dtype)

        def work() -> None:
            vectors[:] = [torch.from_numpy(vector) for vector in sl.embed(model, texts, pooling="mean")]

    seconds = median_seconds(work, 1)
    tokens = sum(len(text.split()) + 2 for text in texts)
    return {"value": tokens / seconds, "check": round(torch.stack(vectors).mean().item(), 2)}


def load(side: str, folder: Path, dtype: torch.dtype) -> dict:
    """Loads a second, libraries already imported."""
    if side == "transformers":
        import transformers

        transformers.GPT2LMHeadModel  # noqa: B018 - the import itself is not what is measured
    else:
        import sightline.model.load  # noqa: F401
    open_model = (
        (lambda: theirs("AutoModelForCausalLM", folder / "gpt2", dtype))
        if side == "transformers"
        else (lambda: ours(folder / "gpt2", dtype))
    )
    return {"value": 1 / median_seconds(open_model, 3), "check": None}


def first_token(side: str, folder: Path, dtype: torch.dtype) -> dict:
    """One token from a process that has done nothing yet; its caller takes the time."""
    if side == "transformers":
        model = theirs("AutoModelForCausalLM", folder / "gpt2", dtype)
        prompt = torch.tensor([PROMPT])
        out = model.generate(prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=1, pad_token_id=0)
        return {"value": None, "check": out[0, -1:].tolist()}
    from sightline.decoding.generate import generate

    return {"value": None, "check": generate(ours(folder / "gpt2", dtype), [PROMPT], max_new_tokens=1).ids()[0]}


CASES: dict[str, tuple[Callable[[str, Path, torch.dtype], dict], torch.dtype]] = {
    "decode-float32": (decode, torch.float32),
    "decode-bfloat16": (decode, torch.bfloat16),
    "encode-float32": (encode, torch.float32),
    "encode-bfloat16": (encode, torch.bfloat16),
    "ragged-float32": (ragged, torch.float32),
    "ragged-bfloat16": (ragged, torch.bfloat16),
    "load": (load, torch.float32),
    "first-token": (first_token, torch.float32),
}

if __name__ == "__main__":
    name, side, folder = sys.argv[1:]
    work, dtype = CASES[name]
    result = work(side, Path(folder), dtype)
    result["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps(result))
