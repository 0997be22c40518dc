from __future__ import annotations

import json
import math
from pathlib import Path

from asr.decode.hypothesis import Hypothesis, Word
from asr.decode.run import hypothesis_lines
from asr.manifest import Utterance


def test_lines_are_json_in_the_manifests_order_whatever_became_of_them() -> None:
    utterances = [Utterance(name, Path("x.wav"), 1.0, "one") for name in ("c", "a", "b")]
    word = Word("one", 0.1, 0.4, 0.9)
    hypotheses = {"a": Hypothesis("one", [word], -2.5), "c": Hypothesis("", [], -math.inf)}
    lines = hypothesis_lines(utterances, hypotheses, {"b": "b.wav: the file is empty"})
    assert json.loads(json.dumps(lines, allow_nan=False)) == [
        {"id": "c", "text": "", "words": [], "score": None},
        {
            "id": "a",
            "text": "one",
            "words": [{"word": "one", "start": 0.1, "end": 0.4, "confidence": 0.9}],
            "score": -2.5,
        },
        {"id": "b", "error": "b.wav: the file is empty"},
    ]
