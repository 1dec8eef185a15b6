"""Parquet tables and one HTML page from what lies in `out`."""

from __future__ import annotations

import hashlib
from pathlib import Path

from jobs.config import Settings
from jobs.flow import Flow
from jobs.folders import existing, held, opened_store
from jobs.ingest import ORACLE_RULES, oracle_folder
from jobs.progress import console
from jobs.run_dir import StageFolder
from pipelines.progress import Progress


def check(settings: Settings) -> None:
    """There are a store and a run."""
    opened_store(settings)
    existing(str(settings.out), "out")


def main(settings: Settings) -> int:
    """`radmill report store=DIR out=DIR`."""
    store, out = Path(str(settings.store)), Path(str(settings.out))
    with held("report", out):
        report(Flow(out, settings), store)
    console.print(f"Report: {out / 'report' / 'report.html'}", markup=False)
    return 0


def report(flow: Flow, store_root: Path) -> StageFolder:
    """OUT/report/report.html and its tables. A demo's oracle, the best AUC its films allow, stands beside ours."""
    from storage.manifest import Store

    settings, store = flow.settings, Store.open(store_root)
    oracle_if_there = _oracle(flow, store_root)

    def action(folder: Path, progress: Progress) -> str:
        from pipelines.reporting.build import build_report

        page = build_report(
            store_root,
            flow.out,
            settings.study,
            settings.reporting,
            oracle_if_there,
            settings.population,
            progress,
            settings.evaluation,
        )
        return f"{page.stat().st_size / 2**20:.1f} MB of HTML"

    stages = [
        path.parent.name for path in sorted(flow.out.glob("*/DONE.json")) if path.parent.name != "report"
    ]
    inputs = {
        "store": store.fingerprint(),
        "outcomes": store.outcomes_fingerprint(),
        "population": settings.population,
        # How often the test outcomes were opened stands in the report.
        "evaluations": str(len(list((store_root / "splits").glob("evaluation-*.parquet")))),
        "oracle": hashlib.sha256(oracle_if_there.read_bytes()).hexdigest()[:16] if oracle_if_there else "",
        **{name: StageFolder(flow.out / name, {}).fingerprint() for name in stages},
    }
    return flow.stage("report", sections=("reporting", "evaluation"), inputs=inputs, action=action)


def _oracle(flow: Flow, store_root: Path) -> Path | None:
    """oracle.json of the phantoms that this run reads: a demo's own, or, of whole films, that beside the store.

    None where the study asks for another outcome than the oracle reads: it would be no bound.
    """
    from pipelines.outcomes.rule import parse_rule

    if parse_rule(flow.settings.study.outcome_rule).text not in ORACLE_RULES:
        return None
    places = [flow.out / "phantoms" / "oracle.json"]
    if flow.settings.study.whole_films:
        places.append(oracle_folder(store_root) / "oracle.json")
    return next((path for path in places if path.is_file()), None)
