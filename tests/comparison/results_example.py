"""Results as `sightline compare` writes them, made up: one for each thing that a report must cope with."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

Results = dict[str, Any]

SCHEMA = 1
HELD_EQUAL = [
    "Every contender saw the same 796 training rows, the same 99 dev rows and was judged on the same 100 test rows.",
    "encoder and decoder share network, tokenizer, data order, seeds and updates: only mask and pooling differ.",
    "Each contender had 3 tries of its settings, chosen on dev; the test rows were used once.",
]
ASSUMED = [
    "The column 'text' holds the texts: it is the longest column of words.",
    "The column 'label' holds the classes: it has 2 different values in 1,000 rows.",
]
METHODS = {
    "encoder": "new modernbert network (4 layers, 256 wide), mask bidirectional, pooling mean",
    "decoder": "new modernbert network (4 layers, 256 wide), mask causal, pooling last",
    "tfidf": "TF-IDF of words and pairs of words, logistic regression",
    "majority": "always the most frequent class of the training rows",
}


def _confusion(labels: int, rows: int, accuracy: float, draw: random.Random) -> list[list[int]]:
    """A matrix of about `rows` rows, whose diagonal holds about `accuracy` of them; errors prefer the next class."""
    matrix = [[0] * labels for _ in range(labels)]
    for row in range(rows):
        truth = row % labels
        right = draw.random() < accuracy
        matrix[truth][truth if right else (truth + draw.choice([1, 1, 1, 2, 3]) % labels) % labels] += 1
    return matrix


def _calibration(draw: random.Random) -> list[dict[str, float]]:
    bins = []
    for low in (0.5, 0.6, 0.7, 0.8, 0.9):
        confidence = low + draw.uniform(0.02, 0.08)
        correct = min(1.0, max(0.0, confidence - draw.uniform(-0.05, 0.12)))
        rows = draw.randint(4, 40)
        bins.append({"low": low, "high": low + 0.1, "rows": rows, "confidence": confidence, "correct": correct})
    return bins


def contender(name: str, accuracy: float, *, labels: int = 2, rows: int = 100, draw: random.Random) -> Results:
    """A contender of a comparison of classes; everything follows from its accuracy and the draw."""
    plain = name in ("majority", "tfidf")
    spread = 1.96 * (accuracy * (1 - accuracy) / rows) ** 0.5
    dev = accuracy + draw.uniform(-0.02, 0.02)
    seconds = {"majority": 0.0003, "tfidf": 0.41}.get(name, draw.uniform(12, 90))
    seeds = [
        {"seed": seed, "accuracy": accuracy + (0 if plain else (seed - 1) * 0.012), "train_seconds": seconds}
        for seed in range(3)
    ]
    rates = [] if name == "majority" else [1.0, 4.0, 16.0] if plain else [0.0003, 0.001, 0.003]
    key = "regularization" if plain else "learning_rate"
    tries = [
        {"settings": {key: rate}, "dev": {"accuracy": dev - 0.013 * place, "log_loss": 0.4}, "seconds": seconds}
        for place, rate in enumerate(rates)
    ]
    return {
        "name": name,
        "method": METHODS.get(name, f"the checkpoint {name}, all layers taught, mean pooling"),
        "kind": "baseline" if plain else "frozen" if name.endswith("#frozen") else "network",
        "labels": 796,
        "status": "ok",
        "error": None,
        "mask": None if plain else "causal" if "decoder" in name or "causal" in name else "bidirectional",
        "random": None if plain else name in ("encoder", "decoder"),
        "accuracy": accuracy,
        "accuracy_low": max(0.0, accuracy - spread),
        "accuracy_high": min(1.0, accuracy + spread),
        "macro_f1": accuracy - 0.004,
        "log_loss": 1.1 - 0.8 * accuracy,
        "calibration_error": draw.uniform(0.01, 0.12),
        "dev": {"accuracy": dev, "macro_f1": dev, "log_loss": 0.4, "calibration_error": 0.05},
        "train_seconds": seconds,
        "rows_per_second": 1200.0 / (1 + seconds),
        "ms_per_row": 0.02 if plain else draw.uniform(1.5, 9.0),
        "ms_per_row_p95": 0.03 if plain else draw.uniform(9.0, 14.0),
        "parameters": {"majority": 2, "tfidf": 8412}.get(name, 3_312_642),
        "peak_memory_mb": 210.0 if plain else draw.uniform(500, 1900),
        "settings": tries[0]["settings"] if tries else {},
        "tries": tries,
        "seeds": seeds,
        "confusion": _confusion(labels, rows, accuracy, draw),
        "calibration": None if name == "majority" else _calibration(draw),
        "scatter": None,
    }


def _pairs(contenders: list[Results], metric: str, draw: random.Random) -> list[Results]:
    """All pairs, the better one first."""
    ranked = sorted((each for each in contenders if each["status"] == "ok"), key=lambda each: -each[metric])
    pairs = []
    for place, a in enumerate(ranked):
        for b in ranked[place + 1 :]:
            difference = a[metric] - b[metric]
            p = max(0.0004, 0.9 - 14 * difference)
            holm = min(1.0, p * 3)
            width = draw.uniform(0.04, 0.08)
            pairs.append(
                {
                    "a": a["name"],
                    "b": b["name"],
                    "difference": difference,
                    "low": difference - width,
                    "high": difference + width,
                    "mcnemar_p": p if metric == "accuracy" else None,
                    "bootstrap_p": p * 0.9,
                    "p": p,
                    "holm_p": holm,
                    "different": holm < 0.05,
                    "rows_needed": None if holm < 0.05 else round(0.6 / max(difference, 0.004) ** 2),
                }
            )
    return pairs


TEXTS = [
    ("The waiter forgot us twice, and yet we stayed for dessert and would do so again.", "positive"),
    ("I wanted to love this lamp. It looks the part until you switch it on.", "negative"),
    ("Not bad for a place next to the motorway.", "positive"),
    ("The soup was as warm as the welcome, which is to say barely.", "negative"),
]


def _results(contenders: list[Results], labels: list[str], *, metric: str = "accuracy", seed: int = 0) -> Results:
    draw = random.Random(seed)
    fine = sorted((each for each in contenders if each["status"] == "ok"), key=lambda each: -each[metric])
    names = [each["name"] for each in fine]
    counts = {label: 500 - 7 * place for place, label in enumerate(labels)}
    disagreements = [
        {
            "row": 17 + 31 * place,
            "text": text,
            "pair": None,
            "truth": labels[place % 2],
            "predictions": {name: labels[draw.randrange(2)] for name in names},
            "probabilities": {name: draw.uniform(0.5, 0.99) for name in names},
        }
        for place, (text, _) in enumerate(TEXTS)
    ]
    return {
        "sightline": "0.1.0",
        "schema": SCHEMA,
        "command": "sightline compare rows.csv --budget 5",
        "started": "2026-03-04T09:12:44+00:00",
        "seconds": 210.5,
        "status": "finished",
        "data": {
            "file": "rows.csv",
            "text": ["text"],
            "label": "label",
            "kind": "classes",
            "labels": labels,
            "counts": counts,
            "rows": {
                "read": 1000,
                "empty": 2,
                "unlabelled": 0,
                "duplicates": 3,
                "conflicting": 0,
                "sampled_from": None,
                "train": 796,
                "dev": 99,
                "test": 100,
            },
            "words": {"median": 18, "p95": 41},
        },
        "assumed": list(ASSUMED),
        "held_equal": list(HELD_EQUAL),
        "protocol": {
            "metric": metric,
            "seeds": 3,
            "passes": 8,
            "learning_rates": [0.0003, 0.001, 0.003],
            "batch_rows": 32,
            "precision": "bfloat16",
            "budget_minutes": 5.0,
            "level": 0.95,
            "device": "cpu",
            "threads": 2,
            "machine": "Linux x86_64, 2 cores, 8 GB",
        },
        "contenders": contenders,
        "comparisons": _pairs(contenders, metric, draw),
        "winner": names[0] if names else None,
        "best": names[0] if names else None,
        "runner_up": names[1] if len(names) > 1 else None,
        "verdict": "encoder wins: it is right on 88.0% of 100 test rows, 9.0 ± 6.1 points more than tfidf.",
        "disagreements": disagreements,
        "predictions": "predictions.parquet",
        "model": "winner",
        "folder": "rows-compare",
    }


def failed(name: str, error: str) -> Results:
    """A contender that failed: no numbers."""
    return {"name": name, "method": f"the checkpoint {name}", "kind": "network", "status": "failed", "error": error}


def classes() -> Results:
    """Two classes, the default contenders, a clear winner."""
    draw = random.Random(1)
    scores = {"majority": 0.5, "tfidf": 0.79, "encoder": 0.88, "decoder": 0.84}
    return _results([contender(name, score, draw=draw) for name, score in scores.items()], ["negative", "positive"])


def no_difference() -> Results:
    """Nobody wins."""
    draw = random.Random(2)
    scores = {"majority": 0.5, "tfidf": 0.85, "encoder": 0.86, "decoder": 0.84}
    results = _results([contender(name, score, draw=draw) for name, score in scores.items()], ["negative", "positive"])
    results["winner"] = None
    results["verdict"] = (
        "No difference that these rows can show: encoder 86.0%, tfidf 85.0% of 100 test rows. "
        "To tell a difference of 1.0 points apart, about 6,000 test rows would be needed."
    )
    return results


def one_failed() -> Results:
    """A contender that failed, beside others that did not."""
    results = classes()
    reason = "CheckpointError: no file model.safetensors in 'my-bert': give a folder that holds config.json and weights"
    results["contenders"].append(failed("my-bert", reason))
    return results


def all_failed() -> Results:
    """Nothing to report but reasons."""
    results = _results([failed("encoder", "out of memory"), failed("tfidf", "interrupted")], ["negative", "positive"])
    results |= {"verdict": "No contender finished.", "disagreements": [], "model": None}
    return results


def twelve_contenders() -> Results:
    """As many contenders as a screen can bear, three classes; 66 pairs."""
    draw = random.Random(3)
    names = "majority tfidf encoder decoder bert gpt2 bert@causal gpt2@bidirectional minilm minilm#frozen e5 e5#frozen"
    labels = ["negative", "neutral", "positive"]
    each = [
        contender(name, 0.34 if name == "majority" else draw.uniform(0.71, 0.9), labels=3, draw=draw)
        for name in names.split()
    ]
    results = _results(each, labels)
    best = results["best"]
    results["verdict"] = f"{best} wins by 2.1 ± 1.9 points over {results['runner_up']} on 100 test rows."
    results["disagreements"] = [
        results["disagreements"][place % 4] | {"row": 2 + place, "truth": labels[place % 3]} for place in range(73)
    ]
    return results


def forty_classes() -> Results:
    """Too many classes for a grid."""
    draw = random.Random(4)
    labels = [f"intent_{place:02d}" for place in range(40)]
    scores = {"majority": 0.03, "tfidf": 0.71, "encoder": 0.66}
    each = [contender(name, score, labels=40, rows=800, draw=draw) for name, score in scores.items()]
    return _results(each, labels) | {"verdict": "tfidf wins by 5.0 ± 2.2 points over encoder on 800 test rows."}


def long_names() -> Results:
    """Names of hub checkpoints and of classes as long as they come; a text without a space."""
    draw = random.Random(5)
    name = "sentence-transformers/paraphrase-multilingual-mpnet-base-v2-finetuned-on-everything-we-had@causal#frozen"
    labels = ["strongly-disagrees-with-the-statement-as-a-whole", "Donaudampfschifffahrtsgesellschaftskapitän" * 3]
    each = [contender(each, 0.8, draw=draw) for each in (name, name.replace("base", "large"), "tfidf", "majority")]
    results = _results(each, labels)
    results["verdict"] = f"{name} wins by 2.1 ± 1.9 points over tfidf on 100 test rows."
    results["disagreements"][0]["text"] = "x" * 5000
    results["data"]["file"] = "a-rather-long-file-name-with-every-date-there-ever-was-2024-2025-2026.csv"
    return results


HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&amp;\x00\x1b[31m\x85\ud800\u202eoverride"
RIGHT_TO_LEFT = "האוכל היה נהדר, אבל השירות היה איטי"


def hostile() -> Results:
    """Every text tries to become markup, or is what no page may hold."""
    draw = random.Random(6)
    each = [contender(name, 0.8, draw=draw) for name in (HOSTILE, "tfidf", "majority")]
    each[0]["method"] = HOSTILE
    each[0]["settings"] = {HOSTILE: HOSTILE}
    each[0]["tries"] = [{"settings": {HOSTILE: HOSTILE}, "dev": {"accuracy": 0.5}, "seconds": 1.0}]
    each.append(failed("<b>bold</b>", HOSTILE))
    results = _results(each, [HOSTILE, RIGHT_TO_LEFT])
    results |= {
        "verdict": HOSTILE,
        "command": HOSTILE,
        "assumed": [HOSTILE],
        "held_equal": [HOSTILE],
        "folder": HOSTILE,
    }
    results["data"] |= {"file": HOSTILE, "text": [HOSTILE, "b"], "label": HOSTILE}
    results["protocol"] |= {"machine": HOSTILE, "device": HOSTILE}
    results["disagreements"][0] |= {"text": HOSTILE, "pair": RIGHT_TO_LEFT}
    results["disagreements"][1] |= {"text": RIGHT_TO_LEFT, "pair": ""}
    return results


def missing_numbers() -> Results:
    """What could not be measured is null, and what never should have been measured so is not a number."""
    results = classes()
    for one in results["contenders"]:
        one |= {
            "ms_per_row_p95": None,
            "peak_memory_mb": None,
            "calibration_error": float("nan"),
            "rows_per_second": None,
        }
    results["contenders"][2] |= {"train_seconds": None, "accuracy_low": None, "accuracy_high": None, "confusion": None}
    results["contenders"][3] |= {
        "accuracy": None,
        "accuracy_low": None,
        "accuracy_high": None,
        "log_loss": float("inf"),
    }
    results["comparisons"][0] |= {"low": None, "high": None, "p": None, "holm_p": None, "different": None}
    results["data"] |= {"counts": None, "words": None}
    return results


def numbers() -> Results:
    """Regression: pairs of texts with a number."""
    draw = random.Random(7)
    contenders = []
    for name, pearson in {"majority": 0.0, "tfidf": 0.52, "encoder": 0.41, "minilm": 0.86}.items():
        one = contender(name, 0.5, rows=300, draw=draw)
        for key in [key for key in one if "accuracy" in key or key in ("macro_f1", "log_loss", "calibration_error")]:
            del one[key]
        truths = [draw.uniform(0, 5) for _ in range(900)]
        noise = 2.2 * (1 - pearson)
        points = [[truth, 2.5 + (truth - 2.5) * pearson + draw.gauss(0, noise)] for truth in truths]
        one |= {
            "method": "the mean of the training rows" if name == "majority" else one["method"],
            "pearson": None if name == "majority" else pearson,
            "pearson_low": None if name == "majority" else pearson - 0.06,
            "pearson_high": None if name == "majority" else pearson + 0.05,
            "spearman": None if name == "majority" else pearson - 0.02,
            "rmse": 1.5 - pearson,
            "mae": 1.2 - pearson,
            "r2": pearson**2 - 0.05,
            "dev": {"pearson": pearson + 0.01, "rmse": 1.4 - pearson},
            "confusion": None,
            "calibration": None,
            "scatter": points,
            "seeds": [{"seed": seed, "pearson": pearson + 0.01 * seed, "train_seconds": 3.0} for seed in range(3)],
        }
        for each in one["tries"]:
            each["dev"] = {"pearson": each["dev"]["accuracy"], "rmse": 0.8}
        contenders.append(one)
    ranked = [one | {"pearson": one["pearson"] or 0.0} for one in contenders]
    results = _results(ranked, ["0", "5"], metric="pearson") | {"contenders": contenders}
    results["data"]["rows"] |= {"read": 7196, "train": 5402, "dev": 891, "test": 900}
    results["data"] |= {
        "kind": "numbers",
        "labels": None,
        "counts": None,
        "text": ["first", "second"],
        "label": "score",
    }
    results["verdict"] = (
        "minilm wins: its numbers follow the true ones with a correlation of 0.860, 0.340 ± 0.05 above tfidf."
    )
    for place, row in enumerate(results["disagreements"]):
        row |= {
            "pair": "A second text to compare with the first one.",
            "truth": 1.25 * place,
            "predictions": {one["name"]: draw.uniform(0, 5) for one in contenders},
            "probabilities": None,
        }
    return results


EXAMPLES: dict[str, Callable[[], Results]] = {
    each.__name__: each
    for each in (
        classes,
        no_difference,
        one_failed,
        all_failed,
        twelve_contenders,
        forty_classes,
        long_names,
        hostile,
        missing_numbers,
        numbers,
    )
}
