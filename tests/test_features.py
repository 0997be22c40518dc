"""The front end against Kaldi's own code, against exact arithmetic, and against itself in other batches and pieces."""

from __future__ import annotations

import kaldi_native_fbank
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor
from torchaudio.compliance import kaldi

from asr import features as module
from asr.audio import read_audio
from asr.config import FeatureConfig
from asr.errors import AsrError, UsageError
from asr.features import DEVIATION_FLOOR, Features, delta_filters, estimate_cmvn
from tests.corpora import corpus_folder

TOLERANCE = 1e-3  # natural logarithm
# Of a band 1e-7 (16.1) below the frame's strongest float32 leaves little: there two right answers may differ by more.
FLOAT32_RANGE = 16.0


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def front_end(**options: object) -> Features:
    return Features(FeatureConfig(**{"cmvn": "none", **options})).eval()


def extract(features: Features, samples: np.ndarray | Tensor) -> Tensor:
    """One utterance alone: (samples,) → (T, F)."""
    waveform = torch.as_tensor(samples)
    return features(waveform[None], torch.tensor([len(waveform)]))[0][0]


def native(samples: np.ndarray, config: FeatureConfig) -> Tensor:
    """The same from kaldi-native-fbank, (T, F); MFCC with its defaults, which are Kaldi's: the energy comes first."""
    options = kaldi_native_fbank.FbankOptions() if config.kind == "fbank" else kaldi_native_fbank.MfccOptions()
    options.frame_opts.samp_freq = config.rate
    options.frame_opts.dither = 0
    options.frame_opts.frame_length_ms = config.frame_length
    options.frame_opts.frame_shift_ms = config.frame_shift
    options.frame_opts.preemph_coeff = config.preemphasis
    options.frame_opts.snip_edges = config.snip_edges
    options.mel_opts.num_bins = config.mels
    options.mel_opts.low_freq = config.low_frequency
    options.mel_opts.high_freq = config.high_frequency
    if config.kind == "fbank":
        extractor = kaldi_native_fbank.OnlineFbank(options)
    else:
        options.num_ceps = config.cepstra
        extractor = kaldi_native_fbank.OnlineMfcc(options)
    extractor.accept_waveform(config.rate, samples * 32768)
    extractor.input_finished()
    frames = [extractor.get_frame(frame) for frame in range(extractor.num_frames_ready)]
    return torch.from_numpy(np.stack(frames)) if frames else torch.zeros(0, config.dimension)


def exact(samples: np.ndarray, config: FeatureConfig) -> Tensor:
    """The filterbank in float64, frame by frame as Kaldi's papers write it; snip_edges only. (T, F)."""
    features = Features(config)
    size, shift, fft = features.frame_samples, features.shift_samples, features.fft
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / (size - 1))) ** 0.85
    edges = np.linspace(*(1127 * np.log(1 + np.array([20, config.rate / 2]) / 700)), config.mels + 2)
    mel = 1127 * np.log(1 + np.arange(fft // 2) * config.rate / fft / 700)
    bank = np.stack([np.interp(mel, edges[band : band + 3], [0, 1, 0]) for band in range(config.mels)])
    rows = []
    for begin in range(0, len(samples) - size + 1, shift):
        frame = samples[begin : begin + size].astype(np.float64) * 32768
        frame -= frame.mean()
        frame = frame - config.preemphasis * np.concatenate([frame[:1], frame[:-1]])
        power = np.abs(np.fft.rfft(frame * window, fft))[: fft // 2] ** 2
        rows.append(np.log(np.maximum(bank @ power, np.finfo(np.float32).eps)))
    return torch.from_numpy(np.array(rows))


def noise(length: int, seed: int = 0) -> Tensor:
    return 0.1 * torch.randn(length, generator=torch.Generator().manual_seed(seed))


def real_speech(corpus: str, count: int) -> tuple[list[np.ndarray], int]:
    where, rate = {
        "an4": ("wav/an4test_clstk", 16000),
        "free-spoken-digit-dataset": ("recordings", 8000),
        "waves_yesno": ("", 8000),
    }[corpus]
    paths = sorted(path for path in (corpus_folder(corpus) / where).rglob("*") if path.suffix in (".sph", ".wav"))
    return [read_audio(path, rate) for path in paths[:: max(1, len(paths) // count)]], rate


@pytest.mark.parametrize("snip_edges", [True, False])
@pytest.mark.parametrize("corpus", ["an4", "free-spoken-digit-dataset", "waves_yesno"])
def test_filterbank_equals_kaldi_on_real_speech(corpus: str, snip_edges: bool) -> None:
    utterances, rate = real_speech(corpus, 20)
    features = front_end(rate=rate, mels=80 if rate == 16000 else 40, snip_edges=snip_edges)
    differences, depths = [], []
    for samples in utterances:
        ours, theirs = extract(features, samples), native(samples, features.config)
        assert ours.shape == theirs.shape
        differences.append((ours - theirs).abs())
        depths.append(theirs.max(1, keepdim=True).values - theirs)
    difference, audible = torch.cat(differences), torch.cat(depths) < FLOAT32_RANGE
    assert audible.float().mean() > 0.99
    assert difference[audible].max() < TOLERANCE
    assert (difference < TOLERANCE).float().mean() > 0.9999


@pytest.mark.parametrize("snip_edges", [True, False])
@pytest.mark.parametrize("corpus", ["an4", "free-spoken-digit-dataset", "waves_yesno"])
def test_mfcc_equals_kaldi_on_real_speech(corpus: str, snip_edges: bool) -> None:
    utterances, rate = real_speech(corpus, 20)
    features = front_end(kind="mfcc", rate=rate, mels=23, snip_edges=snip_edges)
    for samples in utterances:
        ours, theirs = extract(features, samples), native(samples, features.config)
        assert ours.shape == theirs.shape
        assert (ours - theirs).abs().max() < TOLERANCE


def test_filterbank_is_as_near_to_exact_arithmetic_as_kaldi() -> None:
    utterances, rate = real_speech("an4", 10)
    features = front_end(rate=rate)
    ours, theirs = [], []
    for samples in utterances:
        truth = exact(samples, features.config)
        ours.append(extract(features, samples) - truth)
        theirs.append(native(samples, features.config) - truth)
    for share in (0.5, 0.99):
        assert torch.cat(ours).abs().quantile(share) <= torch.cat(theirs).abs().quantile(share)


@pytest.mark.parametrize("kind", ["fbank", "mfcc"])
@pytest.mark.parametrize("snip_edges", [True, False])
def test_equals_torchaudio(kind: str, snip_edges: bool) -> None:
    features = front_end(kind=kind, mels=40, snip_edges=snip_edges)
    waveform = noise(16123)
    common = {"num_mel_bins": 40, "sample_frequency": 16000.0, "snip_edges": snip_edges, "dither": 0.0}
    if kind == "fbank":
        theirs = kaldi.fbank(waveform[None] * 32768, energy_floor=0.0, **common)
    else:
        theirs = kaldi.mfcc(waveform[None] * 32768, energy_floor=0.0, use_energy=True, num_ceps=13, **common)
    torch.testing.assert_close(extract(features, waveform), theirs, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize(
    "options",
    [
        {"rate": 11025, "mels": 30},
        {"rate": 44100, "mels": 80, "frame_length": 20.0, "frame_shift": 7.5},
        {"rate": 8000, "mels": 23, "low_frequency": 100.0, "high_frequency": -200.0, "preemphasis": 0.0},
        {"rate": 48000, "mels": 64, "high_frequency": 7600.0, "preemphasis": 1.0},
    ],
)
def test_options_mean_what_kaldi_means(options: dict[str, object]) -> None:
    features = front_end(**options)
    samples = noise(features.config.rate // 2).numpy()
    torch.testing.assert_close(extract(features, samples), native(samples, features.config), atol=TOLERANCE, rtol=0)


@settings(deadline=None, max_examples=60)
@given(samples=st.integers(0, 3000), snip_edges=st.booleans(), shift=st.sampled_from([2.5, 10.0, 30.0]))
def test_number_of_frames_is_known_beforehand(samples: int, snip_edges: bool, shift: float) -> None:
    features = front_end(rate=8000, mels=20, snip_edges=snip_edges, frame_shift=shift)
    waveform = noise(samples)
    output, frames = features(waveform[None], torch.tensor([samples]))
    assert output.shape == (1, features.frames(samples), 20)
    assert frames.tolist() == [features.frames(samples)]
    assert len(native(waveform.numpy(), features.config)) == features.frames(samples) if samples else True
    assert output.isfinite().all()


@settings(deadline=None, max_examples=60)
@given(
    lengths=st.lists(st.integers(0, 6000), min_size=1, max_size=5),
    snip_edges=st.booleans(),
    kind=st.sampled_from(["fbank", "mfcc"]),
    deltas=st.sampled_from([0, 1, 2]),
    cmvn=st.sampled_from(["none", "utterance", "global", "speaker"]),
    floor=st.sampled_from([None, 20.0]),
    padding=st.integers(0, 3000),
)
def test_padding_changes_nothing(
    lengths: list[int], snip_edges: bool, kind: str, deltas: int, cmvn: str, floor: float | None, padding: int
) -> None:
    floor = floor if kind == "fbank" else None
    features = front_end(rate=8000, mels=20, kind=kind, snip_edges=snip_edges, deltas=deltas, cmvn=cmvn, floor=floor)
    if cmvn == "global":
        features.set_global(torch.linspace(-1, 9, features.dimension), torch.linspace(0.3, 3, features.dimension))
    statistics = torch.rand(len(lengths), 2, features.dimension) + 0.5 if cmvn == "speaker" else None
    waveforms = torch.full((len(lengths), max(lengths) + padding), float("nan"))
    for row, length in enumerate(lengths):
        waveforms[row, :length] = noise(length, row)
    together, frames = features(waveforms, torch.tensor(lengths), statistics)
    assert frames.tolist() == [features.frames(length) for length in lengths]
    for row, length in enumerate(lengths):
        own = None if statistics is None else statistics[row : row + 1]
        alone, _ = features(waveforms[row : row + 1, :length], torch.tensor([length]), own)
        assert torch.equal(together[row, : frames[row]], alone[0])
        assert not together[row, frames[row] :].any()


@pytest.mark.parametrize("snip_edges", [True, False])
@pytest.mark.parametrize("kind", ["fbank", "mfcc"])
def test_pieces_equal_the_whole(monkeypatch: pytest.MonkeyPatch, kind: str, snip_edges: bool) -> None:
    features = front_end(kind=kind, snip_edges=snip_edges, deltas=1)
    waveform = noise(16000 * 3 + 77)
    whole = extract(features, waveform)
    for seconds in (0.01, 0.37, 1.0):
        monkeypatch.setattr(module, "PIECE_SECONDS", seconds)
        torch.testing.assert_close(extract(features, waveform), whole, atol=1e-4, rtol=0)


@settings(deadline=None, max_examples=40)
@given(
    lengths=st.lists(st.integers(0, 5000), min_size=1, max_size=4),
    snip_edges=st.booleans(),
    kind=st.sampled_from(["fbank", "mfcc"]),
)
def test_the_batch_at_once_equals_one_by_one(lengths: list[int], snip_edges: bool, kind: str) -> None:
    """What runs on CUDA, on the CPU."""
    features = front_end(rate=8000, mels=20, kind=kind, snip_edges=snip_edges)
    waveforms = torch.stack([noise(max(lengths), row) for row in range(len(lengths))])
    expected, frames = features(waveforms, torch.tensor(lengths))
    at_once = features._batched(waveforms, torch.tensor(lengths), int(frames.max()))
    assert at_once.shape == expected.shape
    for row, count in enumerate(frames.tolist()):
        torch.testing.assert_close(at_once[row, :count], expected[row, :count], atol=1e-4, rtol=1e-5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_equals_cpu() -> None:
    lengths = torch.tensor([16000, 300, 40123])
    waveforms = torch.stack([noise(40123, row) for row in range(3)])
    features = front_end(deltas=2, cmvn="utterance", snip_edges=False, floor=20.0)
    expected, frames = features(waveforms, lengths)
    output, on_device = features.cuda()(waveforms.cuda(), lengths.cuda())
    assert torch.equal(on_device.cpu(), frames)
    torch.testing.assert_close(output.cpu(), expected, atol=1e-3, rtol=0)


def test_offset_and_silence() -> None:
    features = front_end()
    waveform = noise(8000)
    torch.testing.assert_close(extract(features, waveform + 0.25), extract(features, waveform), atol=1e-2, rtol=0)
    floor = float(np.log(np.finfo(np.float32).eps))
    for silence in (torch.zeros(8000), torch.full((8000,), 0.5)):
        torch.testing.assert_close(extract(features, silence), torch.full((48, 80), floor))


def test_loudness_moves_every_band_alike() -> None:
    features = front_end()
    waveform = noise(8000)
    louder = extract(features, waveform * 4)
    torch.testing.assert_close(louder - extract(features, waveform), torch.full((48, 80), float(np.log(16))))


def test_deltas_are_kaldis() -> None:
    """Against Kaldi's DeltaFeatures::Process, written out: filter of the filter, indices held at the ends."""
    features = front_end(mels=20, deltas=2)
    static = extract(front_end(mels=20), waveform := noise(4000)).double()
    ramp = np.array([-2, -1, 0, 1, 2]) / 10
    scales = [ramp, np.convolve(ramp, ramp)]
    last = len(static) - 1
    for order, scale in enumerate(scales, start=1):
        reach = len(scale) // 2
        expected = torch.stack(
            [
                sum(
                    float(scale[reach + shift]) * static[min(max(t + shift, 0), last)]
                    for shift in range(-reach, reach + 1)
                )
                for t in range(last + 1)
            ]
        )
        ours = extract(features, waveform)[:, 20 * order : 20 * (order + 1)]
        torch.testing.assert_close(ours, expected.float(), atol=1e-5, rtol=0)
        np.testing.assert_allclose(delta_filters(2)[order - 1].numpy(), scale)


def test_autocast_and_bfloat16_models_change_nothing() -> None:
    features = front_end(kind="mfcc", mels=40, cmvn="utterance", deltas=1)
    waveform = noise(16000)
    expected = extract(features, waveform)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(extract(features, waveform), expected)
    features.to(torch.bfloat16)
    assert torch.equal(extract(features, waveform), expected)
    assert expected.dtype == torch.float32


def test_a_floor_adds_to_every_band_what_lies_so_far_below_its_mean() -> None:
    waveform = noise(16000) * torch.linspace(0, 1, 16000) ** 4
    plain, lifted = extract(front_end(), waveform).double(), extract(front_end(floor=13.0), waveform).double()
    expected = (plain.exp() + 10**-1.3 * plain.exp().mean(0)).log()
    torch.testing.assert_close(lifted, expected, atol=1e-5, rtol=0)
    assert extract(front_end(floor=13.0, deltas=1), waveform)[:, :80].equal(lifted.float())


def test_a_floor_drowns_what_one_microphone_hears_more_than_another() -> None:
    speech = torch.zeros(16000)
    speech[8000:] = noise(8000)
    faint, hiss = (speech + level * noise(16000, 1) for level in (1e-4, 1e-2))
    apart, lifted = (
        (extract(front_end(floor=floor), faint) - extract(front_end(floor=floor), hiss)).abs().max()
        for floor in (None, 20.0)
    )
    assert apart > 8
    assert lifted < apart / 20


def test_cepstra_have_no_floor() -> None:
    with pytest.raises(ValidationError, match="floor is a power of mel bands, and kind=mfcc has none"):
        FeatureConfig(kind="mfcc", floor=20.0)


def test_utterance_normalisation() -> None:
    features = front_end(cmvn="utterance")
    lengths = torch.tensor([16000, 9000, 400])
    output, frames = features(torch.stack([noise(16000, row) for row in range(3)]), lengths)
    for one, count in zip(output, frames.tolist(), strict=True):
        assert one[:count].mean(0).abs().max() < 1e-5
    for one, count in zip(output[:2], frames.tolist(), strict=False):
        torch.testing.assert_close(one[:count].square().mean(0), torch.ones(80), atol=1e-4, rtol=0)
    assert not output[2].any()  # one frame is its own mean


def test_silence_stays_silent_when_normalised() -> None:
    assert extract(front_end(cmvn="utterance"), torch.zeros(16000)).abs().max() < 1e-3


def test_global_statistics_normalise_and_are_saved() -> None:
    features, raw = front_end(cmvn="global"), front_end()
    utterances = [noise(length, length) for length in (8000, 12345, 16000)]
    with pytest.raises(AsrError, match="no mean and deviation"):
        extract(features, utterances[0])
    mean, std = estimate_cmvn(extract(raw, one) for one in utterances)
    frames = torch.cat([extract(raw, one) for one in utterances]).double()
    torch.testing.assert_close(mean, frames.mean(0).float())
    torch.testing.assert_close(std, frames.std(0, correction=0).float())
    features.set_global(mean, std)
    normalised = torch.cat([extract(features, one) for one in utterances])
    torch.testing.assert_close(normalised.mean(0), torch.zeros(80), atol=1e-4, rtol=0)
    torch.testing.assert_close(normalised.std(0, correction=0), torch.ones(80), atol=1e-4, rtol=0)
    assert set(features.state_dict()) == {"mean", "std"}
    loaded = front_end(cmvn="global")
    loaded.load_state_dict(features.state_dict())
    assert torch.equal(extract(loaded, utterances[0]), extract(features, utterances[0]))


def test_statistics_of_a_band_that_never_changes() -> None:
    mean, std = estimate_cmvn([torch.full((5, 3), -15.9), torch.full((7, 3), -15.9), torch.zeros(0, 3)])
    torch.testing.assert_close(mean, torch.full((3,), -15.9))
    torch.testing.assert_close(std, torch.full((3,), DEVIATION_FLOOR))
    with pytest.raises(AsrError, match="not one frame"):
        estimate_cmvn([torch.zeros(0, 3)])


def test_speaker_statistics_are_each_utterances_own() -> None:
    features = front_end(cmvn="speaker", mels=20)
    waveforms, lengths = torch.stack([noise(4000, 0), noise(4000, 1)]), torch.tensor([4000, 3000])
    raw, frames = features.raw(waveforms, lengths)
    statistics = torch.stack(
        [torch.stack(estimate_cmvn([one[:count]])) for one, count in zip(raw, frames, strict=True)]
    )
    output, _ = features(waveforms, lengths, statistics)
    torch.testing.assert_close(
        output, front_end(cmvn="utterance", mels=20)(waveforms, lengths)[0], atol=1e-4, rtol=1e-4
    )
    with pytest.raises(AsrError, match="normalises by speaker"):
        features(waveforms, lengths)


def test_dither_is_for_training_and_from_its_generator() -> None:
    features = front_end(dither=1.0)
    waveform, lengths = torch.zeros(1, 16000), torch.tensor([16000])
    assert torch.equal(features(waveform, lengths)[0], front_end()(waveform, lengths)[0])
    features.train()
    first, second, other = (
        features(waveform, lengths, generator=torch.Generator().manual_seed(seed))[0] for seed in (1, 1, 2)
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    white = front_end()(noise(16000)[None] * 10 / 32768, lengths)[0]  # of the same standard deviation, 1 on 16 bits
    assert abs(float(first.mean() - white.mean())) < 0.1


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"rate": 8000, "mels": 256}, "at most"),
        ({"frame_length": 0.05}, "a frame of 0.05 ms has 0 samples"),
        ({"frame_shift": 0.01}, "its shift of 0.01 ms 0"),
    ],
)
def test_impossible_options_get_a_sentence(options: dict[str, object], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        front_end(**options)


def test_the_advised_number_of_bands_is_accepted() -> None:
    with pytest.raises(UsageError) as refused:
        front_end(rate=8000, mels=200)
    fits = int(str(refused.value).split("at most ")[1].split()[0])
    front_end(rate=8000, mels=fits)


def test_wrong_shapes_are_refused() -> None:
    features = front_end(cmvn="global")
    with pytest.raises(ValueError, match=r"\(16000,\)"):
        features.raw(torch.zeros(16000), torch.tensor([16000]))
    with pytest.raises(ValueError, match="lengths must lie"):
        features.raw(torch.zeros(1, 100), torch.tensor([101]))
    with pytest.raises(ValueError, match=r"\(80,\)"):
        features.set_global(torch.zeros(13), torch.ones(13))
    with pytest.raises(ValueError, match="positive"):
        features.set_global(torch.zeros(80), torch.zeros(80))
    with pytest.raises(ValueError, match="'speaker' alone"):
        features.normalise(torch.zeros(1, 5, 80), torch.tensor([5]), torch.ones(1, 2, 80))


def test_an_empty_batch() -> None:
    output, frames = front_end(deltas=1)(torch.zeros(0, 100), torch.zeros(0, dtype=torch.int64))
    assert output.shape == (0, 0, 160)
    assert frames.shape == (0,)
