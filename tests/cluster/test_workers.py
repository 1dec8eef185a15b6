"""Laws of trainings on workers: the same bits as in one process, after a lost worker, and after a stop."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from cluster.workers import train_on_workers
from storage.errors import ConfigError, InputError, RadmillError

pytestmark = [
    pytest.mark.slow,
    # Ray's defaults for its data library, made with every trainer, warn of themselves
    pytest.mark.filterwarnings(r"ignore:`use_\w+` is deprecated:DeprecationWarning"),
]


@pytest.fixture(scope="module")
def functions(ray_here: None) -> ModuleType:
    """small_workers.py, under the name that workers know it by."""
    from importlib import import_module

    return import_module("small_workers")


def on_workers(function: Any, folder: Path, workers: int = 2, **changes: Any) -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    options: dict[str, Any] = {"max_failures": 0, "stop_file": folder / "stop"}
    options |= {key: changes.pop(key) for key in ("max_failures", "progress") if key in changes}
    arguments = {"folder": str(folder), "stop_file": str(folder / "stop")} | changes
    return train_on_workers(
        function,
        arguments,
        workers=workers,
        cpus_per_worker=1,
        gpus_per_worker=0,
        folder=folder / "ray",
        name="small",
        **options,
    )


def outcome(folder: Path) -> dict[str, Any]:
    """Weights as bytes, and the rows without their times."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return {
        "model": (folder / "model.safetensors").read_bytes(),
        "best": (folder / "best.safetensors").read_bytes(),
        "rows": [{key: row[key] for key in row if key not in ("step_s", "wait_s")} for row in rows],
    }


@pytest.fixture(scope="module")
def undisturbed(functions: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("undisturbed")
    told: list[tuple[int, int, str]] = []
    found = on_workers(functions.fit_small, folder, progress=lambda *words: told.append(words))
    assert found == {"steps": 10, "world_size": 2}
    assert told and told[-1][:2] == (10, 10) and told[-1][2].startswith("loss ")
    assert sorted(path.name for path in (folder / "ray").iterdir()) == ["small.progress.json"]
    return outcome(folder)


def test_one_worker_equals_this_process(functions: ModuleType, tmp_path: Path) -> None:
    assert on_workers(functions.fit_small, tmp_path / "ray", workers=1) == {"steps": 10, "world_size": 1}
    functions.fit_here(tmp_path / "here")
    assert outcome(tmp_path / "ray") == outcome(tmp_path / "here")


def test_a_lost_worker_changes_nothing(
    functions: ModuleType, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    found = on_workers(functions.fit_small, tmp_path, kill_at=5, max_failures=1)
    assert found == {"steps": 10, "world_size": 2}
    assert outcome(tmp_path) == undisturbed
    steps = [int(line.split()[0]) for line in (tmp_path / "asked-0").read_text().splitlines()]
    assert steps == [1, 2, 3, 4, *range(5, 11)]  # step 5 was asked by rank 1, which died, and then by both


def test_a_stop_ends_all_ranks_at_one_step_and_the_rest_is_the_same(
    functions: ModuleType, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(RadmillError, match=r"^Stopped after step \d of 10; the same command") as caught:
        on_workers(functions.fit_small, tmp_path, stop_at=3)
    assert caught.value.exit_code == 75
    asked = [(tmp_path / f"asked-{rank}").read_text() for rank in (0, 1)]
    assert asked[0] == asked[1] and asked[0].endswith(" True\n") and asked[0].count("True") == 1
    (tmp_path / "stop").unlink()
    on_workers(functions.fit_small, tmp_path)
    assert outcome(tmp_path) == undisturbed


def test_one_rank_may_stop_in_the_preparation(functions: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(RadmillError, match=r"^Stopped while the films were prepared;") as caught:
        on_workers(functions.stops_alone, tmp_path)
    assert caught.value.exit_code == 75


def test_a_users_mistake_comes_back_as_its_sentence_and_is_not_repeated(
    functions: ModuleType, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"^films=abc does not exist; name an existing folder\.$"):
        on_workers(functions.raises, tmp_path, kind="user", max_failures=5)


def test_any_other_end_is_a_sentence_and_its_story_a_file(functions: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(RadmillError, match=r"^small failed on its workers in attempt 1 \(worker \d: "):
        on_workers(functions.raises, tmp_path, kind="ours")
    assert "ValueError: a mistake of ours" in (tmp_path / "ray" / "small.error.txt").read_text()


def test_workers_may_not_be_lost_without_end(functions: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(
        RadmillError, match=r"^small failed on its workers in attempt 2 \(worker (1 died|0: )"
    ):
        on_workers(functions.fit_small, tmp_path, kill_at=1, again=True, max_failures=1)


def test_more_workers_than_there_is_room_for(functions: ModuleType, tmp_path: Path) -> None:
    sentence = "cluster.workers=4 with cluster.cpus_per_worker=1 needs 4 CPUs, but Ray has 3 here"
    with pytest.raises(ConfigError, match=sentence):
        on_workers(functions.fit_small, tmp_path, workers=4)
