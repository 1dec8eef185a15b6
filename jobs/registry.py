"""Every job: its name, what it does, which keys it needs and takes. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from jobs.choices import GROUPS

COMMON = ("study", "cluster", "fresh")
PATHS = ("raw", "outcomes", "mapping", "annotations", "store", "out", "model", "segmenter")


@dataclass(frozen=True, kw_only=True)
class Job:
    """One page in `jobs/`.

    required, optional: top-level keys that the user may type; sections: rooms whose keys apply;
    section: the room whose keys may be typed without its name (`pretrain batch_size=64`);
    config: name of the YAML in `jobs/conf` that picks the values; bare: the key that a word without `=` stands for;
    flags: short words, and the `key=value` that each stands for; clusters: what may stand right of cluster=;
    common: those of COMMON that have an effect.
    """

    name: str
    summary: str
    page: str
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    sections: tuple[str, ...] = ()
    section: str | None = None
    config: str = "base"
    example: str = ""
    bare: str | None = None
    flags: Mapping[str, str] = field(default_factory=dict)
    clusters: tuple[str, ...] = ("local",)
    common: tuple[str, ...] = COMMON

    @property
    def keys(self) -> tuple[str, ...]:
        """Everything that may stand left of the first dot or of the equals sign."""
        return (*self.single_keys, *self.sections)

    @property
    def single_keys(self) -> tuple[str, ...]:
        """The keys without a dot."""
        return (*self.required, *self.optional, *self.common)

    @property
    def groups(self) -> tuple[str, ...]:
        """The rooms of COMMON whose keys have an effect."""
        return tuple(group for group in GROUPS if group in self.common)


_LEARNING = (
    "splits",
    "segmentation",
    "pretraining",
    "classification",
    "supervised",
    "evaluation",
    "reporting",
)

_ALL = (
    Job(
        name="demo",
        summary="phantoms, then every stage, on this machine",
        page="jobs.demo",
        optional=("out",),
        sections=("phantoms", "ingest", *_LEARNING),
        config="demo",
        example="radmill demo out=runs/demo",
    ),
    Job(
        name="run",
        summary="every stage over real input",
        page="jobs.run",
        required=("raw", "store", "out"),
        optional=("outcomes", "annotations", "segmenter", "population", "mapping"),
        sections=("ingest", *_LEARNING),
        example="radmill run study=hand raw=DIR outcomes=FILE annotations=DIR store=DIR out=DIR",
        clusters=("local", "slurm", "allocation"),
    ),
    Job(
        name="phantoms",
        summary="synthetic radiographs as real files, masks and outcomes",
        page="jobs.phantoms",
        required=("out",),
        sections=("phantoms",),
        section="phantoms",
        example="radmill phantoms out=DIR subjects=160 population=adult effect=paper",
    ),
    Job(
        name="phantoms preview",
        summary="a contact sheet of synthetic radiographs",
        page="jobs.phantoms_preview",
        required=("out",),
        sections=("phantoms",),
        section="phantoms",
        example="radmill phantoms preview out=sheet.png population=child appearance=random",
    ),
    Job(
        name="ingest",
        summary="raw files into a store",
        page="jobs.ingest",
        required=("raw", "store"),
        optional=("outcomes", "annotations", "mapping"),
        sections=("ingest",),
        section="ingest",
        example="radmill ingest raw=DIR store=DIR outcomes=FILE annotations=DIR",
    ),
    Job(
        name="outcomes match",
        summary="before ingest: whose outcomes have films, who nearly matches, what can't be read",
        page="jobs.outcomes_match",
        required=("raw", "outcomes"),
        optional=("mapping",),
        sections=("ingest",),
        section="ingest",
        common=("study", "cluster"),
        example="radmill outcomes match raw=DIR outcomes=FILE",
    ),
    Job(
        name="train-segmenter",
        summary="train the segmentation model on the store's masks",
        page="jobs.train_segmenter",
        required=("store", "out"),
        sections=("segmentation",),
        section="segmentation",
        example="radmill train-segmenter store=DIR out=DIR steps=2000",
        clusters=("local", "allocation"),
    ),
    Job(
        name="segment",
        summary="label maps, uncertainty and region crops for a whole store",
        page="jobs.segment",
        required=("store", "out"),
        optional=("model",),
        sections=("segmentation",),
        section="segmentation",
        example="radmill segment store=DIR out=DIR model=DIR",
    ),
    Job(
        name="pretrain",
        summary="self-supervised pretraining on the regions",
        page="jobs.pretrain",
        required=("store", "out"),
        sections=("pretraining",),
        section="pretraining",
        example="radmill pretrain store=DIR out=DIR method=simclr",
        clusters=("local", "allocation"),
    ),
    Job(
        name="classify",
        summary="a probability per region and subject from frozen features",
        page="jobs.classify",
        required=("store", "out"),
        optional=("population",),
        sections=("classification", "splits", "supervised", "evaluation"),
        section="classification",
        example="radmill classify store=DIR out=DIR",
    ),
    Job(
        name="sweep",
        summary="many trials of pretrain and classify, each with several seeds",
        page="jobs.sweep",
        required=("sweep", "store", "out"),
        optional=("population",),
        sections=("pretraining", "classification", "splits"),
        example="radmill sweep sweep=hand_methods store=DIR out=DIR",
        clusters=("local", "allocation"),
    ),
    Job(
        name="predict",
        summary="a finished model over new films",
        page="jobs.predict",
        required=("model", "store", "out"),
        optional=("population",),
        example="radmill predict model=RUN/classify store=DIR out=DIR",
    ),
    Job(
        name="evaluate",
        summary="a finished model over new films with outcomes; nothing is refitted",
        page="jobs.evaluate",
        required=("model", "store", "out"),
        optional=("population",),
        sections=("evaluation",),
        example="radmill evaluate model=RUN/classify store=DIR out=DIR",
    ),
    Job(
        name="report",
        summary="Parquet tables and one HTML page from what lies in out",
        page="jobs.report",
        required=("store", "out"),
        optional=("population",),
        sections=("reporting", "evaluation"),
        section="reporting",
        example="radmill report store=DIR out=DIR",
    ),
    Job(
        name="store show",
        summary="one film: its row, masks, segmentations and, with out=, its picture",
        page="jobs.store_show",
        required=("store",),
        optional=("out",),
        sections=("show",),
        section="show",
        bare="key",
        common=(),
        example="radmill store show KEY store=DIR out=film.png",
    ),
    Job(
        name="store sheet",
        summary="a contact sheet of films",
        page="jobs.store_sheet",
        required=("store", "out"),
        sections=("sheet",),
        section="sheet",
        common=(),
        example="radmill store sheet store=DIR out=sheet.png which=flagged masks=true",
    ),
    Job(
        name="store stats",
        summary="what a store holds, in counts and, with out=, in bars",
        page="jobs.store_stats",
        required=("store",),
        optional=("out",),
        common=(),
        example="radmill store stats store=DIR out=stats.html",
    ),
    Job(
        name="store ls",
        summary="films, or with reason= what was left out, a line each",
        page="jobs.store_ls",
        required=("store",),
        sections=("ls",),
        section="ls",
        common=(),
        example="radmill store ls store=DIR laterality=L",
    ),
    Job(
        name="store find",
        summary="which raw file a token stands for; needs the secret",
        page="jobs.store_find",
        required=("store", "raw"),
        sections=("find",),
        section="find",
        common=(),
        example="radmill store find token=abc123 raw=DIR store=DIR",
    ),
    Job(
        name="store verify",
        summary="every byte of a store against its checksums",
        page="jobs.store_verify",
        required=("store",),
        common=("cluster",),
        example="radmill store verify store=DIR",
    ),
    Job(
        name="store repair",
        summary="make exactly what is damaged again",
        page="jobs.store_repair",
        required=("store",),
        optional=("raw", "annotations"),
        sections=("ingest",),
        section="ingest",
        common=("study", "cluster"),
        example="radmill store repair store=DIR raw=DIR annotations=DIR",
    ),
    Job(
        name="store rebuild",
        summary="caches made anew from the tars",
        page="jobs.store_rebuild",
        required=("store",),
        sections=("rebuild",),
        section="rebuild",
        common=(),
        example="radmill store rebuild store=DIR what=crops",
    ),
    Job(
        name="store gc",
        summary="remove what no kept generation needs",
        page="jobs.store_gc",
        required=("store",),
        sections=("gc",),
        section="gc",
        common=(),
        example="radmill store gc store=DIR keep=1 dry=true",
    ),
    Job(
        name="store erase",
        summary="remove a person from everything in a store, for good",
        page="jobs.store_erase",
        required=("store",),
        sections=("erase",),
        section="erase",
        common=(),
        example="radmill store erase subject=PSEUDONYM store=DIR",
    ),
    Job(
        name="doctor",
        summary="whether a run will work: machine, folders, Slurm, every node",
        page="jobs.doctor",
        optional=("store", "out"),
        example="radmill doctor out=runs/first cluster=slurm cluster.site=my-cluster.yaml",
        clusters=("local", "slurm"),
    ),
    Job(
        name="status",
        summary="how far a submitted run is, where it waits and why",
        page="jobs.status",
        required=("out",),
        example="radmill status out=DIR",
    ),
    Job(
        name="logs",
        summary="what a submitted run prints; -f follows it",
        page="jobs.logs",
        required=("out",),
        sections=("logs",),
        section="logs",
        example="radmill logs out=DIR stage=segment index=3 -f",
        flags={"-f": "follow=true"},
    ),
    Job(
        name="cancel",
        summary="end every job of a submitted run; what is finished stays",
        page="jobs.cancel",
        required=("out",),
        example="radmill cancel out=DIR",
    ),
    Job(
        name="retry",
        summary="ask once more for what a submitted run lacks",
        page="jobs.retry",
        required=("out",),
        example="radmill retry out=DIR",
    ),
    Job(
        name="dashboard",
        summary="how to reach Ray's dashboard of a run that trains now",
        page="jobs.dashboard",
        required=("out",),
        example="radmill dashboard out=DIR",
    ),
)

JOBS: dict[str, Job] = {job.name: job for job in _ALL}


def is_group(word: str) -> bool:
    """Whether a word is the first of jobs of two, and no job itself: store, outcomes."""
    return word not in JOBS and any(name.startswith(f"{word} ") for name in JOBS)


# Jobs without a configuration of their own: `plan` takes another job's words, `info` takes none.
PLAIN = {
    "plan": "what a job would do, given its own words; writes nothing",
    "info": "versions and methods as JSON",
}
