from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.config import StudyConfig
from pipelines.ingest.run import ingest
from storage.config import IngestConfig
from storage.errors import ConfigError, InputError
from storage.manifest import Store

CANARY = "canary"
SMALL = IngestConfig(films_per_shard=4, memory_gb=1)


def ingested(hospital: Any, root: Path, **options: Any) -> Store:
    config = replace(SMALL, key_file=str(hospital.key_file), **options)
    ingest(hospital.raw, root, config, StudyConfig())
    return Store.open(root)


def test_d16_films_known_to_show_something_else_stay_out(hospital: Any, tmp_path: Path) -> None:
    hospital.film(1, 5, seed=105, BodyPartExamined="FOOT", SeriesDescription=None)
    hospital.film(1, 6, seed=106, BodyPartExamined="EXTREMITY", SeriesDescription=None, ViewPosition="")
    hospital.film(1, 7, seed=107, ViewPosition="LL")
    hospital.film(1, 8, seed=108, ViewPosition="", SeriesDescription="hand oblique")
    everything = ingested(hospital, tmp_path / "all")
    assert len(everything.manifest) == 16
    assert Counter(everything.manifest["body_part"]) == {"hand": 14, "foot": 1, "": 1}
    assert Counter(everything.manifest["view_source"]) == {"header": 14, "text": 1, "": 1}
    gated = ingested(hospital, tmp_path / "gated", body_parts=["hand", "wrist"], views=["PA"])
    assert Counter(gated.exclusions["reason"]) == {"wrong_body_part": 1, "wrong_view": 2}
    assert len(gated.manifest) == 13, "what is unknown stays"


def test_what_ingest_leaves_open_the_study_decides(hospital: Any, tmp_path: Path) -> None:
    hospital.film(1, 5, seed=105, BodyPartExamined="FOOT", SeriesDescription=None)
    hospital.film(1, 6, seed=106, BodyPartExamined="", SeriesDescription=None, ViewPosition="")
    hospital.film(1, 7, seed=107, ViewPosition="LL")
    config = replace(SMALL, key_file=str(hospital.key_file))
    study = StudyConfig(views=["PA"], body_parts=["hand"])
    details = []
    for root, gates in (("study", config), ("ingest", replace(config, views=["PA", "LL"]))):
        ingest(hospital.raw, tmp_path / root, gates, study)
        details.append(set(Store.open(tmp_path / root).exclusions["detail"]))
    part = "the body part is not among study.body_parts"
    assert details == [{part, "the view is not among study.views"}, {part}]


def test_where_every_film_is_gated_out_the_sentence_says_why(hospital: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="12 wrong_view"):
        ingested(hospital, tmp_path / "store", views=["LATERAL"])


@pytest.mark.parametrize(
    "option", [{"views": ["pa"]}, {"body_parts": ["hnd"]}, {"frames": "last"}, {"twins": "none"}]
)
def test_unknown_words_are_named(option: dict[str, Any]) -> None:
    [name] = option
    with pytest.raises(ConfigError, match=f"^ingest.{name} must be one of"):
        IngestConfig(**option)


EXPOSURES: list[tuple[dict[str, Any], dict[str, Any], bool]] = [
    ({"IrradiationEventUID": "2.25.7"}, {"IrradiationEventUID": "2.25.7"}, True),
    ({"IrradiationEventUID": "2.25.7"}, {"IrradiationEventUID": "2.25.8"}, False),
    ({"AcquisitionDateTime": "20200229101112.5"}, {"AcquisitionDateTime": "20200229101112.5"}, True),
    (
        {"AcquisitionDate": "20200229", "AcquisitionTime": "101112"},
        {"AcquisitionDate": "20200229", "AcquisitionTime": "101112"},
        True,
    ),
    ({"AcquisitionTime": "101112"}, {"AcquisitionTime": "101112"}, False),
    ({"AcquisitionDateTime": "20200229"}, {"AcquisitionDateTime": "20200229"}, False),
    ({"AcquisitionDateTime": "202002291011"}, {"AcquisitionDateTime": "202002291011"}, False),
    (
        {"AcquisitionDateTime": "20200229", "AcquisitionDate": "20200229", "AcquisitionTime": "101112"},
        {"AcquisitionDateTime": "20200229101112"},
        True,
    ),
    (
        {"AcquisitionDateTime": "20200229101112.5", "ViewPosition": "LL"},
        {"AcquisitionDateTime": "20200229101112.5"},
        False,
    ),
    ({"SOPInstanceUID": "2.25.70"}, {}, False),
]


@pytest.mark.parametrize(("shown", "raw", "twins"), EXPOSURES)
@pytest.mark.parametrize("policy", ["presentation", "processing", "both"])
def test_d7_of_twins_one_stays(
    hospital: Any, tmp_path: Path, shown: dict[str, Any], raw: dict[str, Any], twins: bool, policy: str
) -> None:
    hospital.film(1, 5, seed=105, PresentationIntentType="FOR PRESENTATION", **shown)
    hospital.film(1, 6, seed=106, PresentationIntentType="FOR PROCESSING", **raw)
    store = ingested(hospital, tmp_path / "store", twins=policy)
    out = twins and policy != "both"
    assert list(store.exclusions["reason"]) == ["twin"] * out
    stays = {
        "presentation": {"FOR PRESENTATION"},
        "processing": {"FOR PROCESSING"},
    }.get(policy, set()) if out else {"FOR PRESENTATION", "FOR PROCESSING"}  # fmt: skip
    assert set(store.manifest["presentation_intent"]) - {""} == stays


def test_d7_a_film_made_from_another_is_its_twin(hospital: Any, tmp_path: Path) -> None:
    import pydicom

    source = pydicom.Dataset()
    source.ReferencedSOPInstanceUID = "2.25.61"
    hospital.film(1, 5, seed=105, PresentationIntentType="FOR PRESENTATION", SourceImageSequence=[source])
    hospital.film(1, 6, seed=106, PresentationIntentType="FOR PROCESSING", SOPInstanceUID="2.25.61")
    store = ingested(hospital, tmp_path / "store")
    assert list(store.exclusions["reason"]) == ["twin"]


def test_d7_two_people_never_have_twins(hospital: Any, tmp_path: Path) -> None:
    event = {"IrradiationEventUID": "2.25.7", "StudyInstanceUID": "1.2.3"}
    hospital.film(1, 5, seed=105, PresentationIntentType="FOR PRESENTATION", **event)
    hospital.film(2, 5, seed=205, PresentationIntentType="FOR PROCESSING", **event)
    assert not len(ingested(hospital, tmp_path / "store").exclusions)


def test_d20_one_person_is_one_subject_over_studies_sides_and_spellings(
    hospital: Any, tmp_path: Path
) -> None:
    for number, patient in enumerate((f"{CANARY}-9", f" {CANARY}-9 ", f"{CANARY}-9".upper())):
        hospital.film(
            9,
            number,
            seed=900 + number,
            PatientID=patient,
            StudyInstanceUID=f"1.2.9.{number}",
            ImageLaterality="LR"[number % 2],
        )
    store = ingested(hospital, tmp_path / "store")
    assert store.manifest["subject"].nunique() == 7


def test_masks_stay_where_the_first_frame_is_not_chosen(hospital: Any, tmp_path: Path) -> None:
    loop = np.stack([hospital.pixels(seed) for seed in range(300, 304)])
    hospital.write_dicom(loop, name="raw/loop.dcm", PatientID="x", Modality="XA", SOPInstanceUID="2.25.11")
    hospital.mask(0, 0, "a0").rename(hospital.annotations / "loop.a0.png")
    config = replace(SMALL, key_file=str(hospital.key_file), frames="mid2")
    ingest(hospital.raw, tmp_path / "store", config, StudyConfig(), annotations=hospital.annotations)
    store = Store.open(tmp_path / "store")
    loops = store.manifest.query("modality == 'XA'")
    assert sorted(loops["frame"]) == [1, 2]
    [marked] = set(loops["key"]) & set(store.annotations["key"])
    assert loops.set_index("key")["frame"][marked] == 1


def test_a_film_that_stays_out_does_not_count_in_the_order(hospital: Any, tmp_path: Path) -> None:
    """Nor does what an earlier ingest saw: the bytes under a shard's name are those of a fresh store."""
    root, fresh = tmp_path / "store", tmp_path / "fresh"
    first = ingested(hospital, root, views=["PA"])
    assert set(first.manifest["order"]) == {0, 1}
    hospital.film(1, 5, seed=105, ViewPosition="LL", StudyDate="20100101")
    again = ingested(hospital, root, views=["PA"])
    ingested(hospital, fresh, views=["PA"])
    assert again.manifest.equals(first.manifest)
    for path in (fresh / "shards").iterdir():
        assert path.read_bytes() == (root / "shards" / path.name).read_bytes()
    everything = ingested(hospital, root)
    assert set(everything.manifest["order"]) == {0, 1, 2}
    ingested(hospital, fresh)
    for path in (fresh / "shards").iterdir():
        assert path.read_bytes() == (root / "shards" / path.name).read_bytes()


def test_the_exclusion_says_that_a_twin_was_chosen_unread(hospital: Any, tmp_path: Path) -> None:
    event = {"IrradiationEventUID": "2.25.7"}
    shown = hospital.film(1, 5, seed=105, PresentationIntentType="FOR PRESENTATION", **event)
    shown.write_bytes(shown.read_bytes()[:-900])
    hospital.film(1, 6, seed=106, PresentationIntentType="FOR PROCESSING", **event)
    exclusions = ingested(hospital, tmp_path / "store").exclusions.set_index("reason")["detail"]
    assert exclusions["twin"] == "its twin was chosen, readable or not, by ingest.twins=presentation"
    assert "unreadable" in exclusions
