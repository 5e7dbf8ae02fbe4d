"""I gave BERT a causal mask, and its first hidden state still changes when the last word changes. Why?

Repeats the experiment. A model that is built from a config is in training mode: dropout draws anew in every call, and
the same sentence changes as much; in eval mode nothing changes. Prints how far the first state moves, for Sightline's
BERT and, where transformers is installed, for its BERT: from a config, and when the flag `is_decoder` is flipped after
construction, under each kernel. Raises where the reason is another one than dropout.
"""

import importlib.util

import torch

import sightline as sl

ONE, OTHER = torch.tensor([[2, 11, 12, 13, 14, 3]]), torch.tensor([[2, 11, 12, 13, 99, 3]])  # another last word
SIZES = {"width": 64, "layers": 2, "attention_heads": 2, "inner": 128}


@torch.no_grad()
def moves(model: torch.nn.Module) -> tuple[float, float]:
    """How far the first hidden state moves with another last word, and when the same words come again."""
    first = [model(ids).last_hidden_state[0, 0] for ids in (ONE, OTHER, ONE)]
    return float((first[0] - first[1]).abs().max()), float((first[0] - first[2]).abs().max())


def show(what: str, found: tuple[float, float]) -> tuple[float, float]:
    print(f"  {what:42} {found[0]:20.4f} {found[1]:20.4f}")
    return found


def ours() -> None:
    print(f"Sightline's BERT, new weights{'another last word':>36}{'the same words again':>21}")
    bert = sl.build("bert", "tiny", vocabulary=100, seed=0, **SIZES)
    causal = bert.with_mask(sl.Causal())
    show("bidirectional, eval mode", moves(bert))
    still = show("causal, eval mode", moves(causal))
    bert.train()  # what building from a config leaves a model in elsewhere; views share the network
    noise = show("causal, training mode, dropout 0.1", moves(causal))
    sure = sl.build("bert", "tiny", vocabulary=100, seed=0, dropout=0.0, attention_dropout=0.0, **SIZES).train()
    none = show("causal, training mode, dropout 0", moves(sure.with_mask(sl.Causal())))
    if still != (0, 0) or none != (0, 0) or min(noise) == 0:
        raise SystemExit("it is not dropout alone: something leaks")


def theirs() -> None:
    if importlib.util.find_spec("transformers") is None:
        print("transformers is not installed: its part is skipped")
        return
    import transformers

    def bert(kernel: str, is_decoder: bool) -> torch.nn.Module:
        names = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 128}
        config = transformers.BertConfig(vocab_size=100, is_decoder=is_decoder, attn_implementation=kernel, **names)
        return transformers.BertModel(config, add_pooling_layer=False)

    print(f"BertModel of transformers {transformers.__version__}, new weights")
    for kernel in ("eager", "sdpa"):
        model = bert(kernel, is_decoder=True)
        show(f"{kernel}: is_decoder=True, as it was built", moves(model))
        for flag in (True, False):
            model = bert(kernel, is_decoder=flag).eval()
            show(f"{kernel}: is_decoder={flag}, eval mode", moves(model))
            model.config.is_decoder = not flag
            show(f"{kernel}:   then flipped to {not flag}", moves(model))


if __name__ == "__main__":
    torch.manual_seed(0)
    ours()
    theirs()
