"""Webdataset's and Ray's own readers find the same bytes in the shards, and none of ours decodes through theirs."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import webdataset

from storage.codec import SUFFIXES, decode, encode
from storage.shards import ShardWriter

PIXELS_HW = np.arange(64 * 48, dtype=np.uint16).reshape(64, 48)
MEMBERS = {f"k{row}": (codec, encode(PIXELS_HW + row, codec)) for row, codec in enumerate(("png", "htj2k"))}


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    path = tmp_path / "radiographs-000000-0.tar"
    with ShardWriter(path) as writer:
        for key, (codec, data) in MEMBERS.items():
            writer.add(f"{key}.image.{SUFFIXES[codec]}", data)
            writer.add(f"{key}.json", json.dumps({"codec": codec}).encode())
    return path


def test_webdataset(shard: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # webdataset leaves its files to the collector
        samples = list(webdataset.WebDataset(str(shard), shardshuffle=False))
        gc.collect()
    assert [sample["__key__"] for sample in samples] == list(MEMBERS)
    for row, sample in enumerate(samples):
        codec, data = MEMBERS[sample["__key__"]]
        assert json.loads(sample["json"]) == {"codec": codec}
        assert sample[f"image.{SUFFIXES[codec]}"] == data
        np.testing.assert_array_equal(decode(data, codec), PIXELS_HW + row)


def test_webdatasets_own_decoders_lose_the_upper_bits_so_we_never_use_them(shard: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = webdataset.WebDataset(str(shard), shardshuffle=False).decode("l8", only="image.png")
        lossy_HW = next(iter(dataset))["image.png"]
        gc.collect()
    assert not np.array_equal(lossy_HW, PIXELS_HW)
    ours = Path(__file__).parents[2]
    sources = [path for room in ("storage", "pipelines", "jobs") for path in (ours / room).rglob("*.py")]
    users = [path for path in sources if "webdataset" in path.read_text()]
    assert not [path for path in users if '.decode("' in path.read_text() or "autodecode" in path.read_text()]


RAYS_READER = """
import json, re, sys
import ray
ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, configure_logging=False)
# Ray wants equal columns in all rows: where films of several codecs share a shard, one name for them
one_name = lambda name: re.sub(r"image\\.\\w+$", "image", name)
rows = ray.data.read_webdataset(sys.argv[1], decoder=False, filerename=one_name).take_all()
print(json.dumps({row["__key__"]: row["image"].hex() for row in rows}))
"""


@pytest.mark.slow
def test_ray(shard: Path) -> None:
    # in a process of its own, as a user has it: Ray keeps the token of the first cluster that a process starts
    command = [sys.executable, "-c", RAYS_READER, str(shard)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    assert json.loads(answer.stdout) == {key: data.hex() for key, (_, data) in MEMBERS.items()}
