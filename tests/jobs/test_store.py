"""The jobs that look into a store and care for it, from the command line."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from jobs.__main__ import main
from pipelines.reporting.sheet import flags
from storage.care import tombstones
from storage.lock import FolderLock
from storage.manifest import Store
from storage.schemas import ANNOTATIONS, EXCLUSIONS, MANIFEST
from storage.seal import write_sealed_json
from storage.tables import empty
from tests.storage.care.conftest import SECRET, SUBJECTS, film_key, make_store


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_store(tmp_path_factory.mktemp("jobs") / "store")


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "store"))


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(["store", *words])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.parametrize(
    ("words", "none_of"),
    [
        ("show KEY", {"torch", "ray", "pandas"}),
        ("ls laterality=L", {"torch", "ray", "pandas"}),
        ("ls reason=any", {"torch", "ray", "pandas"}),
        ("stats", {"torch", "ray", "pandas"}),
        ("verify", {"torch", "ray", "pandas"}),
        ("sheet out=OUT", {"torch", "ray"}),
        ("stats out=OUT", {"torch", "ray"}),
        ("gc dry=true", {"torch", "ray"}),
        ("repair", {"torch", "ray"}),
        ("rebuild", {"torch", "ray"}),
    ],
)
def test_no_look_imports_what_it_does_not_need(
    root: Path, words: str, none_of: set[str], tmp_path: Path
) -> None:
    shutil.rmtree(root / "arrays")  # a cache of toy crops, which rebuild would not find in its segmentation
    code = (
        "import sys; from jobs.__main__ import main; code = main(sys.argv[1:]);"
        f"print(sorted({none_of!r} & set(sys.modules)), file=sys.stderr); sys.exit(code)"
    )
    typed = words.replace("KEY", film_key(0, 0)).replace("OUT", str(tmp_path / "x.png")).split()
    command = [sys.executable, "-c", code, "store", *typed, f"store={root}"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stderr.strip().splitlines()[-1] == "[]"


def test_show(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = film_key(0, 0)
    code, out, _ = said(capsys, "show", key[:9], f"store={root}", f"out={tmp_path}/new/film.png")
    assert code == 0
    lines = {line.split()[0]: line.split()[1:] for line in out.splitlines()}
    assert lines["key"] == [key] and lines["subject"] == [SUBJECTS[0]] and lines["height"] == ["40"]
    assert "mask a0              weight 0.5 itk" in out
    assert lines["segmentation"] == ["aaaabbbbcccc:", "ulna"]
    picture = np.asarray(Image.open(tmp_path / "new" / "film.png"))
    assert picture.shape == (40, 36, 3)
    assert (picture[..., 0] != picture[..., 2]).any(), "outlines are in colour"


def test_show_of_a_wrong_key(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = film_key(0, 0)
    code, _, err = said(capsys, "show", f"key={key[:-1]}!", f"store={root}")
    assert (code, err) == (
        2, f"radmill: The store holds no film '{key[:-1]}!'. Did you mean {key}? radmill store ls lists them.\n",
    )  # fmt: skip
    code, _, err = said(capsys, "show", f"store={root}")
    assert code == 2 and "needs a key" in err


def test_an_unknown_second_word(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "verfiy")[2] == (
        "radmill: There is no job 'store verfiy'. Did you mean store verify? radmill --help lists the jobs.\n"
    )


def test_ls(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = said(capsys, "ls", f"store={root}", f"subject={SUBJECTS[1][:10]}", "laterality=L")
    header, row = (line.split("\t") for line in out.splitlines())
    assert dict(zip(header, row, strict=True))["key"] == film_key(1, 1)
    _, out, _ = said(capsys, "ls", f"store={root}", "reason=not_an_image")
    assert out.splitlines()[1:] == [f"{SECRET.token('letter.txt')}\t0\tnot_an_image\t-\tscan"]


def test_ls_of_what_can_not_be(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, sentence in (
        ("laterality=left", "laterality must be one of B, L, R, but is left."),
        ("modality=CT", "modality must be one of DX, but is CT."),
        ("subject=nobody", "holds no film of subject 'nobody', nor of one that begins so"),
    ):
        code, out, err = said(capsys, "ls", f"store={root}", *words.split())
        assert (code, out) == (2, "") and sentence in err
    code, out, _ = said(capsys, "ls", f"store={root}", "laterality=R")
    assert code == 0 and len(out.splitlines()) == 1, "a right hand may be asked for where there is none"


def test_show_tells_the_outcome(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = said(capsys, "show", film_key(0, 0), f"store={root}")
    assert "outcome              0 (value -1, rule -)" in out
    known = Store.open(root).outcomes
    Store.open(root).write_outcomes(pd.concat([known, known.assign(exam="another", outcome=1)]))
    _, out, _ = said(capsys, "show", film_key(0, 0), f"store={root}")
    assert "outcome              0 (value -1, rule -)" in out, "of another exam"
    (root / "outcomes.parquet").unlink()
    _, out, _ = said(capsys, "show", film_key(0, 0), f"store={root}")
    assert "outcome              -\n" in out


def test_stats_hide_small_groups(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = said(capsys, "stats", f"store={root}", f"out={tmp_path}/stats.html")
    assert code == 0 and out.startswith("PHANTOM DATA\n10 films of 5 subjects")
    rows = [line.split() for line in out.splitlines()]
    assert ["DX", "10", "5", "0.0"] in rows
    assert ["conflict", "<5", "<5", "-"] in rows  # the films of one person
    assert ["not_an_image", "1"] in rows
    page = (tmp_path / "stats.html").read_text()
    assert (
        page.count("PHANTOM DATA") >= 2
        and "&lt;5" in page
        and "http" not in page.replace("http://www.w3.org", "")
    )
    for name in ("stats.svg", "stats.png"):
        assert said(capsys, "stats", f"store={root}", f"out={tmp_path}/{name}")[0] == 0
    assert np.asarray(Image.open(tmp_path / "stats.png")).shape[1] > 1000
    code, _, err = said(capsys, "stats", f"store={root}", f"out={tmp_path}/stats.pdf")
    assert code == 2 and "must end in .html, .png, .svg" in err


def grouped_store(root: Path, people: dict[str, int]) -> Path:
    """A store of one film per person; view -> how many people."""
    rows = []
    for view, count in people.items():
        for number in range(count):
            name = f"{view}{number}"
            described = {
                "key": name,
                "subject": name,
                "token": name,
                "view": view,
                "shard": "s.tar",
                "size": 10**6,
            }
            rows.append(
                dict.fromkeys(MANIFEST.names) | described | {"height": 40, "width": 40, "data_kind": "real"}
            )
    (root / "shards").mkdir(parents=True)
    (root / "shards" / "s.tar").write_bytes(b"")
    store = Store.create(root, SECRET.key_id)
    store.commit(pd.DataFrame(rows, columns=MANIFEST.names), empty(ANNOTATIONS), empty(EXCLUSIONS))
    return root


@pytest.mark.parametrize(
    ("people", "views"),
    [
        ({"PA": 30, "AP": 12, "LL": 2}, {"PA": "30", "AP": "*", "LL": "<5"}),  # 44 - 30 are two groups
        ({"PA": 30, "AP": 4, "LL": 4}, {"PA": "30", "AP": "<5", "LL": "<5"}),  # eight people behind both
        ({"PA": 30, "AP": 9, "LL": 1, "RL": 1}, {"PA": "30", "AP": "*", "LL": "<5", "RL": "<5"}),
        ({"PA": 30, "AP": 5}, {"PA": "30", "AP": "5"}),
        ({"PA": 30, "AP": 1}, {"PA": "*", "AP": "<5"}),
    ],
)
def test_no_total_tells_a_hidden_group(
    people: dict[str, int], views: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, out, _ = said(capsys, "stats", f"store={grouped_store(tmp_path / 'grouped', people)}")
    shown = {row[0]: row[1:] for line in out.splitlines() if (row := line.split()) and row[0] in people}
    assert {view: row[0] for view, row in shown.items()} == views
    hidden = {view: told for view, told in views.items() if not told.isdigit()}
    assert all(shown[view] == [told, told, "-"] for view, told in hidden.items())
    assert ("* hidden" in out) == ("*" in views.values())


def test_a_store_of_few_people_tells_no_total(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = said(capsys, "stats", f"store={grouped_store(tmp_path / 'grouped', {'PA': 4})}")
    assert out.splitlines()[0] == "films of <5 subjects" and "4" not in out.replace("40", "")


def test_flagged_is_what_is_in_doubt(tmp_path: Path) -> None:
    told = {"polarity_flag": "inverted", "laterality": "L", "spacing_source": "detector"}
    assert flags(told) == []
    assert flags(told | {"polarity_flag": "conflict"}) == ["polarity?"]
    assert flags(told | {"laterality": "B", "laterality_source": "content"}) == ["both hands"]
    assert flags(told | {"laterality": "B", "laterality_source": "override"}) == []


def test_a_sheet_of_a_damaged_store_says_what_mends_it(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for shard in (root / "shards").glob("radiographs-*"):
        shard.unlink()
    code, _, err = said(capsys, "sheet", f"store={root}", f"out={tmp_path}/sheet.png")
    assert code == 1 and "is missing; radmill store repair makes it again" in err


def test_sheets(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "sheet.png"
    assert said(capsys, "sheet", f"store={root}", f"out={out}", "films=3")[0] == 0
    plain = np.asarray(Image.open(out))
    assert plain.shape == (28 + 320, 3 * 260, 3)
    assert (plain[:28] > 0).any(), "PHANTOM DATA stands above"
    assert said(capsys, "sheet", f"store={root}", f"out={out}", "films=99", "masks=true")[0] == 0
    assert np.asarray(Image.open(out)).shape == (28 + 2 * 320, 8 * 260, 3)
    _, _, err = said(capsys, "sheet", f"store={root}", f"out={out}", "which=flagged", "films=99")
    assert "Contact sheet of 10 films" in err  # none has a known spacing
    code, _, err = said(capsys, "sheet", f"store={root}", f"out={out}", "which=blurred")
    assert code == 2 and "sheet.which must be one of random, flagged" in err


def test_verify_and_repair_by_exit_code(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = said(capsys, "verify", f"store={root}")
    assert (code, out) == (0, "") and "is whole" in err and "MB/s" in err
    (root / "CURRENT").write_bytes(b"000009\n")
    code, out, err = said(capsys, "verify", f"store={root}")
    assert code == 1 and out.startswith("CURRENT: it names no generation") and "store repair" in err
    code, out, _ = said(capsys, "repair", f"store={root}")
    assert (code, out) == (0, "made again: CURRENT\n")
    [shard] = (root / "shards").glob("radiographs-000001-*")
    shard.write_bytes(shard.read_bytes()[:-1])
    code, _, err = said(capsys, "repair", f"store={root}")
    assert code == 2 and "1 damaged shard: give raw=DIR" in err


@pytest.mark.parametrize("job", ["verify", "repair", "rebuild", "gc", "ls"])
def test_a_store_of_a_newer_format_is_left_alone(
    root: Path, job: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_sealed_json(root / "store.json", {"format": 99, "key_id": SECRET.key_id})
    (root / "CURRENT").write_bytes(b"000009\n")
    code, _, err = said(capsys, job, f"store={root}")
    assert code == 2 and "has format 99" in err and "install a newer one" in err
    assert (root / "CURRENT").read_bytes() == b"000009\n"


def test_verify_advises_what_applies(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, _, err = said(capsys, "verify", f"store={root}")
    assert "repair" not in err and "10 films" in err
    tombstones.add(root, "x")
    write_sealed_json(root / "receipts" / "x.json", {"finished": False})
    code, _, err = said(capsys, "verify", f"store={root}")
    assert code == 1 and "1 erasure did not end: run the same radmill store erase again." in err
    assert "repair" not in err
    (root / "CURRENT").write_bytes(b"000009\n")
    _, _, err = said(capsys, "verify", f"store={root}")
    assert f"1 damaged file: radmill store repair store={root} makes it again." in err
    next((root / "shards").glob("radiographs-*")).unlink()
    _, _, err = said(capsys, "verify", f"store={root}")
    assert f"2 damaged files: radmill store repair store={root} raw=DIR makes them again." in err
    assert "the ingest.* keys that ingest was given" in err


def test_find_in_another_folder(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    above = tmp_path / "raw" / "hospital"
    above.mkdir(parents=True)
    (above / "letter.txt").write_text("")
    token = SECRET.token("letter.txt")
    assert said(capsys, "find", f"token={token}", f"raw={above}", f"store={root}")[0] == 0
    code, _, err = said(capsys, "find", f"token={token}", f"raw={tmp_path / 'raw'}", f"store={root}")
    assert (
        code == 2
        and "None of the 1 file below raw=" in err
        and "name the folder that ingest was given" in err
    )


def test_find(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "letter.txt").write_text("")
    token = SECRET.token("letter.txt")
    code, out, _ = said(capsys, "find", f"token={token}", f"raw={raw}", f"store={root}")
    assert (code, out) == (0, f"{token}\tnot_an_image\t{raw}/letter.txt\n")
    code, out, _ = said(capsys, "find", "reason=not_an_image", f"raw={raw}", f"store={root}")
    assert out == f"{token}\tnot_an_image\t{raw}/letter.txt\n"
    code, _, err = said(capsys, "find", f"raw={raw}", f"store={root}")
    assert code == 2 and "needs token= or reason=" in err


def test_erase_by_patient(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = said(capsys, "erase", "patient= P3", f"store={root}")
    assert code == 0 and "Erased: 2 films, 0 masks, 1 outcome, 0 exclusions" in err
    assert "run radmill segment again" in err and "What runs made of this store" in err
    code, _, err = said(capsys, "erase", "patient=p3", f"store={root}")
    assert code == 0 and "Erased before, on 20" in err and "nothing of this person was left" in err
    assert "segment" not in err
    code, _, err = said(capsys, "erase", "patient=p4", f"store={root}")
    assert code == 0 and "Erased: 2 films" in err and "segment" not in err, "no segmentation was left"
    assert SUBJECTS[3] not in set(Store.open(root).manifest["subject"])
    code, _, err = said(capsys, "erase", f"store={root}")
    assert code == 2 and "needs subject=PSEUDONYM or patient=ID" in err


def test_erase_says_whom_an_issuer_makes_another_subject(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = said(capsys, "erase", "patient=p3", f"store={root}")
    assert (
        code == 0 and "names an issuer of the patient id are another subject: erase them with issuer=" in err
    )
    code, _, err = said(capsys, "erase", "patient=p4", "issuer=clinic", f"store={root}")
    assert code == 2 and "and issuer= too where headers name one" in err
    code, _, err = said(capsys, "erase", f"subject={SUBJECTS[4]}", f"store={root}")
    assert code == 0 and "another subject" not in err


@pytest.mark.parametrize("words", ["gc", "repair", "rebuild", "erase patient=p1"])
def test_what_another_run_holds_is_left_alone(
    root: Path, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with FolderLock(root, "radmill segment"):
        code, _, err = said(capsys, *words.split(), f"store={root}")
    assert code == 1 and "is in use by radmill segment" in err


def test_completion_of_two_words() -> None:
    script = "; ".join(
        [
            f'eval "$({sys.executable} -m jobs --completion bash)"',
            'COMP_WORDS=(radmill store ""); COMP_CWORD=2; _radmill 2>/dev/null; echo "${COMPREPLY[@]}"',
            'COMP_WORDS=(radmill store gc "k"); COMP_CWORD=3; _radmill 2>/dev/null; echo "${COMPREPLY[@]}"',
        ]
    )
    run = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    words, keys = run.stdout.splitlines()
    assert set(words.split()) >= {
        "show",
        "sheet",
        "stats",
        "ls",
        "find",
        "verify",
        "repair",
        "rebuild",
        "gc",
        "erase",
    }
    assert keys.split() == ["keep="]


def test_plan_refuses_in_the_jobs_own_words(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in ("show", "erase", f"find raw={root}", f"repair raw={root}/none"):
        typed = [*words.split(), f"store={root}"]
        code, _, refused = said(capsys, *typed)
        assert code == 2 and main(["plan", "store", *typed]) == 2
        assert capsys.readouterr().err == refused
    assert main(["plan", "store", "gc", f"store={root}"]) == 0
    assert "store: 10 films of 5 subjects, 5 with outcome" in capsys.readouterr().out


def test_left_out_rows_of_the_table_are_listed(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = said(capsys, "ls", f"store={root}", "reason=superseded")
    assert out.splitlines()[1:] == [f"{SUBJECTS[0]}\t0\tsuperseded\t-\toutcomes"]
