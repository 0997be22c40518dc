"""British and American spellings made one, so that scoring does not count them as errors.

Rules and lists of our own, British in nearly all; of the libraries on PyPI none is kept up. Words that are said
differently (aluminum, learnt, toward) are different words and stay. So do spellings that are a word of their own on the
other side (check, tire, story, curb). A word that no rule knows stays as it is.
"""

from __future__ import annotations

import re

# In compounds too: unfavorable, discolored, neighborhood. Not before -ous, -ary, -ation, which are spelled alike.
_OUR = (
    "arb ard arm behavi cand clam clang col demean endeav enam fav ferv flav glam harb hon hum lab neighb od "
    "parl ranc rig rum savi sav splend succ tum val vap vig"
).replace(" ", "|")
_OUR_ENDS = (
    "s ed ing ings er ers able ably ful fully less ite ites itism hood hoods ly liness some y ies al ally ism "
    "ist ee ees"
).replace(" ", "|")
_RE = (
    "amphitheat calib cent centimet epicent fib goit kilolit kilomet lit lust meag met micromet millilit "
    "millimet nanomet och reconnoit sab salpet saltpet scept sepulch somb spect theat tit"
).replace(" ", "|")
_DOUBLED = (
    "apparel barrel bedevil bevel bushel cancel carol channel chisel counsel cudgel dial dishevel dowel drivel "
    "duel enamel equal fuel funnel gambol gravel grovel imperil initial jewel kennel label laurel level libel "
    "marshal marvel medal metal model mislabel nickel outrival panel parcel pedal pencil peril pummel quarrel "
    "ravel refuel relabel remodel revel rival shovel shrivel signal snivel snorkel spiral squirrel stencil "
    "swivel tassel tinsel total towel travel trowel tunnel unravel weasel worship yodel"
).replace(" ", "|")
_ALIKE = {  # whole words
    "aging": "ageing",
    "ax": "axe",
    "czar": "tsar",
    "defenseless": "defenceless",
    "donut": "doughnut",
    "donuts": "doughnuts",
    "gaol": "jail",
    "jewelry": "jewellery",
    "marvelous": "marvellous",
    "marvelously": "marvellously",
    "medalist": "medallist",
    "medalists": "medallists",
    "omelet": "omelette",
    "omelets": "omelettes",
    "pajama": "pyjama",
    "pajamas": "pyjamas",
    "phoney": "phony",
    "programme": "program",
    "programmes": "programs",
    "woolen": "woollen",
    "woolens": "woollens",
    "yogurt": "yoghurt",
    "yogurts": "yoghurts",
}
# (what is looked for, what takes its place); the first that is found is done.
_RULES = tuple(
    (re.compile(pattern), spelling)
    for pattern, spelling in (
        (
            rf"^((?:be|bi|dis|mis|multi|off|out|re|tri|un|water)?(?:{_OUR}))or(?=(?:{_OUR_ENDS})?$)",
            r"\1our",
        ),
        (rf"^({_RE})er(s?)$", r"\1re\2"),
        (r"^(epi)?center(ed|ing)$", r"\1centr\2"),
        (r"^maneuver(s?)$", r"manoeuvre\1"),
        (r"^(out)?maneuver(ed|ing|able|ability)$", r"\1manoeuvr\2"),
        (rf"^({_DOUBLED})(?=(?:ed|ing|ings|er|ers|or|ors)$)", lambda found: found[1] + found[1][-1]),
        (r"^(fulfil|enrol|instal)l(?=ments?$)|^(fulfil|enrol|distil|instil|appal|enthral)l(?=s?$)", r"\1\2"),
        (r"^(un)?(skil|wil)l(?=ful)", r"\1\2"),
        # A word of its own with z: size, prize, seize, maize, and what is made of them.
        (
            r"^(?!(?:as|cap|down|man|mid|out|over|re|right|super|under|up)?siz|priz)(.+[^ae])"
            r"iz(?=(?:e|es|ed|er|ers|ing|ation|ations|ational|able)$)",
            r"\1is",
        ),
        (r"^(.+l)yz(?=(?:e|es|ed|er|ers|ing)$)", r"\1ys"),
        (r"^(def|off|pret)ense(s?)$", r"\1ence\2"),
        (r"^license(s?)$", r"licence\1"),
        (r"^practis(?=(?:e|es|ed|ing)$)", "practic"),
        (r"^(ana|cata|dia|epi|mono|pro|travel?o)log(s?)$", r"\1logue\2"),
        (r"^catalog(ed|er|ers|ing)$", r"catalogu\1"),
        (r"^(acknowled|abrid|jud|lod|misjud)gment(?=s?$)", r"\1gement"),
        (r"^gray(?=(?:s|ed|er|est|ing|ish|ness)?$)", "grey"),
        (r"^plow(?=(?:s|ed|ing|man|men|share|shares)?$)", "plough"),
        (r"^(s?)mol(d|t)(?=(?:s|ed|er|ers|ered|ering|ing|ings|y)?$)", r"\1moul\2"),
        (r"^mustache(?=[sd]?$)", "moustache"),
        (r"^skeptic", "sceptic"),
        (r"^sulf(?=ur|at|id|it)", "sulph"),
        (r"^artifact(?=s?$)", "artefact"),
        (r"^coz(?=(?:y|ier|iest|ily|iness)$)", "cos"),
        (r"^(an)?esth(?=et|es)", lambda found: ("an" if found[1] else "") + "aesth"),
        (r"^anemi(?=[ac]s?$)", "anaemi"),
        (r"^(arch)eo(?=log)", r"\1aeo"),
        (r"^cesarean", "caesarean"),
        (r"^diarrhea", "diarrhoea"),
        (r"^encyclopedi", "encyclopaedi"),
        (r"^esophag", "oesophag"),
        (r"^estrogen", "oestrogen"),
        (r"^fet(?=us|uses|al$)", "foet"),
        (r"^gynecolog", "gynaecolog"),
        (r"^hem(?=oglobin|ophil|orrh)", "haem"),
        (r"^leukemi", "leukaemi"),
        (r"^mediaeval", "medieval"),
        (r"^orthopedi", "orthopaedi"),
        (r"^pediatri", "paediatri"),
    )
)


def one_spelling(word: str) -> str:
    """The word in the spelling that stands for both; itself where there is but one.

    Args:
        word: in lower case.
    """
    if word in _ALIKE:
        return _ALIKE[word]
    for pattern, spelling in _RULES:
        changed = pattern.sub(spelling, word)
        if changed != word:
            return changed
    return word
