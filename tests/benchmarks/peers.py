"""What other libraries do with the same films, in an environment of their own: run by the other benchmarks.

    PEER_PYTHON peers.py write webdataset|litdata IN OUT png|ours:CODEC      films of IN (DICOM, .npy) into OUT
    PEER_PYTHON peers.py read webdataset|litdata|files OUT SECONDS           films of OUT, shuffled, by 2 workers

Each prints one line of JSON. png is OpenCV's own default, the fastest of the usual ones; ours:CODEC is our encoder.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np

WORKERS = 2
WARM_UP = 8
Encoder = Callable[[Any], bytes]


def encoder(name: str) -> Encoder:
    """Pixels to bytes, on one thread."""
    cv2.setNumThreads(1)
    if name.startswith("ours:"):
        from storage.codec import encode

        return partial(encode, codec=name.removeprefix("ours:"))
    return lambda pixels: cv2.imencode(".png", pixels)[1].tobytes()


def decoded(data: bytes) -> Any:
    """A tensor, which goes through shared memory from worker to reader."""
    import torch

    cv2.setNumThreads(1)
    return torch.from_numpy(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED))


def pixels_of(path: str) -> Any:
    """The film of a DICOM file, as its users read it, or of an array."""
    if path.endswith(".npy"):
        return np.load(path)
    import pydicom

    return pydicom.dcmread(path).pixel_array


def film_paths(folder: str) -> list[str]:
    """The input films."""
    return sorted(str(path) for path in Path(folder).iterdir())


def write_part(paths: list[str], pattern: str, codec: str) -> None:
    """One process' tars, as webdataset writes them."""
    import webdataset

    encode = encoder(codec)
    with webdataset.ShardWriter(pattern, maxsize=256e6, maxcount=64, verbose=0) as writer:
        for path in paths:
            writer.write({"__key__": Path(path).stem, "png": encode(pixels_of(path))})


def write_webdataset(paths: list[str], out: Path, codec: str) -> None:
    """Two processes, each with its own ShardWriter."""
    parts = [(paths[part::WORKERS], str(out / f"{part}-%06d.tar"), codec) for part in range(WORKERS)]
    with get_context("spawn").Pool(WORKERS) as pool:
        pool.starmap(write_part, parts)


def litdata_film(codec: str, path: str) -> dict[str, bytes]:
    """One sample."""
    return {"png": encoder(codec)(pixels_of(path))}


def write_litdata(paths: list[str], out: Path, codec: str) -> None:
    """litdata.optimize with two workers."""
    import litdata

    litdata.optimize(
        partial(litdata_film, codec), paths, str(out), num_workers=WORKERS, chunk_bytes="64MB", verbose=False
    )


def loader_of(name: str, out: Path) -> Any:
    """A loader of two workers that shuffles and decodes; whole samples of one film."""
    import torch

    if name == "litdata":
        import litdata

        class Films(litdata.StreamingDataset):  # type: ignore[misc]
            def __getitem__(self, index: int) -> Any:
                return decoded(super().__getitem__(index)["png"])

        dataset: Any = Films(str(out), shuffle=True)
        return litdata.StreamingDataLoader(dataset, batch_size=1, num_workers=WORKERS, collate_fn=list)
    if name == "webdataset":
        import webdataset

        tars = sorted(str(path) for path in out.glob("*.tar"))
        dataset = webdataset.WebDataset(tars, shardshuffle=True, empty_check=False).shuffle(100)
        dataset = dataset.map(lambda sample: decoded(sample["png"]))
    else:
        paths = sorted(out.glob("*.png"))
        dataset = Files(paths)
    options = {} if name == "webdataset" else {"shuffle": True}
    return torch.utils.data.DataLoader(
        dataset, 1, num_workers=WORKERS, collate_fn=list, persistent_workers=True, **options
    )


class Files:
    """Plain files."""

    def __init__(self, paths: list[Path]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Any:
        return decoded(self.paths[index].read_bytes())


def forever(loader: Any) -> Iterator[Any]:
    """Epoch after epoch."""
    while True:
        yield from loader


def rate(samples: Iterator[Any], seconds: float, warm_up: int = WARM_UP) -> float:
    """Samples per second, once the first have come."""
    for _ in range(warm_up):
        next(samples)
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        next(samples)
        count += 1
    return count / (time.perf_counter() - began)


def main(words: list[str]) -> None:
    """Do it and print what it took."""
    if words[0] == "write":
        _, name, source, target, codec = words
        paths, out = film_paths(source), Path(target)
        out.mkdir(parents=True)
        began = time.perf_counter()
        (write_litdata if name == "litdata" else write_webdataset)(paths, out, codec)
        seconds = time.perf_counter() - began
        size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
        cpu_s = sum(os.times()[:4])  # of this process and those that it waited for
        print(json.dumps({"rate": len(paths) / seconds, "bytes": size, "seconds": seconds, "cpu_s": cpu_s}))
    else:
        _, name, target, wanted = words
        print(json.dumps({"rate": rate(forever(loader_of(name, Path(target))), float(wanted))}))


if __name__ == "__main__":
    main(sys.argv[1:])
