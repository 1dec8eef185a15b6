"""Many small films the whole way on Slurm: ingest array, segment array, crops, two-node pretraining.

tests/slurm/lab up 3; export SLURM_CONF=/tmp/slurm-lab-rad/etc/slurm.conf
python tests/benchmarks/scale_slurm.py --films 20000 --steps 200 --folder SHARED

The films are those of ingest_scale.py, 256 x 256. A segmenter that learns for a few steps finds bones badly, which
does not matter here. Prints seconds per film and stage, and the peak memory of each task, first against last; fails
unless every film is there once and every region that was found is a crop once.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from ingest_scale import rendered, write_films

from cluster.commands import ask
from cluster.graph import submit_graph
from jobs.compose import settings_for
from jobs.config import Settings
from jobs.folders import held, segmentation_id
from jobs.overview import StepStatus, is_live, overview
from jobs.registry import JOBS
from jobs.submission import Submission, live_jobs
from jobs.submit import run_nodes
from pipelines.pretraining.crops import open_crops, square_crop
from pipelines.segmentation.stored import open_segmentation
from storage.manifest import Store

SIDE_PX = 64  # of a crop
SEGMENTER = """
steps=80 batch_size=4 lr=0.004 foreign_views=0 grid_height=64 grid_width=64 channels=[8,12,16,16] validate_every=40
validation_films=4 threads=1
"""
WAY = f"""
segmentation.threads=1 pretraining.batch_size=32 pretraining.crop_pixels={SIDE_PX} pretraining.global_size=48
pretraining.local_size=32 pretraining.num_local=2 pretraining.backbone=resnet10t pretraining.threads=1
pretraining.checkpoint_every_steps=50 pretraining.warmup_steps=10 cluster=slurm cluster.site=lab
cluster.scratch=/var/tmp cluster.dashboard=false cluster.workers=2
"""
LOOKED_AT = 64  # crops compared with their regions


def radmill(words: str) -> None:
    """Run a job on this machine."""
    subprocess.run([sys.executable, "-m", "jobs", *words.split()], check=True)


def segmenter(folder: Path) -> Path:
    """Train one on a few phantoms with masks."""
    radmill(f"phantoms out={folder}/raw subjects=0 unlabelled=16 height=256 width=256 annotators=1")
    raw = f"raw={folder}/raw/films annotations={folder}/raw/annotations"
    radmill(f"ingest {raw} store={folder}/store")
    radmill(f"train-segmenter store={folder}/store out={folder}/out {' '.join(SEGMENTER.split())}")
    return folder / "out" / "train-segmenter"


def submitted(settings: Settings) -> Submission:
    """All steps of `radmill run` up to the pretraining."""
    out, store = Path(str(settings.out)), Path(str(settings.store))
    submission = Submission.new(out, store)
    with held("run", out, store, submission=submission.id):
        submission.write(settings)
    nodes = run_nodes(submission, settings)
    names = [node.name for node in nodes]
    way = nodes[: names.index("pretrain") + 1]
    submit_graph(way, settings.cluster, submission.folder, owner=submission.id)
    return submission


def finished(submission: Submission) -> list[StepStatus]:
    """Wait until no step lives, and Slurm has ended the job of the last one."""
    while is_live(steps := overview(submission)) or live_jobs(Path(submission.out)):
        time.sleep(5)
    failed = [f"{step.name}: {step.words}" for step in steps if step.state != "done"]
    assert not failed, failed
    return steps


def told(step: StepStatus, films: int) -> str:
    """Seconds and memory of a step's tasks; memory as the task saw it, and as Slurm did, of all its processes."""
    records = [one.record for one in step.tasks.values() if one.record is not None]
    seconds = sum(one.seconds for one in records)
    first, last, most = records[0].peak_mb, records[-1].peak_mb, max(one.peak_mb for one in records)
    jobs = ",".join(one.job for one in step.tasks.values())
    sizes = (ask(["sacct", "-n", "-P", "-o", "MaxRSS", "-j", jobs]) or "").split()
    resident = max((float(size[:-1]) / 1024 for size in sizes if size.endswith("K")), default=0)
    return (
        f"{step.name:16} {len(records):3} tasks {seconds:8.1f} s {1000 * seconds / films:8.2f} ms per film, "
        f"MB first {first:.0f} last {last:.0f} most {most:.0f}, by Slurm {resident:.0f}"
    )


def check_crops(store_root: Path, out: Path, films: int) -> int:
    """Every film is there once, every region found in it is a crop once; how many crops there are."""
    store = Store.open(store_root)
    assert len(store.manifest) == store.manifest["key"].nunique() == films, len(store.manifest)
    segmentation = open_segmentation(store_root, segmentation_id(out))
    regions = segmentation.regions
    assert not regions.duplicated(["key", "region"]).any()
    assert set(segmentation.films["key"]) == set(store.manifest["key"])
    assert len(segmentation.films) == films
    crops = open_crops(store_root, segmentation, SIDE_PX)
    assert len(crops.rows) == regions["found"].sum() > 0
    rows = np.unique(np.linspace(0, len(crops.rows) - 1, LOOKED_AT).astype(np.int64))
    for row, image, mask in zip(rows, *crops.load(rows), strict=True):
        expected = square_crop(*segmentation.read_region(crops.rows.iloc[row]), SIDE_PX)
        assert np.array_equal(image, expected[0]) and np.array_equal(mask, expected[1]), row
    return len(crops.rows)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--films", type=int, default=20000)
    parser.add_argument("--steps", type=int, default=200, help="of the pretraining")
    parser.add_argument("--width", type=int, default=3, help="tasks of an array")
    parser.add_argument("--memory-gb", type=float, default=5, help="of a task, and of a worker")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="seen by every node")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.folder) as name:
        place = Path(name)
        model = segmenter(place / "bones")
        begun = time.monotonic()
        write_films(place / "raw", rendered(), range(asked.films))
        print(f"{asked.films} films written in {time.monotonic() - begun:.0f} s", flush=True)
        words = f"raw={place}/raw store={place}/store out={place}/out segmenter={model} {WAY}"
        words += f" pretraining.steps={asked.steps} cluster.memory_gb={asked.memory_gb}"
        settings = settings_for(JOBS["run"], [*words.split(), f"cluster.array_width={asked.width}"])
        begun = time.monotonic()
        submission = submitted(settings)
        steps = finished(submission)
        print(f"the whole way in {time.monotonic() - begun:.0f} s")
        for step in steps:
            print(told(step, asked.films))
        print(f"{check_crops(place / 'store', place / 'out', asked.films)} crops, every one exactly once")


if __name__ == "__main__":
    main()
