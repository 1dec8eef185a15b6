"""A folder's fingerprint changes with its files, not with ours."""

import os
import tempfile
from pathlib import Path

import pytest

from jobs.listing import files_below, listing
from storage.errors import InputError


def test_listing_sees_every_change(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    film = tmp_path / "a" / "film.dcm"
    film.write_bytes(b"1")
    seen = [listing(tmp_path)]
    film.write_bytes(b"22")
    seen.append(listing(tmp_path))
    os.utime(film, ns=(1, 1))
    seen.append(listing(tmp_path))
    film.rename(tmp_path / "film.dcm")
    seen.append(listing(tmp_path))
    assert len(set(seen)) == 4


def test_what_is_ours_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "film.dcm").write_bytes(b"1")
    before = listing(tmp_path)
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "x").write_bytes(b"2")
    (tmp_path / "outcomes.csv").write_bytes(b"3")
    assert listing(tmp_path, [tmp_path / "store", tmp_path / "outcomes.csv"]) == before != listing(tmp_path)


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "self").symlink_to(tmp_path / "self")
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    assert listing(tmp_path)


def test_a_folder_that_can_not_be_read_is_told_without_its_name() -> None:
    with tempfile.TemporaryDirectory() as folder:  # one that others than root may search
        Path(folder).chmod(0o755)
        closed = Path(folder) / "raw" / "jane"
        closed.mkdir(parents=True)
        closed.chmod(0o000)
        root = os.geteuid() == 0
        try:
            if root:
                os.seteuid(65534)  # root may read everything
            with pytest.raises(
                InputError, match=r"raw can't be read: Permission denied\. Let whoever"
            ) as told:
                list(files_below(closed.parent))
        finally:
            if root:
                os.seteuid(0)
            closed.chmod(0o700)
    assert "jane" not in str(told.value)
