"""Transcripts as phones: which words the dictionary says, which the grapheme-to-phoneme model, and which nobody."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from asr.config import TokenConfig
from asr.errors import AsrError
from asr.manifest import Utterance
from asr.phones.lexicon import phone_tokenizer, pronounce_for, shares
from asr.tokens import Tokenizer

_NAMED = 20


def make_phones(
    config: TokenConfig, train: Sequence[Utterance], dev: Sequence[Utterance]
) -> tuple[Tokenizer, dict[str, Any]]:
    """The phones of the dictionary with the lexicon of both sets' words, and how many words it lacks.

    Prints those shares, and a sentence for each word without a pronunciation; the utterances that hold one are left
    out by `asr.train.select`.

    Returns:
        The tokenizer, and ``pronunciations``: the shares in train and in dev [%], see `asr.phones.lexicon.shares`.

    Raises:
        AsrError: a dictionary or model that cannot be used, or that pronounces no word of train.
    """
    texts = {"train": [one.text for one in train], "dev": [one.text for one in dev]}
    pronounced = pronounce_for(config, (word for part in texts.values() for text in part for word in text.split()))
    if not any(word in pronounced.words for text in texts["train"] for word in text.split()):
        raise AsrError(f"train: no word of its transcripts has a pronunciation in {config.dictionary}")
    for reason in list(pronounced.missing.values())[:_NAMED]:
        print(f"no pronunciation: {reason}", flush=True)
    if len(pronounced.missing) > _NAMED:
        print(f"no pronunciation: {len(pronounced.missing) - _NAMED} more words", flush=True)
    found = {name: shares(pronounced, part) for name, part in texts.items()}
    for name, one in found.items():
        print(
            f"{name}: by the grapheme-to-phoneme model {one['g2p_words']:.2f} % of its words, "
            f"{one['g2p_running_words']:.2f} % of its running words; without a pronunciation "
            f"{one['missing_words']:.2f} % and {one['missing_running_words']:.2f} %",
            flush=True,
        )
    print("dev PER is over phones, against the first pronunciation; words come of asr decode --lexicon", flush=True)
    return phone_tokenizer(pronounced), {"pronunciations": found}
