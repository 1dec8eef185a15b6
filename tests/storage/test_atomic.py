"""Whole or not at all: after an exception, a full disk, kill -9 and two writers at once."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from storage.atomic import new_folder, remove_folder, replacing, write_bytes, write_json, write_text
from storage.errors import StorageError
from storage.shards import iterate_members

ROOT = Path(__file__).parents[2]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_write_replaces_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "made" / "x.txt"
    write_text(path, "first")
    write_bytes(path, "zwölf".encode())
    assert path.read_text(encoding="utf-8") == "zwölf"
    assert names(path.parent) == ["x.txt"]


def test_json_is_sorted_strict_and_ends_in_a_newline(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", {"b": float("nan"), "a": [1, (2.5, float("inf"))]})
    text = (tmp_path / "x.json").read_text()
    assert text.startswith('{\n  "a"') and text.endswith("}\n")
    assert json.loads(text) == {"a": [1, [2.5, None]], "b": None}


def test_an_exception_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "x"
    write_bytes(path, b"old")
    with pytest.raises(RuntimeError, match="stop"), replacing(path) as temporary:
        temporary.write_bytes(b"half")
        raise RuntimeError("stop")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["x"]


def test_the_mode_is_the_one_of_the_umask(tmp_path: Path) -> None:
    write_bytes(tmp_path / "ours", b"")
    (tmp_path / "plain").write_bytes(b"")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_rerun_takes_over_what_a_killed_writer_left(tmp_path: Path) -> None:
    (tmp_path / ".x.tmp").write_bytes(b"a longer text, half written")
    with replacing(tmp_path / "x") as temporary, temporary.open("ab") as file:
        file.write(b"whole")
    assert (tmp_path / "x").read_bytes() == b"whole"
    (tmp_path / ".f.tmp").mkdir()
    (tmp_path / ".f.tmp" / "stale").touch()
    with new_folder(tmp_path / "f") as folder:
        (folder / "new").touch()
    assert names(tmp_path) == ["f", "x"]
    assert names(tmp_path / "f") == ["new"]


def test_new_folder_appears_whole_and_is_never_changed(tmp_path: Path) -> None:
    path = tmp_path / "made" / "f"
    with new_folder(path) as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "x").write_bytes(b"1")
        assert not path.exists()
    assert (path / "deep" / "x").read_bytes() == b"1"
    with pytest.raises(StorageError, match=r"f exists already and is never changed"), new_folder(path):
        pass
    with pytest.raises(RuntimeError, match="stop"), new_folder(tmp_path / "g") as folder:
        (folder / "x").touch()
        raise RuntimeError("stop")
    assert names(tmp_path) == ["made"]
    assert names(tmp_path / "made") == ["f"]


def test_remove_folder(tmp_path: Path) -> None:
    remove_folder(tmp_path / "f")
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "x").touch()
    remove_folder(tmp_path / "f")
    assert names(tmp_path) == []


def test_writers_of_one_name_take_turns(tmp_path: Path) -> None:
    path, inside = tmp_path / "x", threading.Lock()

    def write(letter: bytes) -> None:
        for _ in range(20):
            with replacing(path) as temporary:
                assert inside.acquire(blocking=False)
                temporary.write_bytes(letter * 100)
                inside.release()

    threads = [threading.Thread(target=write, args=(letter,)) for letter in (b"a", b"b", b"c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_bytes() in (b"a" * 100, b"b" * 100, b"c" * 100)
    assert names(tmp_path) == ["x"]


def test_a_full_disk_is_a_sentence(tmp_path: Path) -> None:
    sentence = (
        f"No space left on {tmp_path}; free some or choose another folder; nothing half written remains."
    )
    with pytest.raises(StorageError) as caught, replacing(tmp_path / "x") as temporary:
        temporary.write_bytes(b"half")
        with Path("/dev/full").open("wb") as full:
            full.write(b"the kernel answers ENOSPC")
    assert str(caught.value) == sentence
    with pytest.raises(StorageError) as caught, new_folder(tmp_path / "f") as folder:
        (folder / "x").write_bytes(b"half")
        Path("/dev/full").write_bytes(b"the kernel answers ENOSPC")
    assert str(caught.value) == sentence
    assert names(tmp_path) == []


def test_a_file_in_place_of_the_folder_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    with pytest.raises(StorageError, match=r"x can't be written: File exists; choose another folder\."):
        write_bytes(tmp_path / "x" / "y", b"")


FILL = """
    import sys
    from pathlib import Path
    import numpy as np, pandas as pd
    from storage import arrays, atomic, schemas, shards, tables
    from storage.errors import StorageError
    root, noise = Path(sys.argv[1]), np.random.default_rng(0).bytes(3 << 20)

    def shard():
        with shards.ShardWriter(root / "s.tar") as writer:
            writer.add("a.image.png", noise)

    def table():
        rows = pd.DataFrame({"subject": [noise.hex()], "fold": [0], "split": ["test"]})
        tables.write_table(root / "t.parquet", rows, schemas.SPLITS)

    def array():
        with arrays.writing_group(root / "a.zarr") as group:
            values = np.frombuffer(noise, np.uint8)
            arrays.create_array(group, "x", values.shape, (1 << 18,), "u1", {})[:] = values

    for write in (shard, table, array):
        try:
            write()
        except StorageError as error:
            print(error)
    print(sorted(path.name for path in root.iterdir()))
"""


@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs unshare of util-linux")
def test_a_really_full_disk_leaves_nothing(tmp_path: Path) -> None:
    mounted = f'mount -t tmpfs -o size=1m tmpfs "{tmp_path}"'
    probe = subprocess.run(["unshare", "-rm", "sh", "-c", mounted], capture_output=True, check=False)
    if probe.returncode:
        pytest.skip("this machine lets no user mount a small disk")
    script = f'{mounted} && exec "$0" -c "$1" "{tmp_path}"'
    command = ["unshare", "-rm", "sh", "-c", script, sys.executable, textwrap.dedent(FILL)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    sentence = (
        f"No space left on {tmp_path}; free some or choose another folder; nothing half written remains."
    )
    assert done.stdout.splitlines() == [sentence] * 3 + ["[]"], done.stderr


WRITE_FOREVER = """
    import sys
    from itertools import count
    from pathlib import Path
    from storage.atomic import new_folder, write_bytes
    from storage.shards import ShardWriter
    root = Path(sys.argv[1])
    for i in count():
        write_bytes(root / f"{i % 3}.bin", bytes([i % 256]) * 200_000)
        with ShardWriter(root / f"{i % 3}.tar") as writer:
            for member in range(5):
                writer.add(f"{member}.bin", bytes([i % 256]) * 50_000)
        with new_folder(root / f"{i:06d}") as folder:
            for part in range(5):
                (folder / str(part)).write_bytes(bytes([i % 256]) * 50_000)
        print(i, flush=True)
"""


@pytest.mark.parametrize("pause_s", [0.0, 0.011, 0.027, 0.041])
def test_kill_minus_9_leaves_only_whole_things_under_final_names(tmp_path: Path, pause_s: float) -> None:
    command = [sys.executable, "-c", textwrap.dedent(WRITE_FOREVER), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as writer:
        assert writer.stdout is not None
        for _ in range(3):
            writer.stdout.readline()
        time.sleep(pause_s)
        writer.send_signal(signal.SIGKILL)
    final = [path for path in tmp_path.iterdir() if not path.name.startswith(".")]
    assert len(final) >= 9
    for path in final:
        if path.is_dir():
            parts = [part.read_bytes() for part in sorted(path.iterdir())]
        elif path.suffix == ".tar":
            parts = [data for _, data in iterate_members(path)]
        else:
            parts = [path.read_bytes()]
        assert [len(part) for part in parts] == ([200_000] if len(parts) == 1 else [50_000] * 5)
        assert len(set(b"".join(parts))) == 1
