"""How to reach Ray's dashboard of a submitted run: the line for your own machine, and the address."""

from __future__ import annotations

import json
from pathlib import Path

from cluster.graph_file import read_graph
from jobs.config import Settings
from jobs.submission import FOLDER, Submission
from storage.errors import InputError


def main(settings: Settings) -> int:
    """`radmill dashboard out=DIR`."""
    out = Path(str(settings.out))
    up = _up(out)
    if up is None:
        raise InputError(
            f"No Ray cluster of out={out} is up now: it is while a training runs, and radmill status out={out} "
            "tells when that is."
        )
    if not up["ssh"]:
        raise InputError(
            f"The Ray cluster of out={out} runs on {up['node']} without its dashboard; submit with "
            "cluster.dashboard=true to have one."
        )
    print(
        f"On your own machine:  {up['ssh']}\n"
        f"Then open:            http://127.0.0.1:8265\n"
        f"It asks for a token:  cat {up['token_file']}"
    )
    return 0


def _up(out: Path) -> dict[str, str] | None:
    """What the newest Ray cluster that is up says of itself."""
    folder = out / FOLDER
    if (folder / "submission.json").is_file():
        folders = [folder / name for name in read_graph(Submission.of(out).folder).nodes]
    else:
        folders = [folder]  # cluster=allocation submits nothing
    for place in reversed(folders):
        about = place / "cluster.json"
        told = json.loads(about.read_text()) if about.is_file() else {}
        if told.get("state") == "up":
            return dict(told)
    return None
