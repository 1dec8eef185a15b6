"""Erased people stay away: their films are left out, and their pseudonyms are not written again."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import pandas as pd

from pipelines.ingest.identify import Exclusion, Scan
from storage.identity import Secret
from storage.records import without_names

REASON = "erased"


def without_erased(scan: Scan, secret: Secret, erased: Collection[str]) -> Scan:
    """The scan without the films of erased people, each file an exclusion. erased: tombstones."""
    if not erased:
        return scan
    subjects = {source.subject for source in scan.sources}
    gone = {subject for subject in subjects if secret.tombstone(subject) in erased}
    tokens = sorted(source.token for source in scan.sources if source.subject in gone)
    sources = [source for source in scan.sources if source.subject not in gone]
    firsts = {source.keys[0] for source in sources}
    named = {key for source in scan.sources if source.subject in gone for key in source.keys}
    exclusions = [replace(one, detail=without_names(one.detail, named)) for one in scan.exclusions]
    return replace(
        scan,
        sources=sources,
        keys_by_name={name: key for name, key in scan.keys_by_name.items() if key in firsts},
        exclusions=[*exclusions, *(Exclusion(token, 0, REASON, "", "scan") for token in tokens)],
    )


def unnamed(exclusions: pd.DataFrame, secret: Secret, erased: Collection[str]) -> pd.DataFrame:
    """Exclusions of outcomes, whose token is a pseudonym: of erased people the tombstone stands there."""
    if not erased:
        return exclusions
    tombstones = exclusions["token"].map(secret.tombstone)
    gone = tombstones.isin(list(erased))
    named = exclusions.copy()
    named.loc[gone, "token"] = tombstones[gone]
    named.loc[gone, ["reason", "detail"]] = [REASON, ""]
    return named
