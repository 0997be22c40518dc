"""Spellings that meet, and words that no rule may touch."""

from __future__ import annotations

import pytest

from asr.spelling import one_spelling
from tests.corpora import corpus_folder

_PAIRS = """
color colour, colored coloured, favorite favourite, neighborhood neighbourhood, unfavorable unfavourable, labor labour,
behavioral behavioural, honorable honourable, armory armoury, center centre, centered centred, theaters theatres,
fiber fibre, meters metres, maneuver manoeuvre, maneuvering manoeuvring, traveled travelled, modeling modelling,
counselors counsellors, jewelry jewellery, worshiped worshipped, fulfill fulfil, enrollment enrolment, skillful skilful,
willfully wilfully, realize realise, organization organisation, emphasized emphasised, analyze analyse,
paralyzing paralysing, defense defence, license licence, practise practice, catalog catalogue, cataloged catalogued,
dialogs dialogues, judgment judgement, gray grey, plow plough, mold mould, smoldering smouldering, mustache moustache,
pajamas pyjamas, skeptical sceptical, sulfur sulphur, artifacts artefacts, cozy cosy, anesthesia anaesthesia,
pediatrician paediatrician, encyclopedia encyclopaedia, fetus foetus, hemoglobin haemoglobin, leukemia leukaemia,
estrogen oestrogen, archeology archaeology, program programme, jail gaol
"""
_ALONE = """
size sized sizes resize capsized downsizing prize prizes seize seized seizing maize citizen horizon bizarre wizard
error mirror terror horror doctor actor author minor major laboratory humorous vigorous honorary elaborate
her other water after paper number letter enter fiberless control controlled fulfilled patrolled excelled
sense expense license's tense prologue log blog molecule molest motto ploy sulk coze hem theme
check tire story curb draft aluminum learnt toward whisky
"""


def _pairs() -> list[tuple[str, str]]:
    return [(one, other) for one, other in (pair.split() for pair in _PAIRS.split(","))]


@pytest.mark.parametrize(("one", "other"), _pairs())
def test_spellings_meet(one: str, other: str) -> None:
    assert one_spelling(one) == one_spelling(other) == one_spelling(one_spelling(one))


@pytest.mark.parametrize("word", _ALONE.split())
def test_other_words_stay(word: str) -> None:
    assert one_spelling(word) == word


def test_stable_over_the_words_of_a_dictionary() -> None:
    lines = corpus_folder("cmudict").read_text(encoding="latin-1").splitlines()
    words = {line.split()[0].lower() for line in lines[::8] if line[:1].isalpha()}
    changed = {word: spelling for word in words if (spelling := one_spelling(word)) != word}
    assert 50 < len(changed) < 400
    assert not [word for word, other in changed.items() if one_spelling(other) != other]
