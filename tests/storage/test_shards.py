"""A shard is a plain tar: tarfile and webdataset read what pread reads, and damage never passes."""

from __future__ import annotations

import gc
import json
import subprocess
import tarfile
import warnings
from pathlib import Path

import numpy as np
import pytest
import webdataset
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.codec import decode_png, encode_png
from storage.errors import StorageError
from storage.seal import file_sum
from storage.shards import Placed, ShardWriter, iterate_members, read_member

MEMBERS = [(f"{key}.{part}", part.encode() * 700) for key in ("aaa", "bbb") for part in ("image.png", "json")]


def write(path: Path, members: list[tuple[str, bytes]]) -> list[Placed]:
    with ShardWriter(path) as writer:
        return [writer.add(name, data) for name, data in members]


@settings(deadline=None)
@given(payloads=st.lists(st.binary(max_size=3000), max_size=8))
def test_round_trip_by_every_reader(tmp_path_factory: pytest.TempPathFactory, payloads: list[bytes]) -> None:
    path = tmp_path_factory.mktemp("shards") / "s.tar"
    members = [(f"{row:04d}.bin", data) for row, data in enumerate(payloads)]
    placed = write(path, members)
    assert [read_member(path, at.offset, at.size, at.crc32c) for at in placed] == payloads
    assert list(iterate_members(path)) == members
    with tarfile.open(path) as tar:
        assert [header.offset_data for header in tar] == [at.offset for at in placed]
    assert path.stat().st_size % tarfile.RECORDSIZE == 0


def test_equal_members_give_equal_bytes_without_traces_of_the_machine(tmp_path: Path) -> None:
    write(tmp_path / "a.tar", MEMBERS)
    write(tmp_path / "b.tar", MEMBERS)
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()
    with tarfile.open(tmp_path / "a.tar") as tar:
        for header in tar:
            traces = (header.mtime, header.mode, header.uid, header.gid, header.uname, header.gname)
            assert traces == (0, 0o644, 0, 0, "", "")
    subprocess.run(["tar", "tf", tmp_path / "a.tar"], check=True, capture_output=True)


def test_the_writer_knows_the_sum_of_the_whole_tar(tmp_path: Path) -> None:
    with ShardWriter(tmp_path / "s.tar") as writer:
        for name, data in MEMBERS:
            writer.add(name, data)
    assert writer.sum == file_sum(tmp_path / "s.tar")


@pytest.mark.parametrize("piece_bytes", [1, 2_000, 32 << 20])
def test_pieces_that_go_to_the_disk_change_no_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece_bytes: int
) -> None:
    write(tmp_path / "a.tar", MEMBERS)
    monkeypatch.setattr("storage.shards._PIECE_BYTES", piece_bytes)
    assert write(tmp_path / "b.tar", MEMBERS) and file_sum(tmp_path / "a.tar") == file_sum(tmp_path / "b.tar")


def test_webdataset_reads_samples(tmp_path: Path) -> None:
    pixels_HW = np.arange(64 * 48, dtype=np.uint16).reshape(64, 48)
    meta = {"bits": 12}
    write(
        tmp_path / "s.tar",
        [
            ("k1.image.png", encode_png(pixels_HW)),
            ("k1.json", json.dumps(meta).encode()),
            ("k2.image.png", encode_png(pixels_HW + 1)),
            ("k2.json", json.dumps(meta).encode()),
        ],
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # webdataset leaves its files to the collector
        samples = list(webdataset.WebDataset(str(tmp_path / "s.tar"), shardshuffle=False))
        gc.collect()
    assert [sample["__key__"] for sample in samples] == ["k1", "k2"]
    assert json.loads(samples[0]["json"]) == meta
    np.testing.assert_array_equal(decode_png(samples[1]["image.png"]), pixels_HW + 1)


def test_an_exception_publishes_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="stop"), ShardWriter(tmp_path / "s.tar") as writer:
        writer.add("a.bin", b"1")
        raise RuntimeError("stop")
    assert list(tmp_path.iterdir()) == []


def test_a_name_comes_once(tmp_path: Path) -> None:
    with (
        pytest.raises(StorageError, match=r"^s\.tar already holds a member a\.bin\.$"),
        ShardWriter(tmp_path / "s.tar") as writer,
    ):
        writer.add("a.bin", b"1")
        writer.add("a.bin", b"2")


def test_a_flipped_bit_and_a_short_file_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "s.tar"
    at = write(path, MEMBERS)[1]
    data = bytearray(path.read_bytes())
    data[at.offset + 5] ^= 1
    path.write_bytes(data)
    with pytest.raises(StorageError, match=rf"^{path} is damaged: the {at.size} bytes at {at.offset} "):
        read_member(path, at.offset, at.size, at.crc32c)
    path.write_bytes(data[: at.offset + 3])
    with pytest.raises(StorageError, match=rf"^{path} is damaged"):
        read_member(path, at.offset, at.size, at.crc32c)
    path.unlink()
    with pytest.raises(StorageError, match=rf"^{path} is missing"):
        read_member(path, at.offset, at.size, at.crc32c)
    with pytest.raises(StorageError, match=rf"^{path} is missing"):
        list(iterate_members(path))


def test_a_tar_cut_anywhere_is_never_a_shorter_one(tmp_path: Path) -> None:
    path = tmp_path / "s.tar"
    placed = write(path, MEMBERS)
    whole = path.read_bytes()
    between_members = placed[2].offset - tarfile.BLOCKSIZE
    for length in (0, 100, between_members, placed[2].offset, placed[2].offset + 10):
        path.write_bytes(whole[:length])
        with pytest.raises(StorageError, match=rf"^{path} is not a whole tar"):
            list(iterate_members(path))
