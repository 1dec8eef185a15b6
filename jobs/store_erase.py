"""A person removed from everything in a store."""

from __future__ import annotations

from jobs.config import Settings
from jobs.folders import existing, held
from jobs.progress import console
from storage.errors import ConfigError


def main(settings: Settings) -> int:
    """`radmill store erase subject=PSEUDONYM store=DIR`, or `patient=ID` with the store's key."""
    from storage.care.erase import erase
    from storage.identity import owner_secret
    from storage.manifest import Store

    who = settings.erase
    if bool(who.subject) == bool(who.patient):
        raise ConfigError("radmill store erase needs subject=PSEUDONYM or patient=ID, one of them.")
    root = existing(str(settings.store), "store")
    with held("store erase", root):
        secret = owner_secret(root, who.key_file, Store.open(root).key_id)
        receipt = erase(root, who.subject or secret.subject(who.issuer, str(who.patient)), secret)
    removed = ", ".join(f"{count} {what}" for what, count in receipt["removed"].items())
    console.print(
        f"Erased: {removed}. Receipt: {root}/receipts/{receipt['tombstone']}.json. Segmentations and caches went too: "
        "run radmill segment again. What runs made of this store lies in their own folders; remove or rerun them.",
        markup=False,
    )
    return 0
