"""Judging a model on the development set: loss, WER and CER by greedy decoding, in float32."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from asr.cmvn import speaker_key
from asr.decode.greedy import greedy
from asr.decode.hypothesis import unfit
from asr.model.acoustic import AcousticModel
from asr.model.ctc import ctc_loss
from asr.score.align import texts_wer
from asr.tokens import BLANK, Tokenizer
from asr.train.load import plain_batches
from asr.train.select import Selected


class Development:
    """The development set; what of it cannot be read or decoded counts as deletions and is named in ``failed``.

    Args:
        selected: its utterances.
        tokenizer: of the model.
        statistics: speaker → mean and standard deviation, shape (2, F), for per-speaker normalisation; else empty.
        batch_seconds: most padded audio at once [s].
    """

    def __init__(
        self, selected: Sequence[Selected], tokenizer: Tokenizer, statistics: dict[str, Tensor], batch_seconds: float
    ) -> None:
        self.selected = selected
        self.tokenizer = tokenizer
        self.statistics = statistics
        self.batch_seconds = batch_seconds
        self.failed: dict[str, str] = {}

    @torch.inference_mode()
    def judge(self, model: AcousticModel) -> dict[str, float]:
        """``dev_loss`` [nats a label], ``dev_wer`` and ``dev_cer`` [%] of a model, which is left in evaluation mode.

        By CTC alone, also where an attention decoder is trained beside it, so that epochs and models can be compared.
        A model of phones is judged by its phones against the usual pronunciations: ``dev_wer`` is a phone error rate.
        """
        model.eval()
        self.failed = {}
        device = next(model.parameters()).device
        loss, labels = 0.0, 0
        texts: dict[int, str] = {}
        for batch in plain_batches(self.selected, self.batch_seconds, model.config.features.rate):
            self.failed |= batch.failed
            if not batch.items:
                continue
            chosen = [self.selected[item.utterance] for item in batch.items]
            statistics = None
            if self.statistics:
                statistics = torch.stack([self.statistics[speaker_key(one.utterance)] for one in chosen]).to(device)
            features, frames = model.features(*batch.padded(device), statistics)
            log_probs, lengths = model(features, frames)
            losses = ctc_loss(log_probs, lengths, [one.labels for one in chosen])
            loss += losses[torch.isfinite(losses)].sum().item()  # a loss curve may lack one; the WER counts it
            labels += sum(len(one.labels) for one in chosen)
            for item, row, length in zip(batch.items, log_probs.cpu().numpy(), lengths.tolist(), strict=True):
                name, reason = self.selected[item.utterance].utterance.id, unfit(row[:length])
                if reason:
                    self.failed[name] = f"{name}: {reason}"
                    continue
                hypothesis = greedy(row[:length], BLANK, self.tokenizer, model.frame_seconds)
                texts[item.utterance] = hypothesis.text
        # Without a lexicon phones make no words: the rate is then one of phones.
        phones = self.tokenizer.kind == "phone"
        references = [self.tokenizer.decode(one.labels) if phones else one.utterance.text for one in self.selected]
        words, characters = texts_wer(references, [texts.get(index, "") for index in range(len(references))])
        return {
            "dev_loss": loss / max(labels, 1),
            "dev_wer": 100 * (words.rate or 0.0),
            "dev_cer": 100 * (characters.rate or 0.0),
        }
