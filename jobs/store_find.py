"""Which raw files tokens stand for: for the owner of the secret alone."""

from __future__ import annotations

from pathlib import Path

from jobs.config import Settings
from jobs.folders import existing
from storage.errors import ConfigError


def main(settings: Settings) -> int:
    """`radmill store find token=A,B raw=DIR store=DIR`, or `reason=REASON` for all that were left out for it."""
    from pipelines.ingest.find import find
    from storage.identity import key_path, owner_secret
    from storage.manifest import Store

    wanted = settings.find
    if not (wanted.token or wanted.reason):
        raise ConfigError(
            "radmill store find needs token= or reason=; e.g. radmill store find token=abc123 raw=DIR store=DIR"
        )
    store, raw = Store.open(existing(str(settings.store), "store")), existing(str(settings.raw), "raw")
    secret = owner_secret(store.root, wanted.key_file, store.key_id)
    tokens = [token.strip() for token in (wanted.token or "").split(",") if token.strip()]
    skip = (store.root, key_path(store.root, wanted.key_file))
    located = find(store, raw, secret, tokens, wanted.reason or "", skip)
    for one in located:
        print(f"{one.token}\t{one.fate}\t{'-' if one.name is None else Path(raw, one.name)}")
    if not located:
        raise ConfigError(
            f"Nothing in {store.root} or below raw={raw} fits; radmill store ls reason=any lists what was left out."
        )
    return 0
