"""What a phantom cohort is: how many subjects, whose hands, what films, what the outcome does to bone."""

from __future__ import annotations

from dataclasses import dataclass

from storage.errors import ConfigError, check_at_least, check_between, check_one_of

POPULATIONS = ("adult", "child")
EFFECTS = ("null", "paper", "demo")
FORMATS = ("dicom", "png")
APPEARANCES = ("clinic", "random")
SHORTCUTS = ("none", "marker", "exposure", "vendor", "size", "side")


@dataclass(kw_only=True, slots=True)
class PhantomsConfig:
    """A cohort of synthetic hand radiographs."""

    subjects: int = 160
    """Subjects with an outcome (adults only)."""
    unlabelled: int = 80
    """Further subjects with films alone."""
    population: str = "adult"
    """adult, or child: growing bones, no outcomes."""
    effect: str | None = "paper"
    """Planted correlation between T-score and cortical index: null 0, paper .65, demo .80."""
    shortcut: str = "none"
    """What else the outcome shows in, in nine of ten subjects: none, marker, exposure, vendor, size or side."""
    height: int = 512
    """Rows of a film in pixels."""
    width: int = 400
    """Columns of a film in pixels."""
    annotators: int = 3
    """Masks of a film, each by another hand; 0 writes none."""
    format: str = "dicom"
    """dicom or png."""
    seed: int = 2023
    """The same seed makes the same people."""
    appearance: str = "clinic"
    """clinic renders by physics; random varies tone, polarity, frames, noise until a real film is one more sample."""

    def __post_init__(self) -> None:
        # YAML turns the word null into None
        self.effect = "null" if self.effect is None else self.effect
        check_at_least("phantoms.subjects", self.subjects, 0)
        check_at_least("phantoms.unlabelled", self.unlabelled, 0)
        if self.subjects + self.unlabelled == 0:
            raise ConfigError("phantoms.subjects and phantoms.unlabelled are both 0: ask for at least one.")
        check_one_of("phantoms.population", self.population, POPULATIONS)
        check_one_of("phantoms.effect", self.effect, EFFECTS)
        check_one_of("phantoms.format", self.format, FORMATS)
        check_one_of("phantoms.appearance", self.appearance, APPEARANCES)
        check_one_of("phantoms.shortcut", self.shortcut, SHORTCUTS)
        if self.shortcut != "none" and (self.population, self.appearance) != ("adult", "clinic"):
            raise ConfigError(
                f"phantoms.shortcut={self.shortcut} needs phantoms.population=adult and phantoms.appearance=clinic."
            )
        check_between("phantoms.height", self.height, 96, 4096)
        check_between("phantoms.width", self.width, 96, 4096)
        check_between("phantoms.annotators", self.annotators, 0, 9)
        check_at_least("phantoms.seed", self.seed, 0)
