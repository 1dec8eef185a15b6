"""Where weights to start from come from, as the model.json beside them tells: whom they saw, and what they learnt."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.pretraining.encoder import KIND
from pipelines.pretraining.weights import IMAGENET
from pipelines.training import seen
from storage.errors import InputError
from storage.manifest import Store
from storage.wording import counted

_WITHOUT_OUTCOMES = ("simclr", "swav", "vicreg", "none")
_FROM = "outcomes_by"


@dataclass(frozen=True)
class Origin:
    """Of weights by which an encoder begins; empty where they are random, or nothing is known of them."""

    outcomes_by: str | None = None
    """The method that learnt from outcomes, be it on the way to these weights: SupCon, or fine-tuning."""
    seen: seen.Written = field(default_factory=dict)

    def described(self) -> dict[str, str]:
        """What the description of an encoder that began by these weights has to say of them."""
        return {_FROM: self.outcomes_by} if self.outcomes_by else {}


def origin_of(source: str | None, store: Store, section: str = "pretraining") -> Origin:
    """What is known of the section's initial_weights.

    InputError where they have learnt the outcome of a subject who has one in this store, or may have: each of its
    folds would be tested by an encoder that was told the answers.
    """
    beside = None if source in (None, IMAGENET) else Path(str(source)).with_name("model.json")
    if beside is None or not beside.is_file():
        return Origin()
    try:
        encoder = json.loads(beside.read_text("utf-8"))[KIND]
        by = encoder.get(_FROM) or (None if encoder["method"] in _WITHOUT_OUTCOMES else encoder["method"])
    except (ValueError, KeyError, TypeError, AttributeError):  # another program's
        return Origin()
    found = Origin(by, seen.seen_by(beside.parent, KIND))
    if by and not found.seen:
        raise InputError(
            f"{section}.initial_weights={source} has learnt from outcomes ({by}), and its model.json does not say "
            "whose, as earlier versions left it; begin from weights that were trained without outcomes."
        )
    films = store.manifest[store.manifest["subject"].isin(store.outcomes["subject"])]
    if by and (known := seen.Seen.of(found.seen).among(films)):
        raise InputError(
            f"{section}.initial_weights={source} has learnt from outcomes ({by}), also of "
            f"{counted(known, 'subject')} with outcome in {store.root}, whom the folds test; begin from "
            "weights that were trained without outcomes."
        )
    return found
