"""Films keep every bit in any codec, another codec makes other shards, a JPEG stays as it came without names."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image
from pydicom.encaps import encapsulate

from pipelines.config import StudyConfig
from pipelines.ingest.run import ingest
from storage.config import IngestConfig
from storage.identity import Secret
from storage.jpeg import stripped
from storage.manifest import Store

CANARY = "canary"
JPEG_BASELINE = "1.2.840.10008.1.2.4.50"


def ingested(hospital: Any, root: Path, codec: str, **options: Any) -> Store:
    config = IngestConfig(
        films_per_shard=4, memory_gb=1, codec=codec, key_file=str(hospital.key_file), **options
    )
    ingest(hospital.raw, root, config, StudyConfig())
    return Store.open(root)


def test_another_codec_gives_the_same_pixels_in_other_shards(hospital: Any, tmp_path: Path) -> None:
    by_codec = {codec: ingested(hospital, tmp_path / codec, codec) for codec in ("png", "htj2k")}
    png, htj2k = (store.manifest.set_index("key") for store in by_codec.values())
    assert set(png["codec"]) == {"png"} and set(htj2k["codec"]) == {"htj2k"}
    assert list(png["pixels_sha256"]) == list(htj2k["pixels_sha256"])
    assert not set(png["shard"]) & set(htj2k["shard"])
    for key in png.index:
        np.testing.assert_array_equal(*(store.read_image(key) for store in by_codec.values()))
    again = ingested(hospital, tmp_path / "png", "htj2k")
    assert set(again.manifest["codec"]) == {"htj2k"}


def test_a_duplicate_keeps_its_codec_when_its_shard_is_copied(hospital: Any, tmp_path: Path) -> None:
    hospital.film(0, 7, seed=10)  # the pixels of subject 1's first film
    store = ingested(hospital, tmp_path / "store", "htj2k")
    assert list(store.exclusions["reason"]) == ["duplicate"]
    assert all(store.read_image(key).any() for key in store.manifest["key"])


def jpeg(pixels_HW: NDArray[np.uint8], orientation: int = 1) -> bytes:
    exif, buffer = Image.Exif(), io.BytesIO()
    exif[0x0112], exif[0x010E] = orientation, f"{CANARY} Jane"
    Image.fromarray(pixels_HW).save(buffer, "JPEG", exif=exif, comment=f"{CANARY} Jane")
    return buffer.getvalue()


def smooth(seed: int) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    return (np.add.outer(np.arange(48), np.arange(40)) + rng.integers(0, 9, (48, 40))).astype(np.uint8)


def test_jpegs_stay_as_they_came_unless_their_pixels_changed(
    hospital: Any, tmp_path: Path, write_dicom: Any
) -> None:
    raw = hospital.raw
    files = {
        f"{name}.jpg": jpeg(smooth(seed), turn)
        for seed, (name, turn) in enumerate([("as", 1), ("turned", 6)])
    }
    for name, data in files.items():
        (raw / f"{CANARY}-0" / name).write_bytes(data)
    for number, (name, polarity) in enumerate([("plain", "MONOCHROME2"), ("inverse", "MONOCHROME1")]):
        elements = {"PatientID": f"{CANARY}-0", "PhotometricInterpretation": polarity}
        path = write_dicom(
            smooth(9), name=f"raw/{CANARY}-0/{name}.dcm", SOPInstanceUID=f"2.25.{number}", **elements
        )
        with_frame(path, jpeg(smooth(5 + number)))
    store = ingested(hospital, tmp_path / "store", "htj2k")
    secret = Secret.load_or_create(hospital.key_file)
    rows = store.manifest.set_index("token")
    found = {
        name: rows.loc[secret.token(f"{CANARY}-0/{name}")]
        for name in ("as.jpg", "turned.jpg", "plain.dcm", "inverse.dcm")
    }
    assert {name: row["codec"] for name, row in found.items()} == {
        "as.jpg": "jpeg",
        "turned.jpg": "htj2k",
        "plain.dcm": "jpeg",
        "inverse.dcm": "htj2k",
    }
    row = found["as.jpg"]
    shard = (tmp_path / "store" / "shards" / row["shard"]).read_bytes()
    assert shard[row["offset"] : row["offset"] + row["size"]] == stripped(files["as.jpg"])
    for name, data in files.items():
        pixels_HW = imagecodecs.jpeg8_decode(data)
        upright_HW = np.rot90(pixels_HW, -1) if name == "turned.jpg" else pixels_HW
        np.testing.assert_array_equal(store.read_image(found[name]["key"]), upright_HW)
    plain_HW, inverse_HW = (store.read_image(found[name]["key"]) for name in ("plain.dcm", "inverse.dcm"))
    np.testing.assert_array_equal(plain_HW, imagecodecs.jpeg8_decode(jpeg(smooth(5))))
    np.testing.assert_array_equal(inverse_HW, 255 - imagecodecs.jpeg8_decode(jpeg(smooth(6))))
    for path in (tmp_path / "store").rglob("*"):
        assert not path.is_file() or CANARY.encode() not in path.read_bytes()


def test_a_jpeg_that_a_person_inverts_is_encoded_anew(hospital: Any, tmp_path: Path) -> None:
    data = {name: jpeg(smooth(seed)) for seed, name in enumerate(("told", "as"))}
    for name, content in data.items():
        (hospital.raw / f"{CANARY}-0" / f"{name}.jpg").write_bytes(content)
    overrides = tmp_path / "overrides.csv"
    overrides.write_text(f"path,polarity\n{CANARY}-0/told.jpg,invert\n")
    store = ingested(hospital, tmp_path / "store", "htj2k", overrides=str(overrides))
    secret = Secret.load_or_create(hospital.key_file)
    rows = store.manifest.set_index("token")
    told, same = (rows.loc[secret.token(f"{CANARY}-0/{name}.jpg")] for name in data)
    assert (told["codec"], same["codec"]) == ("htj2k", "jpeg")
    told_HW = imagecodecs.jpeg8_decode(data["told"])
    np.testing.assert_array_equal(store.read_image(told["key"]), 255 - told_HW)


def test_films_of_any_codec_are_compared(
    hospital: Any, tmp_path: Path, drawn_hand: NDArray[np.uint8]
) -> None:
    """Also where the shards they were written to are gone, and with them how alike the films are."""
    hospital.write_dicom(drawn_hand, name=f"raw/{CANARY}-0/hand.dcm", PatientID=f"{CANARY}-0")
    (hospital.raw / f"{CANARY}-1" / "hand.jpg").write_bytes(jpeg(drawn_hand))
    root = tmp_path / "store"
    store = ingested(hospital, root, "htj2k")
    assert list(store.exclusions["reason"]) == ["near_duplicate"]
    files = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    (root / "records" / "near.json").unlink()
    ingested(hospital, root, "htj2k")
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == files


def with_frame(path: Path, frame: bytes) -> None:
    """Make the file one of JPEG baseline with this frame."""
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = JPEG_BASELINE
    dataset.PixelData = encapsulate([frame])
    dataset["PixelData"].VR = "OB"
    dataset.save_as(path, enforce_file_format=True)
