from __future__ import annotations

import errno
import os
import re
import stat
from pathlib import Path

import pytest

from storage.errors import InputError
from storage.identity import Secret

WORD = re.compile(r"[a-z2-7]{26}")


def test_a_secret_is_made_once_and_readable_by_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "site.key"
    first, second = Secret.load_or_create(path), Secret.load_or_create(path)
    assert first.key_id == second.key_id
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [child.name for child in path.parent.iterdir()] == ["site.key"]


def test_a_share_without_hard_links_holds_a_secret_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, target: Path) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    path = tmp_path / "site.key"
    first = Secret.load_or_create(path)
    assert Secret.load_or_create(path).key_id == first.key_id
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [child.name for child in tmp_path.iterdir()] == ["site.key"]


@pytest.mark.parametrize("links", [True, False])
def test_a_secret_made_in_the_meantime_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    path = tmp_path / "site.key"
    hardlink_to = Path.hardlink_to

    def late(self: Path, target: Path) -> None:
        path.write_text("ab" * 32)
        if not links:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        hardlink_to(self, target)

    monkeypatch.setattr(Path, "hardlink_to", late)
    assert Secret.load_or_create(path).key_id == Secret(b"\xab" * 32).key_id
    assert [child.name for child in tmp_path.iterdir()] == ["site.key"]


def test_other_secrets_give_other_words(tmp_path: Path) -> None:
    one, other = (Secret.load_or_create(tmp_path / name) for name in "ab")
    assert one.key_id != other.key_id
    assert one.subject("", "4711") != other.subject("", "4711")


def test_words_are_128_bits_in_base32() -> None:
    secret = Secret.phantom()
    words = [
        secret.film_key("ab", 0),
        secret.subject("x", "y"),
        secret.token("p/1.dcm"),
        secret.exam("s", "1.2"),
    ]
    assert all(WORD.fullmatch(word) for word in words)
    assert len(set(words)) == 4


def test_frames_and_parts_have_keys_of_their_own() -> None:
    secret = Secret.phantom()
    assert len({secret.film_key("ab", frame, part) for frame in range(3) for part in range(3)}) == 9


def test_issuer_and_id_do_not_run_together() -> None:
    secret = Secret.phantom()
    assert secret.subject("a", "bc") != secret.subject("ab", "c")


def test_spelling_does_not_make_another_person() -> None:
    secret = Secret.phantom()
    assert secret.subject("", " P01 ") == secret.subject("", "p01") == secret.subject("", "\uff3001")


def test_no_exam_has_no_pseudonym() -> None:
    assert Secret.phantom().exam("subject", "") == ""


def test_the_phantom_key_never_changes() -> None:
    """Stores of phantoms made on two machines share their keys."""
    assert Secret.phantom().key_id == "ywls2tq3nsze"
    assert Secret.phantom().token("films/1.dcm") == "3t2rnoaybjw3wtn6xxasceuley"


def test_a_file_that_is_no_secret(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a key")
    sentence = (
        f"key_file={path} must hold 64 hexadecimal digits, but does not. "
        "Name the file that the first ingest made, or a new path to make one."
    )
    with pytest.raises(InputError, match=re.escape(sentence)):
        Secret.load_or_create(path)
