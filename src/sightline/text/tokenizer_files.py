"""A tokenizer's folder, read and written in the Hugging Face layout."""

import json
from functools import partial
from pathlib import Path

import tokenizers
from tokenizers import AddedToken, processors

from sightline.core.files import replace_files
from sightline.errors import CheckpointError
from sightline.text.pipelines import UNKNOWN, Family
from sightline.text.special import ROLES
from sightline.text.tokenizer import Tokenizer
from sightline.text.tokenizer_families import BY_MODEL_TYPE, names_of
from sightline.text.tokenizer_settings import Settings, build_from, read_settings
from sightline.text.vocabulary_files import open_backend

SENTENCEPIECE = "spiece.model"


def _add_tokens(backend: tokenizers.Tokenizer, settings: Settings, path: Path) -> None:
    """Register the tokens that the files list beside the vocabulary, with their flags."""
    for id, token in settings.added.items():
        is_new = backend.token_to_id(token.content) is None
        backend.add_tokens([token])
        if is_new and (got := backend.token_to_id(token.content)) != id:
            raise CheckpointError(
                f"{settings.added_path} gives {token.content!r} the id {id}, but after {path.name} the next is {got}; "
                "the two files belong to different tokenizers"
            )
    known = {token.content for token in backend.get_added_tokens_decoder().values()}
    for stated in [*settings.roles.values(), *settings.extra]:
        if isinstance(stated, AddedToken) or (isinstance(stated, str) and stated not in known):
            backend.add_special_tokens([stated])


def _makes_types(backend: tokenizers.Tokenizer, settings: Settings, model_type: str | None, family: Family) -> bool:
    """Whether the model takes `token_type_ids`: as its family, else its files, else its handling of pairs says."""
    of_model = BY_MODEL_TYPE.get(model_type or "")
    if of_model is not None and not of_model.makes_types:
        return False
    inputs = settings.config.get("model_input_names")
    if isinstance(inputs, list):
        return "token_type_ids" in inputs
    if family is not UNKNOWN or isinstance(backend.post_processor, processors.ByteLevel | None):
        return family.makes_types
    return any(backend.encode("a", "a").type_ids)


def load_tokenizer(folder: Path, *, model_type: str | None = None) -> Tokenizer:
    """The tokenizer of a checkpoint's folder.

    `model_type`, as in `config.json`, decides what the files leave open: RoBERTa puts a text between `<s>` and `</s>`,
    GPT-2 adds nothing. Padding and cutting that `tokenizer.json` prescribes are ignored: `Tokenizer` does both itself.

    Raises `CheckpointError` for missing or damaged files, naming the file, and `UnsupportedError` for a kind of
    tokenizer that is not read.

    >>> load_tokenizer(Path("bert-base-uncased"), model_type="bert")("some text").input_ids
    """
    settings = read_settings(folder)
    opened = open_backend(folder, settings, model_type)
    path, backend, family = opened.path, opened.backend, opened.family
    _add_tokens(backend, settings, path)
    # Damage that reading did not notice, such as a lost [UNK], shows at the first text.
    build_from(path, lambda: (backend.encode("a"), backend.encode("a", "\N{SNOWMAN}")))
    return Tokenizer(
        backend,
        names=names_of(settings, family, backend.token_to_id),
        makes_types=_makes_types(backend, settings, model_type, family),
        max_length=settings.max_length,
        padding_side=family.padding_side,
        padding_type=family.padding_type,
        sentencepiece=opened.source,
    )


def contents(tokenizer: Tokenizer) -> dict[str, bytes]:
    """The files that a tokenizer is saved in, by name: `tokenizer.json`, `tokenizer_config.json`,
    `special_tokens_map.json`, and `spiece.model` for one that was made from a sentencepiece model.

    transformers' `AutoTokenizer` opens the folder and gives the same ids. It does so through its class that reads
    `tokenizer.json` as it is: a family's own class would build the steps anew, from defaults.
    """
    added = tokenizer.backend.get_added_tokens_decoder()
    names = tokenizer.special.names
    extra = [token.content for token in added.values() if token.special and token.content not in names.values()]
    flags = ("content", "single_word", "lstrip", "rstrip", "normalized", "special")
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_input_names": tokenizer.model_inputs,
        # Decoding is what tokenizer.json says, and nothing after it.
        "clean_up_tokenization_spaces": False,
        "model_max_length": tokenizer.max_length,
        **{f"{role}_token": names.get(role) for role in ROLES},
        "additional_special_tokens": extra,
        **({} if tokenizer.padding_side == "right" else {"padding_side": tokenizer.padding_side}),
        **({} if tokenizer.sentencepiece is None else tokenizer.sentencepiece.says),
        # With this list, readers pass over older files that may still lie in the folder.
        "added_tokens_decoder": {id: {flag: getattr(token, flag) for flag in flags} for id, token in added.items()},
    }
    roles = {f"{role}_token": token for role, token in names.items()}
    texts = {
        "tokenizer.json": tokenizer.backend.to_str(),
        "tokenizer_config.json": json.dumps(config, indent=2, ensure_ascii=False) + "\n",
        "special_tokens_map.json": json.dumps(roles, indent=2, ensure_ascii=False) + "\n",
    }
    source = {} if tokenizer.sentencepiece is None else {SENTENCEPIECE: tokenizer.sentencepiece.content}
    return {**{name: text.encode() for name, text in texts.items()}, **source}


def save_tokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    """Write a tokenizer's files into `folder`, made if need be; all or, where one cannot be written, none.

    Raises CheckpointError naming the file that could not be written.
    """
    writers = {name: partial(Path.write_bytes, data=content) for name, content in contents(tokenizer).items()}
    replace_files(folder, writers, remove_after={SENTENCEPIECE} - writers.keys())  # of another tokenizer
