"""Free texts of headers into few closed words: body parts, views and sides, in the languages they come in.

A text that names two parts, views or sides names none: unknown is better than wrong.
"""

from __future__ import annotations

import re
from functools import lru_cache

VIEWS = ("AP", "PA", "LL", "RL", "RLD", "LLD", "RLO", "LLO", "LATERAL", "OBLIQUE")

_LONGEST = 512  # a broken header holds megabytes of text, over which patterns take seconds
_REMEMBERED = 1024  # the same few texts come with most films

# Word -> how headers write it, as patterns between non-letters.
_PARTS = {
    "hand": r"hands?|haende|h\xe4nde|main|mano|manus|metacarp\w*|mittelhand",
    "finger": r"fingers?|thumb|daumen|doigts?|dedos?|dita|phalan\w*",
    "wrist": r"wrists?|handgelenk|poignet|mu\xf1eca|muneca|polso|carpus|carpal|scaphoid|kahnbein",
    "forearm": r"fore ?arm|unterarm|avant[- ]bras|antebrazo|avambraccio|radius|ulna",
    "elbow": r"elbow|ellenbogen|ellbogen|coude|codo|gomito",
    "humerus": r"humerus|upper ?arm|oberarm",
    "shoulder": r"shoulder|schulter|epaule|\xe9paule|hombro|spalla|clavicle|clavicula|scapula|acromion",
    "chest": r"chest|thorax|lungs?|lunge|torax|ribs?|rippen|sternum",
    "abdomen": r"abdomen|abdominal|bauch|kub",
    "pelvis": r"pelvis|becken|bassin|uterus|hsg|hysterosalpingogra\w*|tubal|fallopian\w*",
    "hip": r"hips?|huefte?|h\xfcfte?|hanche|cadera|anca",
    "femur": r"femur|thigh|oberschenkel",
    "knee": r"knees?|knie|genou|rodilla|ginocchio|patella",
    "leg": r"leg|lower ?leg|unterschenkel|tibia|fibula|tib ?fib",
    "ankle": r"ankles?|sprunggelenk|cheville|tobillo|caviglia|calcaneus",
    "foot": r"foot|feet|fuss|fu\xdf|pied|pie|piede|toes?|zehen?|metatars\w*",
    "skull": r"skull|schaedel|sch\xe4del|head|kopf|crane|cr\xe2ne|sinus(es)?|jaw|mandible|teeth|dental",
    "spine": r"([ctl]-?)?spine|spinal|wirbels\xe4ule|wirbelsaeule|[bhl]ws|lumbar|rachis|vertebra\w*|sacrum",
    "breast": r"breasts?|mamma|mammo\w*",
}
BODY_PARTS = tuple(_PARTS)
_PART = {part: re.compile(rf"(?<![^\W\d_])({pattern})(?![^\W\d_])") for part, pattern in _PARTS.items()}

# DP, dorsopalmar, is what PA is called for a hand.
_VIEWS = {
    "PA": r"p\.?a\.?|d\.?p\.?|d\.?v\.?|dorso[- ]?(palmar|volar)|postero[- ]?anterior",
    "AP": r"a\.?p\.?|antero[- ]?posterior|ball ?catcher|n(o|\xf8|oe)rgaard",
    "LATERAL": r"lat\.?|lateral|seitlich|seitl\.?|profil|laterale",
    "OBLIQUE": r"obl\.?|oblique|schr\xe4g|schraeg|oblicua|obliqua|zither",
}
_VIEW = {view: re.compile(rf"(?<!\w)({pattern})(?!\w)") for view, pattern in _VIEWS.items()}

_HAND = r"(hand|handgelenk|wrist|finger|forearm|unterarm)"
_SIDES = {
    "L": rf"left|lt|links|lks|gauche|izquierda|sinistra|{_HAND}[ ,.:-]+li?(?!-)|li?[ .-]+{_HAND}",
    "R": rf"right|rt|rechts|droite|derecha|destra|{_HAND}[ ,.:-]+re?(?!-)|re?[ .]+{_HAND}",
    "B": r"both|bilat\.?|bilateral|bds\.?|beide|beidseits|beidseitig|ambas|entrambe|l ?[+&]? ?r|r ?[+&]? ?l",
}
_SIDE = {side: re.compile(rf"(?<![^\W\d_])({pattern})(?![^\W\d_])") for side, pattern in _SIDES.items()}

_PATTERNS = {"part": _PART, "view": _VIEW, "side": _SIDE}


def body_part(text: str) -> str:
    """The body part that a text names; where it names several, a hand's parts in the order below, else empty.

    Hand, wrist, finger and forearm come together on one film: the first of them stands for it.
    """
    named = _named("part", text)
    arm = [part for part in ("hand", "wrist", "finger", "forearm") if part in named]
    if arm and len(arm) == len(named):
        return arm[0]
    return named[0] if len(named) == 1 else ""


def view(text: str) -> str:
    """The one view that a text names, else empty."""
    named = _named("view", text)
    return named[0] if len(named) == 1 else ""


def side(text: str) -> str:
    """L, R or B where a text names exactly one of them, else empty."""
    named = _named("side", text)
    return named[0] if len(named) == 1 else ""


def names_side(text: str) -> bool:
    """Whether a text names a side at all, be it several."""
    return bool(_named("side", text))


def _named(what: str, text: str) -> tuple[str, ...]:
    return _searched(what, text[:_LONGEST])


@lru_cache(maxsize=_REMEMBERED)
def _searched(what: str, text: str) -> tuple[str, ...]:
    plain = re.sub(r"[\s_/\\^;()\[\]]+", " ", text.casefold())
    return tuple(word for word, pattern in _PATTERNS[what].items() if pattern.search(plain))
