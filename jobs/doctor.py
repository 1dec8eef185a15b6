"""Whether a run will work here: the machine, the data folders, the cluster; a line per check."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

from cluster.doctor import check_machine, check_slurm
from cluster.findings import GB, Finding
from jobs.config import Settings

LEAST_FREE_GB = 5.0


def main(settings: Settings) -> int:
    """`radmill doctor [store=DIR] [out=DIR] [cluster=slurm cluster.site=... cluster.partition=...]`: 0, or 1."""
    findings = [one for key in ("store", "out") if (one := _folder(settings, key)) is not None]
    if settings.store is not None:
        findings += _key_file(Path(settings.store))
    if settings.cluster.kind == "slurm":
        findings += check_slurm(settings.cluster, _nearest(Path(settings.out or settings.store or ".")))
    else:
        findings += check_machine(settings.cluster)
        if shutil.which("sbatch") is not None:
            found = "is here; radmill doctor cluster=slurm looks at its partition and nodes"
            findings.append(Finding(name="Slurm", ok=True, found=found))
    width = max(len(one.name) for one in findings)
    for one in findings:
        print(f"{'ok     ' if one.ok else 'problem'}  {one.name:{width}}  {one.found}")
        if not one.ok:
            print(f"{'':9}{'':{width}}  -> {one.advice}")
    return 0 if all(one.ok for one in findings) else 1


def _folder(settings: Settings, key: str) -> Finding | None:
    """Writable, and with room for more; None where the user did not name it."""
    if (path := getattr(settings, key)) is None:
        return None
    named, free_gb = Path(path), shutil.disk_usage(_nearest(Path(path))).free / GB
    if named.exists() and not named.is_dir():
        return Finding(name=key, ok=False, found=f"{path} is a file", advice=f"name a folder by {key}=.")
    if not os.access(_nearest(named), os.W_OK | os.X_OK):
        found = f"{_nearest(named)} is not writable"
        return Finding(name=key, ok=False, found=found, advice=f"choose another folder by {key}=.")
    if free_gb < LEAST_FREE_GB:
        found, advice = (
            f"{free_gb:.1f} GB free",
            f"at least {LEAST_FREE_GB:g} GB are wise: clear some, or choose another.",
        )
        return Finding(name=key, ok=False, found=found, advice=advice)
    there = "" if named.exists() else " (will be made)"
    return Finding(name=key, ok=True, found=f"{path}{there}, {free_gb:.0f} GB free")


def _key_file(store: Path) -> list[Finding]:
    """The secret behind the pseudonyms is its owner's alone."""
    key = store.with_name(f"{store.name}.key")
    if not key.is_file():
        return []
    if stat.S_IMODE(key.stat().st_mode) & 0o077:
        advice = f"chmod 600 {key}: with it, pseudonyms can be undone."
        return [Finding(name="secret", ok=False, found=f"{key} can be read by others", advice=advice)]
    return [Finding(name="secret", ok=True, found=f"{key} is yours alone")]


def _nearest(folder: Path) -> Path:
    """The folder itself, or the nearest one above it that is there."""
    folder = folder.resolve()
    while not folder.is_dir():
        folder = folder.parent
    return folder
