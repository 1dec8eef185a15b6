"""What a shutter hides changes neither the film beside it nor its contrast."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipelines.segmentation.samples import load_film
from pipelines.segmentation.shown import read_shown
from storage import schemas
from storage.codec import encode_png
from storage.manifest import Store
from storage.shards import ShardWriter
from storage.tables import empty

HEIGHT, WIDTH, EDGE = 48, 40, 8
VALID_HW = np.zeros((HEIGHT, WIDTH), bool)
VALID_HW[EDGE:] = True


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """The same film with a white shutter (k1), with a black one (k2), and whole (k3); each with a mask."""
    store = Store.create(tmp_path / "store", "key1")
    whole_HW = np.random.default_rng(0).integers(500, 1500, (HEIGHT, WIDTH), dtype=np.uint16)
    labels = encode_png(VALID_HW.astype(np.uint8))
    films, masks = [], []
    with ShardWriter(store.root / "shards" / "radiographs-000000-0.tar") as writer:
        for key, hidden in {"k1": 4095, "k2": 0, "k3": None}.items():
            pixels_HW = whole_HW if hidden is None else np.where(VALID_HW, whole_HW, np.uint16(hidden))
            film = writer.add(f"{key}.image.png", encode_png(pixels_HW))
            row = {"key": key, "subject": key, "height": HEIGHT, "width": WIDTH, "bits": 12, "codec": "png"}
            row |= asdict(film) | {"shard": writer.path.name}
            if hidden is not None:
                valid = writer.add(f"{key}.valid.png", encode_png(VALID_HW.astype(np.uint8) * np.uint8(255)))
                row |= {f"valid_{name}": value for name, value in asdict(valid).items()}
            films.append(dict.fromkeys(schemas.MANIFEST.names) | row)
            mask = asdict(writer.add(f"{key}.mask.a0.png", labels))
            masks.append({"key": key, "annotator": "a0", "weight": 1.0, "shard": writer.path.name, **mask})
    annotations = pd.DataFrame([dict.fromkeys(schemas.ANNOTATIONS.names) | mask for mask in masks])
    store.commit(pd.DataFrame(films), annotations, empty(schemas.EXCLUSIONS))
    return store


def test_what_is_hidden_is_dark_and_the_rest_stays(store: Store) -> None:
    shown_HW, whole_HW = read_shown(store, "k1"), store.read_image("k3")
    assert shown_HW.dtype == np.uint16
    np.testing.assert_array_equal(shown_HW[VALID_HW], whole_HW[VALID_HW])
    assert set(shown_HW[~VALID_HW].tolist()) == {int(whole_HW[VALID_HW].min())}
    np.testing.assert_array_equal(read_shown(store, "k3"), whole_HW)


def test_the_segmenter_sees_no_colour_of_a_shutter(store: Store) -> None:
    white, black = (load_film(store, key, 12, HEIGHT, WIDTH, ()) for key in ("k1", "k2"))
    np.testing.assert_array_equal(white.channels_HWC, black.channels_HWC)
    assert np.ptp(white.channels_HWC[EDGE:, :, 0]) == 255
