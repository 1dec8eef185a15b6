"""A person removed from everything in a store."""

from __future__ import annotations

from pathlib import Path

from jobs.config import Settings
from jobs.folders import existing, held
from jobs.progress import console
from storage.errors import ConfigError


def check(settings: Settings) -> None:
    """The store is there; one person is named, one way."""
    existing(str(settings.store), "store")
    if bool(settings.erase.subject) == bool(settings.erase.patient):
        raise ConfigError("radmill store erase needs subject=PSEUDONYM or patient=ID, one of them.")


def main(settings: Settings) -> int:
    """`radmill store erase subject=PSEUDONYM store=DIR`, or `patient=ID` with the store's key."""
    from storage.care.erase import erase
    from storage.identity import owner_secret
    from storage.manifest import Store

    who, root = settings.erase, Path(str(settings.store))
    with held("store erase", root):
        secret = owner_secret(root, who.key_file, Store.open(root).key_id)
        subject = who.subject or secret.subject(who.issuer, str(who.patient))
        receipt = erase(root, subject, secret, who.key_file)
    removed = ", ".join(f"{count} {what}" for what, count in receipt["removed"].items())
    console.print(
        f"Erased: {removed}. Receipt: {root}/receipts/{receipt['tombstone']}.json. Segmentations and caches went too: "
        "run radmill segment again. What runs made of this store lies in their own folders; remove or rerun them.",
        markup=False,
    )
    return 0
