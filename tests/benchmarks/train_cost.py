"""What Ray Train costs: `python tests/benchmarks/train_cost.py [STEPS [ROUNDS]]`, 300 steps and 3 rounds by default.

Two workers train by the loop, once under Ray and once under torchrun, turn about, the order changing every round.
Printed: CPU-seconds of Ray's own processes as a share of all, over the steps after the first 50 (bar: 3 %), and
the ratio of the wall times of these steps. Ray's own are all processes below this one but the two workers; of the
workers' threads those that Ray's core names.
"""

from __future__ import annotations

import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

HERE = Path(__file__).parent
WORKERS, WARM = 2, 50
LOOK_S = 5.0  # between two looks at the processes: each costs what would be counted as Ray's
RAYS_THREADS = (
    "grpc",
    "worker.io",
    "task_exec",
    "event_engine",
    "ray",
    "client.poll",
    "server.poll",
    "resolver",
)


@dataclass(frozen=True)
class Spent:
    """CPU-seconds since the processes began."""

    rays: float
    workers: float


def spent() -> Spent:
    """Of every process below this one, and of this one, which is Ray's driver."""
    rays = workers = 0.0
    driver = psutil.Process()
    for process in (driver, *driver.children(recursive=True)):
        try:
            times, line = process.cpu_times(), " ".join(process.cmdline())
            inner = _thread_s(process.pid) if "RayTrainWorker" in line else 0.0
        except psutil.Error:
            continue
        whole = times.user + times.system
        if "RayTrainWorker" in line:
            rays, workers = rays + inner, workers + whole - inner
        else:
            rays += whole
    return Spent(rays, workers)


def _thread_s(pid: int) -> float:
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        fields = (task / "stat").read_text().rpartition(")")[2].split()
        if (task / "comm").read_text().startswith(RAYS_THREADS):
            total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def by_ray(folder: Path, steps: int) -> tuple[float, float]:
    """Wall seconds of the steady steps; share of Ray's own CPU-seconds."""
    from cost_loop import on_ray, steady_s

    from cluster.workers import train_on_workers

    seen: list[Spent] = []
    looked = -math.inf

    def look(done: int, total: int, note: str) -> None:
        nonlocal looked
        if WARM <= done < total and time.monotonic() > looked + LOOK_S:
            seen.append(spent())
            looked = time.monotonic()

    train_on_workers(
        on_ray,
        {"folder": str(folder), "steps": steps},
        workers=WORKERS,
        cpus_per_worker=1,
        gpus_per_worker=0,
        folder=folder / "ray",
        name="cost",
        max_failures=0,
        stop_file=folder / "stop",
        progress=look,
    )
    if len(seen) < 2:
        raise SystemExit(f"{steps} steps are too few to be looked at twice, {LOOK_S:.0f} s apart.")
    rays, workers = seen[-1].rays - seen[0].rays, seen[-1].workers - seen[0].workers
    return steady_s(folder, WARM), rays / (rays + workers)


def by_torchrun(folder: Path, steps: int) -> float:
    """Wall seconds of the steady steps."""
    from cost_loop import steady_s

    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={WORKERS}"]
    subprocess.run([*launcher, str(HERE / "cost_loop.py"), str(folder), str(steps)], check=True)
    return steady_s(folder, WARM)


def main() -> None:
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    os.environ["OMP_NUM_THREADS"] = "1"
    os.environ["PYTHONPATH"] = os.pathsep.join([str(HERE), str(HERE.parents[1])])
    sys.path[:0] = [str(HERE.parents[1])]
    ratios, shares = [], []
    for number in range(rounds):
        place = Path(tempfile.mkdtemp(prefix="train-cost-"))
        try:
            order = ("ray", "torchrun") if number % 2 == 0 else ("torchrun", "ray")
            walls = {}
            for which in order:
                if which == "ray":
                    walls[which], share = by_ray(place / which, steps)
                    shares.append(share)
                else:
                    walls[which] = by_torchrun(place / which, steps)
            ratios.append(walls["ray"] / walls["torchrun"])
        finally:
            shutil.rmtree(place)
        print(
            f"round {number + 1}: Ray's own {shares[-1]:.2%} of the CPU-seconds, wall ratio {ratios[-1]:.3f}"
        )
    print(f"{steps - WARM} steady steps, {WORKERS} workers, {rounds} rounds; medians:")
    print(f"Ray's own processes: {statistics.median(shares):.2%} of all CPU-seconds (bar 3 %)")
    print(f"wall time over torchrun's: {statistics.median(ratios):.3f}")


if __name__ == "__main__":
    main()
