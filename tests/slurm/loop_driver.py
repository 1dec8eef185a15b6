"""A driver as a training is one: an actor per node, a step's edge, checkpoints, a stop file. Ends with 0 or 75.

    python loop_driver.py RUN_FOLDER NODES STEPS CHECKPOINT_EVERY STEP_S

The state after a step depends on every number before it, so that a lost or repeated step changes the result.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from pathlib import Path

import ray
from ray.util.placement_group import placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy


@ray.remote(num_cpus=1)
class Worker:
    """One rank."""

    def part(self, rank: int, step: int, state: str) -> str:
        """What this rank adds in a step."""
        return hashlib.sha256(f"{rank} {step} {state}".encode()).hexdigest()

    def host(self) -> str:
        return os.uname().nodename


def main(run_folder: Path, nodes: int, steps: int, every: int, step_s: float) -> int:
    stop = Path(os.environ["RADMILL_STOP_FILE"])
    checkpoints = run_folder / "checkpoints"
    checkpoints.mkdir(parents=True, exist_ok=True)
    newest = max(checkpoints.glob("step-*"), default=None)
    step, state = json.loads(newest.read_text()) if newest else (0, "")
    ray.init(address=os.environ["RAY_ADDRESS"], log_to_driver=False, logging_level="warning")
    group = placement_group([{"CPU": 1}] * nodes, strategy="STRICT_SPREAD")
    ray.get(group.ready())
    workers = [
        Worker.options(scheduling_strategy=PlacementGroupSchedulingStrategy(group)).remote()  # type: ignore[attr-defined]
        for _ in range(nodes)
    ]
    (run_folder / "hosts.json").write_text(json.dumps(ray.get([worker.host.remote() for worker in workers])))
    begun = step
    while step < steps:
        parts = ray.get([worker.part.remote(rank, step, state) for rank, worker in enumerate(workers)])
        state, step = hashlib.sha256("".join(parts).encode()).hexdigest(), step + 1
        with (run_folder / "steps.txt").open("a") as log:
            log.write(f"{begun} {step} {time.time()}\n")
        stopping = stop.exists()
        if stopping or step % every == 0:
            temporary = checkpoints / f".step-{step:08d}"
            temporary.write_text(json.dumps([step, state]))
            temporary.rename(checkpoints / f"step-{step:08d}")
        if stopping:
            return 75
        time.sleep(step_s)
    (run_folder / "weights.txt").write_text(state)
    return 0


def expected(nodes: int, steps: int) -> str:
    """The state of an uninterrupted run, computed here."""
    state = ""
    for step in range(steps):
        parts = [hashlib.sha256(f"{rank} {step} {state}".encode()).hexdigest() for rank in range(nodes)]
        state = hashlib.sha256("".join(parts).encode()).hexdigest()
    return state


if __name__ == "__main__":
    folder, *numbers, seconds = sys.argv[1:]
    sys.exit(main(Path(folder), *(int(number) for number in numbers), float(seconds)))
