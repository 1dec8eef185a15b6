"""A folder's fingerprint changes with its files, not with ours."""

import os
from pathlib import Path

from jobs.listing import listing


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
