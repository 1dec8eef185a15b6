"""What `--help` prints: keys in columns, the few that matter first."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from jobs.choices import CONF, choices
from jobs.job import Job
from jobs.registry import JOBS, PLAIN
from jobs.rooms import keys_of

_WIDEST = 44  # columns of a key with its default

_KEYS = {
    "raw": "folder of raw files: DICOM, PNG, JPEG, TIFF",
    "outcomes": "CSV or .xlsx with a row per measurement: patient_id and the study's outcome column",
    "mapping": "CSV or .xlsx with sheet_id and film_id, where the films have other patient ids than outcomes=",
    "annotations": "folder of PNG label maps, <film>.<annotator>.png",
    "store": "the sharded store; made by ingest",
    "out": "folder of this run: one folder per stage, report last",
    "phantoms.out": "folder for films/, annotations/ and outcomes.csv",
    "phantoms preview.out": "PNG file to write",
    "store show.out": "PNG file to draw the film into",
    "store sheet.out": "PNG file to write",
    "store stats.out": ".html, .png or .svg file to draw the counts into",
    "model": "a trained model's folder",
    "segmenter": "a trained segmenter's folder, where the films have no masks of their own",
    "sweep": f"{', '.join(choices('sweeps'))}, or a YAML file of your own with seeds, seed_keys and trials",
    "seed_controls": "what varies between seeds: init (weights, order, views), split (who is tested) or both",
    "population": "adult or child; children get overlays and embeddings, no probability",
    "fresh": "true starts over; records and caches that are named by their content are used again",
}
# What a user sets first, room by room; the other keys follow in the order of the room's config.
_FIRST = {
    "phantoms": ("subjects", "unlabelled", "population", "effect", "appearance", "format", "seed"),
    "ingest": ("subject_from", "key_file"),
    "segmentation": ("steps", "batch_size", "lr", "threads", "subjects"),
    "pretraining": ("method", "backbone", "steps", "batch_size", "lr", "threads", "subjects"),
    "classification": ("input_size", "threshold"),
    "study": ("outcome_column", "outcome_rule"),
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


def group_help(word: str) -> str:
    """The jobs of two words that begin with this one, a line each."""
    jobs = {name: job for name, job in JOBS.items() if name.split()[0] == word and name != word}
    width = max(map(len, jobs))
    lines = [f"  {name:{width}}  {job.summary}" for name, job in jobs.items()]
    return "\n".join(
        [f"radmill {word} JOB [key=value ...]", "", *lines, "", f"radmill {word} JOB --help shows its keys."]
    )


def plain_help(name: str) -> str:
    """What a job without keys of its own does."""
    words = " JOB key=value ..." if name == "plan" else ""
    return f"radmill {name}{words}: {PLAIN[name]}."


def job_help(job: Job) -> str:
    """One job's keys in two columns: required, optional, then those of its rooms, the few that matter first."""
    values = _read(job.config)
    chosen = {
        group: name
        for entry in _read("base")["defaults"]
        if isinstance(entry, dict)
        for group, name in entry.items()
    }
    rooms = {group: _read(f"{group}/{name}") for group, name in chosen.items()} | values
    values = chosen | values
    takes = _singles(job, (*job.optional, *job.common), values)
    sections = [("needs", _singles(job, job.required, values)), ("takes", takes)]
    for section in (*job.sections, *job.groups):
        prefix = "" if section == job.section else f"{section}."
        sections.append((section, _keys(section, prefix, rooms.get(section, {}))))
    width = max(len(left) for _, rows in sections for left, _ in rows if len(left) <= _WIDEST)
    lines = [f"radmill {job.name}: {job.summary}.", "", f"  {job.example}"]
    for title, rows in sections:
        if rows:
            lines += ["", title, *(_row(left, about, width) for left, about in rows)]
    return "\n".join(lines)


def _read(name: str) -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load((CONF / f"{name}.yaml").read_text("utf-8"))
    return values


def _row(left: str, about: str, width: int) -> str:
    """The two columns; a left one too wide stands on a line of its own."""
    if len(left) > width and about:
        return f"  {left}\n  {'':{width}}  {about}"
    return f"  {left:{width}}  {about}".rstrip()


def _singles(job: Job, keys: Sequence[str], values: Mapping[str, object]) -> list[tuple[str, str]]:
    about = _KEYS | {
        "study": f"the study, one of: {', '.join(choices('study'))}",
        "cluster": f"where to run: {', '.join(job.clusters)}",
    }
    return [
        (f"{key}={values.get(key, '')}", about.get(f"{job.name}.{key}", about.get(key, ""))) for key in keys
    ]


def _keys(section: str, prefix: str, values: Mapping[str, object]) -> list[tuple[str, str]]:
    """`key=default` and its description; values: what the job's YAML sets instead of the dataclass."""
    known, first = keys_of(section), _FIRST.get(section, ())
    ordered = [known[name] for name in (*first, *(name for name in known if name not in first))]
    return [(f"{prefix}{key.name}={_typed(values.get(key.name, key.default))}", key.about) for key in ordered]


def _typed(value: object) -> str:
    """A value as it is typed on the command line."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"[{','.join(map(str, value))}]" if isinstance(value, list) else shlex.quote(str(value))
