"""LibriSpeech: English audiobooks, 960 hours. 16 kHz FLAC, CC BY 4.0 (OpenSLR 12 and, for mini, 31)."""

from __future__ import annotations

from pathlib import Path

from asr.corpora.download import Archive
from asr.corpora.prepared import Prepared, locate
from asr.errors import AsrError, UsageError
from asr.files import read_text

# Utterances and checksum of each part as published.
_SUMS = {
    "dev-clean": (2703, "76f87d090650617fca0cac8f88b9416e0ebf80350acb97b343a85fa903728ab3"),
    "dev-other": (2864, "12661c48e8c3fe1de2c1caa4c3e135193bfb1811584f11f569dd12645aa84365"),
    "test-clean": (2620, "39fde525e59672dc6d1551919b1478f724438a95aa55f874b576be21967e6c23"),
    "test-other": (2939, "d09c181bba5cf717b3dee7d4d592af11a3ee3a09e08ae025c5506f6ebe961c29"),
    "train-clean-100": (28539, "d4ddd1d5a6ab303066f14971d768ee43278a5f2a0aa43dc716b0e64ecbbbf6e2"),
    "train-clean-360": (104014, "146a56496217e96c14334a160df97fffedd6e0a04e66b9c5af0d40be3c792ecf"),
    "train-other-500": (148688, "ddb22f27f96ec163645d53215559df6aa36515f26e01dd70798188350adcb6d2"),
}
# Utterances and bytes: the sample is published without checksums.
_SIZES = {"dev-clean-2": (1089, 126_046_265), "train-clean-5": (1519, 332_747_356)}
UTTERANCES = {part: count for part, (count, _) in (_SUMS | _SIZES).items()}


def _archive(part: str) -> Archive:
    number = 12 if part in _SUMS else 31
    return Archive(
        url=f"https://www.openslr.org/resources/{number}/{part}.tar.gz",
        creates=f"LibriSpeech/{part}",
        files={"*.flac": UTTERANCES[part]},
        sha256=_SUMS[part][1] if part in _SUMS else None,
        size=_SIZES[part][1] if part in _SIZES else None,
    )


# Each sample is drawn from the part behind it.
_SAMPLES = (("dev-clean-2", "dev-clean"), ("train-clean-5", "train-clean-100"))
_EVALUATION = ("dev-clean", "dev-other", "test-clean", "test-other")
PARTS: dict[str, tuple[str, ...]] = {
    "mini": ("dev-clean-2", "train-clean-5"),
    "100": (*_EVALUATION, "train-clean-100"),
    "960": (*_EVALUATION, "train-clean-100", "train-clean-360", "train-other-500"),
}


def _named(parts: str | None) -> list[str]:
    """A size of `PARTS`, or parts as published with commas between them."""
    names = PARTS.get(parts or "") or tuple((parts or "").split(","))
    if unknown := [name for name in names if name not in UTTERANCES]:
        seen = f", there is no {unknown[0]!r}" if unknown[0] else ""
        raise UsageError(f"librispeech needs --parts {'|'.join(PARTS)} or some of {','.join(UTTERANCES)}{seen}")
    return list(names)


def archives(parts: str | None) -> list[Archive]:
    """What to fetch: a size of `PARTS`, or parts as published with commas between them.

    Raises:
        UsageError: neither, or nothing was said.
    """
    return [_archive(name) for name in _named(parts)]


def prepare(source: Path, wanted: str | None = None) -> Prepared:
    """One set for each official part that is there, named as the part; transcripts upper case as published.

    With ``wanted``, a size of `PARTS` or parts with commas between them, these parts and no others.

    Raises:
        UsageError: ``wanted`` is neither.
        AsrError: no part is in ``source``, or not all of those wanted.
    """
    names = list(UTTERANCES) if wanted is None else _named(wanted)
    folder = locate(source, "LibriSpeech", "librispeech")
    parts = [part for part in names if (folder / part).is_dir()]
    if wanted is not None and (missing := [part for part in names if part not in parts]):
        get = f"asr data download librispeech --parts {','.join(missing)} --to {folder.parent}"
        raise AsrError(f"{folder}: holds no {', '.join(missing)}; get what is missing with: {get}")
    if not parts:
        raise AsrError(f"{folder}: holds none of the parts {', '.join(UTTERANCES)}")
    sharing = [pair for pair in _SAMPLES if set(pair) <= set(parts)]
    but = "".join(f" but {sample}, a sample of {whole}" for sample, whole in sharing)
    reason = f"by speaker: the publisher's parts, no speaker stands in two of them{but}"
    prepared = Prepared({part: [] for part in parts}, "speaker", reason, sharing)
    for part in parts:
        audio = {path.stem: path for path in (folder / part).rglob("*.flac")}
        for listing in sorted((folder / part).rglob("*.trans.txt")):
            for line in read_text(listing).splitlines():
                name, _, text = line.partition(" ")
                path = audio.pop(name, listing.parent / f"{name}.flac")
                prepared.add(part, name, path, text.strip(), speaker=name.partition("-")[0])
        if (seen := len(prepared.sets[part])) < UTTERANCES[part]:
            prepared.notes.append(f"{part}: {seen:,} of the publisher's {UTTERANCES[part]:,} utterances are here")
        prepared.faults += [f"{path}: has no line in a .trans.txt" for path in sorted(audio.values())]
    return prepared
