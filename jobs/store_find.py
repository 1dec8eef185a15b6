"""Which raw files tokens stand for: for the owner of the secret alone."""

from __future__ import annotations

from pathlib import Path

from jobs.config import Settings
from jobs.folders import existing, opened_store
from storage.errors import ConfigError


def check(settings: Settings) -> None:
    """Store and raw films are there; something is looked for."""
    if not (settings.find.token or settings.find.reason):
        raise ConfigError(
            "radmill store find needs token= or reason=; e.g. radmill store find token=abc123 raw=DIR store=DIR"
        )
    existing(str(settings.store), "store")
    existing(str(settings.raw), "raw")
    if settings.annotations:
        existing(settings.annotations, "annotations")


def main(settings: Settings) -> int:
    """`radmill store find token=A,B raw=DIR store=DIR`, or `reason=REASON` for all that were left out for it; masks too
    with `annotations=DIR`."""
    from pipelines.ingest.find import find
    from storage.identity import key_path, owner_secret

    wanted = settings.find
    store, raw = opened_store(settings), Path(str(settings.raw))
    secret = owner_secret(store.root, wanted.key_file, store.key_id)
    tokens = [token.strip() for token in (wanted.token or "").split(",") if token.strip()]
    skip = (store.root, key_path(store.root, wanted.key_file))
    annotations = Path(settings.annotations) if settings.annotations else None
    located = find(store, raw, secret, tokens, wanted.reason or "", skip, annotations)
    for one in located:
        print(f"{one.token}\t{one.fate}\t{one.path or '-'}")
    if not located:
        raise ConfigError(
            f"Nothing in {store.root} or below raw={raw} fits; radmill store ls reason=any lists what was left out."
        )
    return 0
