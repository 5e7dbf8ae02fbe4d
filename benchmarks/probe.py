"""What probing costs: time and memory for 32 tokens on bert-base's shape, ours and transformers', by both methods.

python benchmarks/probe.py [--threads 2] [--only bert,gpt2,transformers]

Prints a table: each case in a process of its own, because the peak of memory is a process's. The longest inputs are
sampled, as `probe` says.
"""

import argparse
import os
import resource
import subprocess
import sys
import time

TOKENS = 32
CASES = {
    "bert": "ours, a BERT with its vocabulary head, bidirectional",
    "gpt2": "ours, a GPT-2, causal",
    "wrong": "ours, a GPT-2 of which it is expected to be bidirectional: every missing cell is looked for in float64",
    "transformers": "transformers' BertForMaskedLM",
    "long": "ours, a GPT-2, 256 tokens of which 64 are sampled",
}


def measure(case: str) -> str:
    """One row of the table."""
    import torch

    from sightline.model.build import build
    from sightline.probing.probe import probe

    sizes = {"vocabulary": 30522}
    tokens, expect = TOKENS, None
    if case == "transformers":
        import transformers

        torch.manual_seed(0)
        model, expect = transformers.BertForMaskedLM(transformers.BertConfig()).eval(), "bidirectional"
    else:
        model = build("bert" if case == "bert" else "gpt2", "base", **sizes)
        tokens, expect = 256 if case == "long" else TOKENS, "bidirectional" if case == "wrong" else None
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    ids = torch.randint(1000, 30000, (1, tokens), generator=torch.Generator().manual_seed(0))
    started, worked = time.perf_counter(), time.process_time()
    found = probe(model, ids, expect=expect)
    seconds, processor = time.perf_counter() - started, time.process_time() - worked
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    cells = (CASES[case], tokens, f"{seconds:.1f}", f"{processor:.1f}", f"{before:.2f}", f"{peak:.2f}", found.verdict())
    return f"| {' | '.join(map(str, cells))} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", default="2")
    parser.add_argument("--only", default=",".join(CASES))
    parser.add_argument("--case", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.case:
        print(measure(given.case), flush=True)
        return
    head = ("model", "tokens", "seconds", "processor seconds", "GB before", "GB at most", "found")
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}", flush=True)
    for case in given.only.split(","):
        environment = {**os.environ, "OMP_NUM_THREADS": given.threads}
        subprocess.run([sys.executable, __file__, "--case", case], check=True, env=environment)


if __name__ == "__main__":
    main()
