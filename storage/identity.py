"""Pseudonyms: HMAC-SHA256 under a secret of the site, 128 bits of it in base32 (26 characters).

An unkeyed hash of an eight-digit patient id is reversed in seconds. The secret stays in its file; the store
holds its `key_id` alone.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
import unicodedata
from contextlib import suppress
from pathlib import Path

from storage.atomic import fsync_dir
from storage.errors import InputError, StorageError

_BYTES = 32
_PHANTOM = hashlib.sha256(b"radmill phantoms: a public key, for synthetic films alone").digest()


class Secret:
    """The key of all pseudonyms of a store."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    @classmethod
    def load_or_create(cls, path: Path) -> Secret:
        """Read the secret, or make a new one (mode 0600); InputError where the file is not a secret."""
        if not path.exists():
            _create(path)
        try:
            text = path.read_text("ascii").strip()
            key = bytes.fromhex(text)
        except (OSError, ValueError):
            key = b""
        if len(key) != _BYTES:
            raise InputError(
                f"key_file={path} must hold {2 * _BYTES} hexadecimal digits, but does not. "
                "Name the file that the first ingest made, or a new path to make one."
            )
        return cls(key)

    @classmethod
    def phantom(cls) -> Secret:
        """The fixed public key of synthetic films."""
        return cls(_PHANTOM)

    @property
    def key_id(self) -> str:
        """Names the key without telling it: 12 characters."""
        return self._word("key")[:12]

    def film_key(self, source_sha256: str, frame: int, part: int = 0) -> str:
        """Key of a film: the same bytes, frame and part give the same key wherever they lie."""
        return self._word("film", source_sha256, str(frame), str(part))

    def subject(self, issuer: str, patient_id: str) -> str:
        """Pseudonym of a person; case, spaces around and Unicode forms of the id do not matter."""
        return self._word("subject", normalise(issuer), normalise(patient_id))

    def exam(self, subject: str, exam: str) -> str:
        """Pseudonym of a subject's exam (study instance UID, or the outcome table's word); empty for none."""
        return self._word("exam", subject, normalise(exam)) if exam else ""

    def token(self, relative_path: str) -> str:
        """Stands for a file below raw=, so that its owner can find it again."""
        return self._word("token", relative_path)

    def tombstone(self, subject: str) -> str:
        """Stands for an erased subject's pseudonym: tells a later ingest, and nobody without the secret."""
        return self._word("erased", subject)

    def device(self, manufacturer: str, model: str) -> str:
        """Tells devices apart without naming the model: 6 characters."""
        return self._word("device", normalise(manufacturer), normalise(model))[:6]

    def _word(self, *parts: str) -> str:
        # Lengths in front: ("a", "bc") and ("ab", "c") are different persons.
        encoded = [part.encode("utf-8", "surrogateescape") for part in parts]
        message = b"".join(f"{len(part)}:".encode() + part for part in encoded)
        digest = hmac.digest(self._key, message, "sha256")
        return base64.b32encode(digest[:16]).decode().rstrip("=").lower()


def key_path(store_root: Path, key_file: str | None) -> Path:
    """Where a store's secret lies: as named, else STORE.key beside the store."""
    if key_file:
        return Path(key_file)
    # . and .. have no name to put .key after; a link keeps its own, beside which its key was made
    root = store_root.resolve() if store_root.name in ("", "..") else store_root
    return root.with_name(f"{root.name}.key")


def work_path(store_root: Path, key_file: str | None) -> Path:
    """The folder of an ingest's state between its steps, beside the key; several stores may share a key."""
    store = hashlib.sha256(bytes(store_root.resolve())).hexdigest()[:8]
    key = key_path(store_root, key_file)
    return key.with_name(f".{key.name}-{store}.work")


def owner_secret(store_root: Path, key_file: str | None, key_id: str) -> Secret:
    """The secret of a store, by those who have it; the public one of phantoms needs no file. Never makes one."""
    if key_file is None and Secret.phantom().key_id == key_id:
        return Secret.phantom()
    path = key_path(store_root, key_file)
    if not path.exists():
        raise lost_secret(store_root, path)
    secret = Secret.load_or_create(path)
    if secret.key_id != key_id:
        raise InputError(
            f"{store_root} was made with key {key_id}, but {path} holds {secret.key_id}; name the store's own."
        )
    return secret


def lost_secret(store_root: Path, path: Path) -> InputError:
    """What to raise where the secret of a store is not at its path."""
    return InputError(
        f"{path} is missing, the secret behind the pseudonyms in {store_root}: put it back, or name it by key_file=. "
        "Nothing else can take its place."
    )


def normalise(identifier: str) -> str:
    """One spelling of an identifier."""
    return unicodedata.normalize("NFKC", identifier).strip().casefold()


def _create(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        text = secrets.token_hex(_BYTES) + "\n"
        _write_new(temporary, text)
        try:
            # link, unlike rename, never replaces a secret that another run made in the meantime
            path.hardlink_to(temporary)
        except FileExistsError:
            pass
        except OSError:  # a share without hard links
            with suppress(FileExistsError):
                _write_new(path, text)
        finally:
            temporary.unlink()
        fsync_dir(path.parent)
    except OSError as error:
        raise StorageError(
            f"key_file={path} can't be written: {error.strerror}; name another path."
        ) from error


def _write_new(path: Path, text: str) -> None:
    """Write a file for its owner alone, whole or not at all; FileExistsError where there is one."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        path.unlink()
        raise
