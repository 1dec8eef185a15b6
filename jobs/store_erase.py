"""A person removed from everything in a store."""

from __future__ import annotations

from pathlib import Path

from jobs.config import Settings
from jobs.folders import existing, held
from jobs.progress import console
from storage.care.config import EraseConfig
from storage.errors import ConfigError
from storage.wording import counted


def check(settings: Settings) -> None:
    """The store is there; one person is named, one way."""
    existing(str(settings.store), "store")
    if bool(settings.erase.subject) == bool(settings.erase.patient):
        raise ConfigError("radmill store erase needs subject=PSEUDONYM or patient=ID, one of them.")


def main(settings: Settings) -> int:
    """`radmill store erase subject=PSEUDONYM store=DIR`, or `patient=ID` with the store's key."""
    from storage.care.erase import erase, erased_before
    from storage.identity import owner_secret
    from storage.manifest import Store

    who, root = settings.erase, Path(str(settings.store))
    with held("store erase", root):
        secret = owner_secret(root, who.key_file, Store.open(root).key_id)
        subject = who.subject or secret.subject(who.issuer, str(who.patient))
        before = erased_before(root, subject, secret)
        derived = {name for name in ("segmentations", "arrays") if any((root / name).glob("[!.]*"))}
        receipt = erase(root, subject, secret, who.key_file)
    where = f"Receipt: {root}/receipts/{receipt['tombstone']}.json."
    if receipt == before:
        said = f"Erased before, on {receipt['time']}; nothing of this person was left to remove. {where}"
    else:
        said = f"Erased: {_removed(receipt['removed'])}. {where}{_advice(receipt['removed'], derived)}"
    console.print(f"{said}{_other_subjects(who)}", markup=False)
    return 0


def _other_subjects(who: EraseConfig) -> str:
    """Under which other subjects the patient's films may lie: the store has pseudonyms alone, so nobody can look."""
    if not who.patient:
        return ""
    if who.issuer:
        return " Films whose header names no issuer of the patient id are another subject: erase them without issuer=."
    return " Films whose header names an issuer of the patient id are another subject: erase them with issuer= too."


def _removed(counts: dict[str, int]) -> str:
    return ", ".join(counted(count, what.removesuffix("s")) for what, count in counts.items())


def _advice(counts: dict[str, int], derived: set[str]) -> str:
    """What is to be done next, as far as it applies. derived: folders of the store that held what films became."""
    advice = ""
    if "segmentations" in derived:
        advice += " Segmentations and caches went too: run radmill segment again."
    elif derived:
        advice += " Caches went too; the next run makes them."
    if counts["films"] or counts["outcomes"]:
        advice += " What runs made of this store lies in their own folders; remove or rerun them."
    return advice
