"""What `--help` prints: the few keys that matter first."""

from __future__ import annotations

from jobs.registry import JOBS, PLAIN, Job

_KEYS = {
    "raw": "folder of raw files: DICOM, PNG, JPEG, TIFF",
    "outcomes": "CSV with one row per subject: patient_id and the study's outcome column",
    "annotations": "folder of PNG label maps, <film>.<annotator>.png",
    "store": "the sharded store; made by ingest",
    "out": "folder of this run: one folder per stage, report last",
    "model": "a trained model's folder",
    "segmenter": "a trained segmenter's folder, where the films have no masks of their own",
    "population": "adult or child; children get overlays and embeddings, no probability",
    "study": "the study's name: hand",
    "cluster": "where to run: local",
    "fresh": "true starts over; by default everything resumes",
}


def overview() -> str:
    """All jobs, a line each."""
    width = max(map(len, [*JOBS, *PLAIN]))
    lines = [f"  {name:{width}}  {job.summary}" for name, job in JOBS.items()]
    lines += [f"  {name:{width}}  {summary}" for name, summary in PLAIN.items()]
    return "\n".join(
        [
            "radmill JOB [key=value ...]: radiographs in, evidence out.",
            "",
            *lines,
            "",
            "radmill JOB --help shows a job's keys; --cfg job --resolve every value; --completion bash tab completion.",
            "Exit codes: 0 done, 1 failed, 2 wrong arguments, 3 inputs left out, 75 stopped early, 130 interrupted.",
        ]
    )


def job_help(job: Job) -> str:
    """One job's keys: required, optional, then those of its rooms with their defaults."""
    lines = [f"radmill {job.name}: {job.summary}.", "", f"  {job.example}", ""]
    says = _KEYS | ({"out": job.out_is} if job.out_is else {})
    if job.required:
        lines += ["needs", *(f"  {key}=  {says[key]}" for key in job.required), ""]
    optional = [key for key in (*job.optional, "study", "cluster", "fresh") if key in _KEYS]
    lines += ["takes", *(f"  {key}=  {says[key]}" for key in optional)]
    for section in job.sections:
        prefix = "" if section == job.section else f"{section}."
        lines += ["", section, *(f"  {prefix}{name}={value}" for name, value in _defaults(section))]
    return "\n".join(lines)


def _defaults(section: str) -> list[tuple[str, object]]:
    from dataclasses import asdict

    from jobs.config import Settings

    return list(asdict(getattr(Settings(), section)).items())
