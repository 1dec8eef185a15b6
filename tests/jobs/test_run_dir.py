"""A finished stage is skipped; a changed one says what changed; an unfinished one keeps its checkpoints."""

from pathlib import Path

from jobs.run_dir import StageFolder

ASKED = {"config": {"segmentation": {"steps": 10, "lr": 0.1}}, "inputs": {"store": "abc"}}


def finished_stage(path: Path) -> StageFolder:
    folder = StageFolder(path, ASKED)
    folder.begin(fresh=False)
    (path / "table.parquet").write_bytes(b"rows")
    folder.finish("2 films", {"seconds": 1.0})
    return folder


def test_finished_stage_is_recognised(tmp_path: Path) -> None:
    folder = finished_stage(tmp_path / "segment")
    assert folder.finished()
    assert folder.summary() == "2 films"
    assert StageFolder(tmp_path / "segment", ASKED).finished()


def test_damaged_output_is_not_finished(tmp_path: Path) -> None:
    folder = finished_stage(tmp_path / "segment")
    (tmp_path / "segment" / "table.parquet").write_bytes(b"rowz")
    assert not folder.finished()


def test_lost_output_is_not_finished(tmp_path: Path) -> None:
    folder = finished_stage(tmp_path / "segment")
    (tmp_path / "segment" / "table.parquet").unlink()
    assert not folder.finished()


def test_changes_are_named(tmp_path: Path) -> None:
    finished_stage(tmp_path / "segment")
    changed = StageFolder(
        tmp_path / "segment",
        {"config": {"segmentation": {"steps": 20, "lr": 0.1}}, "inputs": {"store": "abd"}},
    )
    assert not changed.finished()
    assert changed.changes() == ["config.segmentation.steps: 10 -> 20", 'inputs.store: "abc" -> "abd"']


def test_a_digest_is_not_shown(tmp_path: Path) -> None:
    StageFolder(tmp_path / "predict", {"inputs": {"store": "0a" * 32, "population": "adult"}}).begin(
        fresh=False
    )
    asked = {"inputs": {"store": "0b" * 32, "population": "child", "model": "0c" * 32}}
    changes = StageFolder(tmp_path / "predict", asked).changes()
    assert changes == [
        "inputs.model: unset -> some content",
        'inputs.population: "adult" -> "child"',
        "inputs.store: other content",
    ]


def test_unfinished_attempt_is_kept_and_another_question_is_not(tmp_path: Path) -> None:
    path = tmp_path / "pretrain"
    folder = StageFolder(path, ASKED)
    folder.begin(fresh=False)
    (path / "checkpoints").mkdir()
    folder.begin(fresh=False)
    assert (path / "checkpoints").is_dir()
    StageFolder(path, {"config": {}, "inputs": {}}).begin(fresh=False)
    assert not (path / "checkpoints").exists()


def test_a_finished_stage_survives_a_question_that_does_not_end(tmp_path: Path) -> None:
    path = tmp_path / "pretrain"
    finished_stage(path)
    mistyped = StageFolder(path, {"config": {"backbone": "resnet5O"}, "inputs": {}})
    goes_on = mistyped.begin(fresh=False)
    assert not (path / "table.parquet").exists()
    mistyped.withdraw(goes_on)
    assert StageFolder(path, ASKED).finished()
    assert [one.name for one in tmp_path.iterdir()] == ["pretrain"]


def test_an_attempt_that_is_withdrawn_leaves_nothing_of_its_own(tmp_path: Path) -> None:
    folder = StageFolder(tmp_path / "pretrain", ASKED)
    folder.withdraw(folder.begin(fresh=False))
    assert not list(tmp_path.iterdir())


def test_an_attempt_that_goes_on_keeps_its_checkpoints_though_it_is_withdrawn(tmp_path: Path) -> None:
    folder = StageFolder(tmp_path / "pretrain", ASKED)
    folder.begin(fresh=False)
    (tmp_path / "pretrain" / "checkpoints").mkdir()
    folder.withdraw(folder.begin(fresh=False))
    assert (tmp_path / "pretrain" / "checkpoints").is_dir()


def test_a_killed_change_of_mind_is_recalled(tmp_path: Path) -> None:
    path = tmp_path / "pretrain"
    finished_stage(path)
    StageFolder(path, {"config": {"steps": 3}, "inputs": {}}).begin(fresh=False)
    again = StageFolder(path, ASKED)
    again.recall()
    assert again.finished()


def test_what_was_set_aside_goes_when_another_ends(tmp_path: Path) -> None:
    path = tmp_path / "pretrain"
    finished_stage(path)
    other = StageFolder(path, {"config": {"steps": 3}, "inputs": {}})
    other.begin(fresh=False)
    other.finish("3 steps", {})
    assert [one.name for one in tmp_path.rglob("*") if one.name == "pretrain"] == ["pretrain"]


def test_fresh_starts_over(tmp_path: Path) -> None:
    path = tmp_path / "pretrain"
    folder = finished_stage(path)
    folder.begin(fresh=True)
    assert not (path / "table.parquet").exists()
    assert not folder.finished()


def test_times_do_not_change_the_fingerprint(tmp_path: Path) -> None:
    first, second = finished_stage(tmp_path / "a"), StageFolder(tmp_path / "b", ASKED)
    second.begin(fresh=False)
    (tmp_path / "b" / "table.parquet").write_bytes(b"rows")
    second.finish("2 films", {"seconds": 99.0})
    assert first.fingerprint() == second.fingerprint()
