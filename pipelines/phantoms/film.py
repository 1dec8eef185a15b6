"""One film of one subject: pose, projection, appearance, truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipelines.phantoms.arrays import Floats, Labels, Pixels
from pipelines.phantoms.clinic import VENDORS, develop
from pipelines.phantoms.config import PhantomsConfig
from pipelines.phantoms.domain import randomise
from pipelines.phantoms.filters import blurred
from pipelines.phantoms.framing import Framing, frame_clinic, frame_random
from pipelines.phantoms.hand import Hand, make_hand
from pipelines.phantoms.physics import Paths, draw_beam
from pipelines.phantoms.projection import Canvas, project_bone
from pipelines.phantoms.shortcut import shortcut_of, with_body
from pipelines.phantoms.streams import Stream, stream
from pipelines.phantoms.subject import SubjectGeometry, draw_subject
from pipelines.phantoms.tissue import soft_tissue_mm
from pipelines.phantoms.wrist import project_carpals

# what forearm ends, overlaps and unsharp places add to an annotator's doubt
OVERLAP_DOUBT = 0.8
LOOSENESS = {"clinic": 0.55, "random": 1.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Film:
    """One radiograph as a file would hold it, and what is true of it.

    pixels: HxW uint8 or uint16 as stored (MONOCHROME1: more attenuation darker); truth_HW: label map uint8;
    doubt_HW: 0 where the outline is clear, 1 where annotators differ most; spacing_mm: side of a pixel in
    the hand.
    """

    pixels: Pixels
    bits: int
    photometric: str
    truth_HW: Labels
    doubt_HW: Floats
    spacing_mm: float
    laterality: str
    kvp: float
    vendor: str


def subject_of(config: PhantomsConfig, number: int) -> SubjectGeometry:
    """Draw subject `number` of the cohort from the cohort's seed."""
    subject = draw_subject(stream(config.seed, number, 0, Stream.SUBJECT), config, number)
    return with_body(subject, shortcut_of(subject, config))


def render(subject: SubjectGeometry, order: int, config: PhantomsConfig) -> Film:
    """Render film `order` (from 0) of a subject; the same arguments give the same bytes."""
    pose = stream(config.seed, subject.number, order, Stream.POSE)
    anatomy = stream(config.seed, subject.number, 0, Stream.ANATOMY)
    look = stream(config.seed, subject.number, order, Stream.APPEARANCE)
    shortcut = shortcut_of(subject, config)
    shape, side = (config.height, config.width), subject.sides[order]
    hand = make_hand(subject, pose, anatomy, LOOSENESS[config.appearance])
    frame = frame_clinic if config.appearance == "clinic" else frame_random
    framing = frame(pose, hand.landmarks_372, side, shape, subject.missing)
    canvas = _project(subject, hand, framing, shape)
    paths = _paths(pose, subject, hand, framing, canvas)
    beam = draw_beam(look)
    vendor = VENDORS[shortcut.choose("vendor", int(look.integers(len(VENDORS))), len(VENDORS))]
    if config.appearance == "clinic":
        levels = develop(look, paths, beam, vendor, framing, canvas.truth > 0, side, shortcut)
        bits, photometric = int(look.choice(vendor.bits)), _polarity(look, vendor.monochrome1)
    else:
        levels = randomise(look, paths, framing, subject.metacarpal3_mm, side)
        bits, photometric = int(look.choice([8, 8, 8, 10, 12])), _polarity(look, 0.1)
    truth_HW, doubt_HW = _visible(canvas, framing)
    return Film(
        pixels=_stored(levels, bits, photometric),
        bits=bits,
        photometric=photometric,
        truth_HW=truth_HW,
        doubt_HW=doubt_HW,
        spacing_mm=1 / framing.camera.pixels_per_mm,
        laterality=side,
        kvp=beam.kvp,
        vendor=vendor.name,
    )


def _project(subject: SubjectGeometry, hand: Hand, framing: Framing, shape: tuple[int, int]) -> Canvas:
    canvas = Canvas.blank(*shape)
    for bone in hand.bones:
        project_bone(canvas, bone, framing.camera, subject.health)
    project_carpals(canvas, hand.carpals, framing.camera)
    return canvas


def _paths(
    rng: np.random.Generator, subject: SubjectGeometry, hand: Hand, framing: Framing, canvas: Canvas
) -> Paths:
    whole = soft_tissue_mm(rng, subject, hand.landmarks_372, framing.camera, canvas.truth.shape)
    bone = canvas.cortex_mm + canvas.spongiosa_mm + canvas.marrow_mm
    return Paths(
        cortex=canvas.cortex_mm,
        spongiosa=canvas.spongiosa_mm,
        marrow=canvas.marrow_mm,
        tissue=np.maximum(whole - bone, 0),
    )


def _polarity(rng: np.random.Generator, monochrome1: float) -> str:
    return "MONOCHROME1" if rng.random() < monochrome1 else "MONOCHROME2"


def _stored(levels: Floats, bits: int, photometric: str) -> Pixels:
    top = 2**bits - 1
    whole = np.round(np.clip(levels, 0, 1) * np.float32(top))
    whole = top - whole if photometric == "MONOCHROME1" else whole
    return whole.astype(np.uint8) if bits == 8 else whole.astype(np.uint16)


def _visible(canvas: Canvas, framing: Framing) -> tuple[Labels, Floats]:
    """Truth within the exposed field, and the doubt: at the ends of bones and where bones overlap."""
    inside = framing.field_mask(canvas.truth.shape) > 0.5
    truth = np.where(inside, canvas.truth, 0).astype(np.uint8)
    overlap = blurred((canvas.cover > 1).astype(np.float32), 0.6 * framing.camera.pixels_per_mm + 0.5)
    return truth, np.maximum(canvas.ends, OVERLAP_DOUBT * np.minimum(1.6 * overlap, 1))
