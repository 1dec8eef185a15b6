"""Reading beside litdata, webdataset and plain files, 2 workers each, decoding included, in the same run:

    python tests/benchmarks/read_speed.py --peer-python PEERS/bin/python --films 400 --kind 16 --seconds 20

PEERS as for write_speed.py. Rates are of the steady state, over as many epochs as fit. Below the films: crops of
256 x 256 in batches, and one window of 512 x 512, as milliseconds beside decoding the whole PNG.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import cv2
import imagecodecs
import numpy as np
import pandas as pd
from bench_films import KINDS, Kind, films
from peers import WORKERS, encoder, rate

from storage import schemas
from storage.arrays import create_array, writing_group
from storage.blocks import RowReader
from storage.codec import SUFFIXES, decode, encode
from storage.manifest import Store
from storage.prefetch import prefetch
from storage.reading import film_reader
from storage.sampler import SampleOrder
from storage.shards import ShardWriter
from storage.streaming import stream_films
from storage.tables import empty
from storage.windows import open_cache

PROJECT = Path(__file__).parents[2]
CODECS = ("png", "htj2k")
CROP = 256
CROPS_PER_FILM = 16
REPEATS = 50  # of a few films in memory, lest starting threads counts
Measured = dict[str, float]


def make_store(root: Path, kind: Kind, count: int, codec: str) -> Store:
    """A store of one codec, 16 films per shard."""
    store, rows = Store.create(root, "benchmark"), []
    pixels = films(kind, count)
    for start in range(0, count, 16):
        with ShardWriter(root / "shards" / f"radiographs-{start:06d}-0.tar") as writer:
            for number in range(start, min(start + 16, count)):
                film, key = next(pixels), f"k{number:06d}"
                at = writer.add(f"{key}.image.{SUFFIXES[codec]}", encode(film, codec))
                row = {"key": key, "height": film.shape[0], "width": film.shape[1], "bits": kind.bits}
                place = {"codec": codec, "shard": writer.path.name, "pixels_sha256": key} | asdict(at)
                rows.append(dict.fromkeys(schemas.MANIFEST.names) | row | place)
    nothing = [empty(schema) for schema in (schemas.ANNOTATIONS, schemas.EXCLUSIONS)]
    store.commit(pd.DataFrame(rows), *nothing)
    return store


def epochs(begin: Callable[[int], Iterator[Any]]) -> Iterator[Any]:
    """The samples of epoch 0, 1, ..."""
    epoch = 0
    while True:
        yield from begin(epoch)
        epoch += 1


def by_reader(store: Store, shuffle: str) -> Iterator[Any]:
    """Films by pread, full or block shuffle."""
    reader = film_reader(store, 0, shuffle)
    state = reader.order.start()

    def begin(epoch: int) -> Iterator[Any]:
        return reader.batches(replace(state, epoch=epoch), 1, workers=WORKERS)

    return epochs(begin)


def by_cache(store: Store) -> Iterator[Any]:
    """Films from their Zarr cache, full shuffle."""
    cache, keys = open_cache(store, "films"), store.manifest["key"].tolist()
    order = SampleOrder(len(keys), 0)

    def begin(epoch: int) -> Iterator[Any]:
        drawn = order.batch(epoch, 0, len(keys), 0, 1)[0].tolist()
        return prefetch([keys[index] for index in drawn], cache.read_image, WORKERS)

    return epochs(begin)


def limit(store: Store, seconds: float) -> float:
    """Films per second of the codec alone: decoding what is in memory, by as many threads."""
    rows = store.manifest.head(8)
    members = [
        ((store.root / "shards" / row.shard).read_bytes()[row.offset : row.offset + row.size], row.codec)
        for row in rows.itertuples()
    ] * REPEATS
    return rate(
        epochs(lambda _: prefetch(members, lambda member: decode(*member), WORKERS, ahead=8)), seconds
    )


def peer(python: str, *words: str) -> Measured:
    """What another library measures, or writes."""
    command = [python, str(PROJECT / "tests/benchmarks/peers.py"), *words]
    environment = os.environ | {"PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    result: Measured = json.loads(done.stdout.splitlines()[-1])
    return result


def peer_sets(
    python: str, folder: Path, pixels: Iterator[Any], names: Sequence[str] = ("webdataset", "litdata")
) -> dict[str, Path]:
    """The same films as the peers write them, and as plain PNG files."""
    arrays, files = folder / "arrays", folder / "files"
    arrays.mkdir(parents=True)
    files.mkdir()
    encode_png = encoder("png")
    for number, film in enumerate(pixels):
        np.save(arrays / f"{number:06d}.npy", film)
        (files / f"{number:06d}.png").write_bytes(encode_png(film))
    for name in names:
        peer(python, "write", name, str(arrays), str(folder / name), "png")
    return {"files": files, **{name: folder / name for name in names}}


def compare_films(kind: Kind, count: int, python: str, seconds: float, folder: Path) -> Store:
    """Print the table of whole films; the store in PNG."""
    stores = {codec: make_store(folder / codec, kind, count, codec) for codec in CODECS}
    sets = peer_sets(python, folder / "peers", films(kind, count))
    rates: Measured = {}
    for name, path in sets.items():
        rates[f"{name} png"] = peer(python, "read", name, str(path), str(seconds))["rate"]
    best, limits = max(rates.values()), {}
    for codec, store in stores.items():
        for shuffle in ("full", "block"):
            rates[f"ours {codec} {shuffle}"] = rate(by_reader(store, shuffle), seconds)
        rates[f"ours {codec} stream"] = rate(
            epochs(lambda epoch, store=store: stream_films(store, 0, epoch, buffer=16)), seconds
        )
        limits[codec] = limit(store, seconds)
    if kind.bits > 8:
        rates["ours cache full"] = rate(by_cache(stores["png"]), seconds)
    sizes = {codec: store.manifest["size"].mean() / 1e6 for codec, store in stores.items()}
    sizes["files"] = np.mean([path.stat().st_size for path in sets["files"].iterdir()]) / 1e6
    print(
        f"\n{count} films of {kind.height} x {kind.width}, {kind.bits} bit, {kind.mb:.1f} MB each;", end=" "
    )
    print("; ".join(f"{name} {size:.2f} MB" for name, size in sizes.items()))
    print(f"{'':22} films/s   MB/s  of best peer  of codec's limit")
    for name, value in rates.items():
        share = value / limits[name.split()[1]] if name.split()[1] in limits and "ours" in name else np.nan
        print(f"{name:22} {value:7.2f} {value * kind.mb:6.0f} {value / best:13.2f} {share:17.2f}")
    return stores["png"]


def compare_crops(count: int, python: str, seconds: float, folder: Path) -> None:
    """Print the rates of crops of 12 bits, from the Zarr cache and from webdataset's PNGs."""
    crops = [
        film[y : y + CROP, x : x + CROP]
        for film in films(KINDS["16"], -(-count // CROPS_PER_FILM))
        for y in range(0, 4 * CROP, CROP)
        for x in range(0, 4 * CROP, CROP)
    ][:count]
    shape = (len(crops), CROP, CROP)
    with writing_group(folder / "crops.zarr") as group:
        array = create_array(group, "image", shape, (16, CROP, CROP), np.uint16, {}, shards=(512, CROP, CROP))
        for start in range(0, len(crops), 512):
            array[start : start + 512] = np.stack(crops[start : start + 512])
    reader = RowReader(folder / "crops.zarr", ["image"], 0, "")
    state = reader.order.start()
    batches = epochs(lambda epoch: reader.batches(replace(state, epoch=epoch), 64, workers=WORKERS))
    ours = 64 * rate(batches, seconds, warm_up=4)
    sets = peer_sets(python, folder / "crop-peers", iter(crops), ["webdataset"])
    theirs = peer(python, "read", "webdataset", str(sets["webdataset"]), str(seconds))["rate"]
    print(
        f"\ncrops {CROP} x {CROP}: Zarr blocks {ours:.0f}/s, webdataset PNG {theirs:.0f}/s: {ours / theirs:.2f}"
    )


def compare_window(store: Store, seconds: float) -> None:
    """Print the time of a window, and of the film that it would have to be cut from."""
    cache, keys = open_cache(store, "windows"), store.manifest["key"].tolist()
    rng = np.random.default_rng(0)

    def window() -> None:
        height, width = (int(store.manifest[side].iat[0]) for side in ("height", "width"))
        y0, x0 = int(rng.integers(height - 512)), int(rng.integers(width - 512))
        cache.read_window(keys[rng.integers(len(keys))], y0, x0, 512, 512)

    def milliseconds(call: Callable[[], object]) -> float:
        def calls() -> Iterator[object]:
            while True:
                yield call()

        return 1000 / rate(calls(), seconds, warm_up=2 * len(keys))

    png = encode(store.read_image(keys[0]), "png")
    theirs = encoder("png")(store.read_image(keys[0]))
    taken = {
        "window of 512 from tiles": milliseconds(window),
        "our PNG, our decoder": milliseconds(lambda: decode(png, "png")),
        "our PNG, libpng": milliseconds(lambda: imagecodecs.png_decode(png)),
        "OpenCV's PNG, OpenCV": milliseconds(
            lambda: cv2.imdecode(np.frombuffer(theirs, np.uint8), cv2.IMREAD_UNCHANGED)
        ),
    }
    print("\nmilliseconds: " + ", ".join(f"{name} {value:.1f}" for name, value in taken.items()))


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peer-python", required=True)
    parser.add_argument("--films", type=int, default=400)
    parser.add_argument("--crops", type=int, default=4096)
    parser.add_argument("--kind", choices=KINDS, nargs="+", default=list(KINDS))
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--folder", type=Path, help="where to work, on the disk to be measured")
    arguments = parser.parse_args()
    python, seconds = arguments.peer_python, arguments.seconds
    for name in arguments.kind:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            store = compare_films(KINDS[name], arguments.films, python, seconds, Path(folder))
            if KINDS[name].bits > 8:
                compare_window(store, min(seconds, 5))
                compare_crops(arguments.crops, python, seconds, Path(folder))


if __name__ == "__main__":
    main()
