"""Tokens back to files, for the owner of the secret: which file was left out, and why."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from pipelines.annotations.write import mask_token
from pipelines.ingest.scan import list_files
from storage.errors import InputError
from storage.identity import Secret
from storage.manifest import Store
from storage.wording import counted


class Located(NamedTuple):
    """A token with what became of its file; path: where that lies, None where no file that was looked at has it."""

    token: str
    path: Path | None
    fate: str


def find(
    store: Store,
    raw: Path,
    secret: Secret,
    wanted: Collection[str],
    reason: str,
    skip: Sequence[Path] = (),
    annotations: Path | None = None,
) -> list[Located]:
    """The files below raw, and masks below annotations, that are wanted, or all exclusions with this reason (any: all).

    wanted: beginnings of tokens, of films' keys or of subjects' pseudonyms, as tables and pages show them.
    InputError where raw is not the folder that went into the store.
    """
    paths = {secret.token(name): raw / name for name in list_files(raw, "raw", skip)}
    if not paths.keys() & {*store.manifest["token"], *store.exclusions["token"]}:
        raise InputError(
            f"None of the {counted(len(paths), 'file')} below raw={raw} went into {store.root} under this path: "
            "name the folder that ingest was given, not one above or below it."
        )
    if annotations:
        masks = list_files(annotations, "annotations")
        paths |= {mask_token(secret, name): annotations / name for name in masks}
    fates = _fates(store, reason)
    if not reason:
        wanted = [*wanted, *_tokens_of(store, tuple(wanted))]
        fates = {token: fate for token, fate in fates.items() if token.startswith(tuple(wanted))}
    unknown = {token for token in paths if token not in fates and token.startswith(tuple(wanted) or ("-",))}
    fates |= {
        token: "not left out" if _is_mask(paths[token], annotations) else "not in the store"
        for token in unknown
    }
    return [Located(token, paths.get(token), fate) for token, fate in sorted(fates.items())]


def _is_mask(path: Path, annotations: Path | None) -> bool:
    return annotations is not None and path.is_relative_to(annotations)


def _tokens_of(store: Store, wanted: tuple[str, ...]) -> list[str]:
    """Tokens of the films whose key or subject begins so."""
    films = store.manifest
    rows = films["key"].str.startswith(wanted) | films["subject"].str.startswith(wanted)
    return films.loc[rows, "token"].tolist()


def _fates(store: Store, reason: str) -> dict[str, str]:
    """Token -> what became of the file; of exclusions alone where a reason is given."""
    rows = store.all_exclusions
    rows = rows[rows["reason"] == reason] if reason not in ("", "any") else rows
    left_out = zip(rows["token"], rows["reason"], rows["detail"], strict=True)
    fates = {token: f"{why}: {detail}" if detail else why for token, why, detail in left_out}
    # last, as single frames of a file in the store may be left out
    return fates if reason else fates | dict.fromkeys(store.manifest["token"], "in the store")
