"""The command line from outside: exit codes, help, speed of the light commands."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.__main__ import main
from jobs.registry import JOBS
from pipelines.pretraining.config import METHODS

LIGHT = [
    "info",
    "--help",
    "demo --help",
    "demo --cfg job --resolve",
    "--completion bash",
    "plan demo",
    "plan --help",
    "store ls --help",
]


@pytest.mark.parametrize("words", LIGHT)
def test_light_commands_import_nothing_heavy(words: str) -> None:
    code = (
        "import sys; from jobs.__main__ import main; code = main(sys.argv[1:]);"
        "heavy = {'torch', 'ray', 'pandas'} & set(sys.modules); print(sorted(heavy), file=sys.stderr); sys.exit(code)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, *words.split()], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert run.stderr.strip() == "[]"
    assert run.stdout


@pytest.mark.parametrize("words", ["ingest --help", "plan demo"])
def test_a_reader_that_has_enough(words: str) -> None:
    """`radmill ... | head`: no word of a broken pipe."""
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "jobs", *words.split()]
    run = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert run.returncode in (0, 141) and not run.stderr  # 0 where all was said before it was noticed


def test_info_is_json() -> None:
    run = subprocess.run([sys.executable, "-m", "jobs", "info"], capture_output=True, text=True, check=True)
    told = json.loads(run.stdout)
    assert set(JOBS) <= set(told["jobs"])
    assert (told["studies"], told["methods"]) == (["hand", "hsg"], list(METHODS))


@pytest.mark.parametrize("job", JOBS)
def test_every_job_has_help(job: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*job.split(), "--help"]) == 0
    assert JOBS[job].example in capsys.readouterr().out


def failing(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    code = main(list(words))
    return code, capsys.readouterr().err


def test_unknown_job(capsys: pytest.CaptureFixture[str]) -> None:
    assert failing(capsys, "ingets") == (
        2,
        "radmill: There is no job 'ingets'. Did you mean ingest? radmill --help lists the jobs.\n",
    )


@pytest.mark.parametrize("words", ["info x=1", "plan", "plan info x=1", "plan plan"])
def test_jobs_without_keys_of_their_own_take_none(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = failing(capsys, *words.split())
    assert code == 2
    assert "takes no words" in text or "needs a job with keys of its own" in text


def test_missing_folder(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, text = failing(capsys, "ingest", f"raw={tmp_path}/absent", f"store={tmp_path}/store")
    assert code == 2
    assert text == f"radmill: raw={tmp_path}/absent does not exist; name an existing folder.\n"
    assert not (tmp_path / "store").exists()


def test_empty_folder_and_folder_without_films(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    code, text = failing(capsys, "ingest", f"raw={raw}", f"store={tmp_path}/store")
    assert (code, text) == (2, f"radmill: raw={raw} holds no files; name a folder with films.\n")
    (raw / "letter.dcm").write_text("dear colleague")
    code, text = failing(capsys, "ingest", f"raw={raw}", f"store={tmp_path}/store")
    assert code == 2
    assert "holds no radiograph that can be used: of 1 files and frames, 1 not_an_image" in text
    assert not (tmp_path / "store" / "CURRENT").exists()


def test_two_runs_on_one_out(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from storage.lock import FolderLock

    out = tmp_path / "out"
    out.mkdir()
    with FolderLock(out, "radmill demo"):
        code, text = failing(capsys, "demo", f"out={out}")
    assert code == 1
    assert "radmill demo" in text and str(out) in text


def test_out_of_another_run(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from jobs.owner import claim

    claim(tmp_path / "out", {"job": "run", "study": "hand", "raw": "/a", "store": "/b"}, fresh=False)
    code, text = failing(capsys, "demo", f"out={tmp_path}/out")
    assert code == 2
    assert "belongs to another run (job=run, now job=demo)" in text


def test_run_without_masks_needs_a_segmenter(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "film.dcm").write_bytes(b"film")
    code, text = failing(
        capsys, "run", f"raw={tmp_path}/raw", f"store={tmp_path}/store", f"out={tmp_path}/out"
    )
    assert code == 2
    assert "a trained segmenter is needed" in text
