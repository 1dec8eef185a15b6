from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pipelines.config import StudyConfig
from pipelines.ingest.fingerprint import fingerprint
from pipelines.ingest.near import MOST_BITS, Look, Pair, candidates, correlate, near_duplicates, small
from pipelines.ingest.run import ingest
from storage.config import IngestConfig
from storage.manifest import Store
from storage.thumbnail import shrunk

CANARY = "canary"
SMALL = IngestConfig(films_per_shard=4, memory_gb=1)


def resized(pixels: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    height, width = (round(side * scale) for side in pixels.shape)
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS))


def windowed(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return (255 * (pixels / 255) ** 0.9).round().astype(np.uint8)


def bits(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> int:
    first, second = (
        np.frombuffer(bytes.fromhex(fingerprint(shrunk(film))), np.uint8) for film in (one, other)
    )
    return int(np.bitwise_count(first ^ second).sum())


def look(key: str, phash: bytes, token: str | None = None, exam: str = "", modality: str = "DX") -> Look:
    return Look(key, phash, token or key, 0, exam, modality)


def test_d19_candidates_equal_the_textbook_over_all_pairs() -> None:
    rng = np.random.default_rng(0)
    bits_NB = rng.integers(0, 2, (600, 1024), dtype=np.uint8)
    for index in range(100, 400):  # copies at all distances around the limit
        bits_NB[index] = bits_NB[index - 100]
        flipped = rng.choice(1024, int(rng.integers(0, 2 * MOST_BITS)), replace=False)
        bits_NB[index, flipped] ^= 1
    differ_NN = (bits_NB[:, None] != bits_NB[None]).sum(-1)
    expected = [(i, j) for i in range(600) for j in range(i + 1, 600) if differ_NN[i, j] <= MOST_BITS]
    found = list(candidates([row.tobytes() for row in np.packbits(bits_NB, axis=1)]))
    assert found == expected
    assert len(found) > 100


def test_of_the_same_films_the_least_lossy_comes_first_then_the_largest() -> None:
    made = [
        Look("a", b"", "t0", 0, "", "DX", loss=math.inf, pixels=9),
        Look("b", b"", "t1", 0, "", "DX", loss=10.0, pixels=9),
        Look("c", b"", "t2", 0, "", "DX", pixels=4),
        Look("d", b"", "t4", 0, "", "DX", pixels=9),
        Look("e", b"", "t3", 0, "", "DX", pixels=9),
    ]
    assert [one.key for one in sorted(made, key=lambda one: one.place)] == ["e", "d", "c", "b", "a"]


def test_d19_the_hash_survives_resizing_and_windows(drawn_hand: NDArray[np.uint8]) -> None:
    for copy in (resized(drawn_hand, 0.7), resized(drawn_hand, 1.5), windowed(drawn_hand)):
        assert bits(drawn_hand, copy) <= MOST_BITS
        assert correlate(small(drawn_hand), small(copy)) > 0.99
    assert bits(drawn_hand, drawn_hand[:, ::-1].copy()) > 2 * MOST_BITS


def test_d19_chains_end_at_a_film_that_stays() -> None:
    looks = [look(key, bytes(128)) for key in "abcd"]
    alike = {("a", "b"), ("b", "c"), ("c", "d")}  # a and c are not
    same_as = near_duplicates(looks, lambda one, other: float((one.key, other.key) in alike))
    assert same_as == {"b": "a", "d": "c"}
    assert not set(same_as.values()) & set(same_as)


def test_d19_pairs_drawn_ahead_change_nothing() -> None:
    looks = [look(key, bytes(128)) for key in "abcdef"]
    asked: dict[str, list[tuple[str, str]]] = {"in turn": [], "ahead": []}

    def near(way: str, ahead: Callable[[Iterable[Pair]], Iterable[Pair]]) -> dict[str, str]:
        def correlation(one: Look, other: Look) -> float:
            asked[way].append((one.key, other.key))
            return 1.0 if ord(other.key) - ord(one.key) <= 2 else 0.5

        return near_duplicates(looks, correlation, ahead)

    assert near("in turn", iter) == near("ahead", list) == {"b": "a", "c": "a", "e": "d", "f": "d"}
    assert asked["in turn"] == asked["ahead"] != []


def test_d19_frames_of_one_object_are_never_compared() -> None:
    def left_out(one: Look, other: Look, correlation: float = 1.0) -> bool:
        return bool(near_duplicates([one, other], lambda *keys: correlation))

    assert left_out(look("a", bytes(128)), look("b", bytes(128)))
    assert not left_out(look("a", bytes(128), token="t"), look("b", bytes(128), token="t"))


@pytest.mark.parametrize("modality", ["XA", "RF"])
def test_d19_of_fluoroscopy_of_one_exam_only_copies_are_left_out(modality: str) -> None:
    def left_out(one: Look, other: Look, correlation: float) -> bool:
        return bool(near_duplicates([one, other], lambda *keys: correlation))

    first, copy, later = (
        look(key, bytes(120) + flipped.to_bytes(8), exam="e", modality=modality)
        for key, flipped in (("a", 0), ("b", 2**20 - 1), ("c", 2**21 - 1))
    )
    assert left_out(first, copy, 0.9995) and not left_out(first, copy, 0.998)
    assert not left_out(first, later, 1.0), "21 bits: the next moment"
    assert left_out(first, replace(later, exam="f"), 0.98), "of another exam likeness is enough"


def test_candidates_do_not_depend_on_how_many_are_compared_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    base = rng.bytes(128)
    phashes = [base if index % 3 == 0 else rng.bytes(128) for index in range(70)]
    expected = list(candidates(phashes))
    assert len(expected) == 24 * 23 // 2
    monkeypatch.setattr("pipelines.ingest.near._BLOCK", 8)
    monkeypatch.setattr("pipelines.ingest.near._OTHERS", 5)
    assert list(candidates(phashes)) == expected


def test_d19_near_duplicates_stay_out_within_and_across_subjects(
    hospital: Any, tmp_path: Path, drawn_hand: NDArray[np.uint8]
) -> None:
    def write(subject: int, name: str, pixels: NDArray[np.uint8]) -> None:
        path = f"{hospital.raw.name}/{CANARY}-{subject}/{name}.dcm"
        hospital.write_dicom(pixels, name=path, PatientID=f"{CANARY}-{subject}")

    write(0, "hand", drawn_hand)
    write(0, "smaller", resized(drawn_hand, 0.8))
    write(40, "windowed", windowed(drawn_hand))
    write(41, "windowed", windowed(drawn_hand))
    write(5, "mirrored", drawn_hand[:, ::-1].copy())
    config = replace(SMALL, key_file=str(hospital.key_file))
    root = tmp_path / "store"
    ingest(hospital.raw, root, config, StudyConfig())
    store = Store.open(root)
    assert len(store.manifest) == 12 + 2
    assert sorted(store.exclusions["reason"])[-3:].count("near_duplicate") >= 2
    assert len(store.exclusions) == 3
    kept = [detail.rpartition(" as ")[2] for detail in store.exclusions["detail"]]
    assert set(kept) <= set(store.manifest["key"]), "each row names the film that stays"
    again = root.with_name("again")
    ingest(hospital.raw, again, config, StudyConfig(), processes=2)
    files = {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    ingest(hospital.raw, root, config, StudyConfig())
    for place in (root, again):
        assert {p.relative_to(place): p.read_bytes() for p in place.rglob("*") if p.is_file()} == files


@pytest.mark.parametrize("processes", [1, 2])
def test_d19_a_rerun_over_copies_writes_no_shard_again(
    hospital: Any, tmp_path: Path, drawn_hand: NDArray[np.uint8], processes: int
) -> None:
    for number, scale in enumerate((1, 0.9, 0.8, 0.75, 0.7)):
        path = f"{hospital.raw.name}/{CANARY}-{number}/copy.dcm"
        hospital.write_dicom(resized(drawn_hand, scale), name=path, PatientID=f"{CANARY}-{number}")
    config = replace(SMALL, key_file=str(hospital.key_file), films_per_shard=1)
    root = tmp_path / "store"
    ingest(hospital.raw, root, config, StudyConfig(), processes=processes)
    assert list(Store.open(root).exclusions["reason"]) == ["near_duplicate"] * 4
    touched = (root / "shards").stat().st_mtime_ns
    ingest(hospital.raw, root, config, StudyConfig(), processes=processes)
    assert (root / "shards").stat().st_mtime_ns == touched


def test_a_film_under_two_patient_ids_is_told(hospital: Any, tmp_path: Path) -> None:
    """By its pixels, by its bytes, and to nobody for two films of one person."""
    hospital.film(1, 5, seed=20)  # the pixels of film 0 of subject 2
    hospital.film(3, 5, seed=31)  # those of the person's own film 1
    Image.fromarray(hospital.pixels(700)).save(hospital.raw / f"{CANARY}-4" / "x.png")
    (hospital.raw / "p8").mkdir()
    shutil.copy(hospital.raw / f"{CANARY}-4" / "x.png", hospital.raw / "p8" / "x.png")
    summary = hospital.ingest(tmp_path / "store")
    exclusions = Store.open(tmp_path / "store").exclusions
    told = exclusions["detail"].str.partition(" as ")[0]
    assert sorted(told[exclusions["reason"] == "duplicate"]) == [
        "the same file of another subject",
        "the same pixels",
        "the same pixels of another subject",
    ]
    assert str(summary).endswith(
        "; 2 duplicates of another subject's film: one person under two ids? ingest.overrides takes patient_id"
    )


def test_d19_one_uid_with_other_pixels_loses_nothing(hospital: Any, tmp_path: Path) -> None:
    """Pixels alone tell what is a duplicate; the summary tells of such films."""
    hospital.film(1, 5, seed=105, SOPInstanceUID="2.25.1")  # that of film 0 of subject 0
    summary = hospital.ingest(tmp_path / "store")
    assert (summary.films, summary.shared_uids) == (13, 1)
    assert str(summary).endswith("; several films share 1 SOP instance UID")


@pytest.mark.slow
def test_d19_twenty_thousand_films_are_compared_in_seconds() -> None:
    data = np.random.default_rng(0).bytes(128 * 20_000)
    phashes = [data[start : start + 128] for start in range(0, len(data), 128)]
    assert list(candidates(phashes)) == []


def test_d19_real_films_of_different_people_are_never_near(real_data: Path) -> None:
    paths = sorted((real_data / "hands").glob("*/*[0-9].*g"))
    paths += sorted((real_data / "chest" / "jsrt" / "images").glob("*.png"))[::2]
    films = [np.asarray(Image.open(path).convert("L")) for path in paths if "label" not in path.name]
    looks = [bytes.fromhex(fingerprint(shrunk(film))) for film in films]
    assert len(films) > 150
    assert list(candidates(looks)) == []
