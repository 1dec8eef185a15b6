"""Every Arrow schema and closed vocabulary of the files at rest (format 1). Others read them: change with care."""

from __future__ import annotations

import pyarrow as pa

FORMAT = 1

EXCLUSION_REASONS = (
    "not_an_image",  # neither DICOM nor a raster image, told by its content
    "unreadable",  # damaged, truncated, or refused by every decoder
    "unsupported",  # a readable file of a kind that is not a radiograph: colour photograph, unknown transfer syntax
    "too_large",  # more pixels or bytes than the configured cap
    "too_small",  # fewer pixels than any radiograph has
    "timeout",  # the guarded decoder ran out of time or memory
    "wrong_modality",
    "wrong_body_part",  # a known part that is not among ingest.body_parts, or else study.body_parts
    "wrong_view",  # a known view that is not among ingest.views, or else study.views
    "not_selected",  # a frame that ingest.frames or the overrides leave out
    "excluded",  # by the overrides
    "no_patient",  # a film of nobody knows whom: neither its header nor its path tells
    "twin",  # of the same exposure, processed the other way
    "duplicate",  # the same pixels are already in the store
    "near_duplicate",  # the same film, resized, windowed or compressed anew
    "blank",  # one gray value only
    "mask_mismatch",  # an annotation whose size or class indices do not fit its film
    "no_film",  # an annotation or an outcome without its film
    "vanished",  # the file went away, changed or could not be read just then: tried again by the next ingest
    "no_permission",  # the file may not be read by whoever runs the ingest: tried again by the next one
    "outside_window",  # an outcome measured too long before or after its film, or nobody knows when
    "superseded",  # an outcome of another day than the one nearest to the film
    "z_score",  # a Z-score alone: the young are measured against their own age, and no T-score follows from it
    "undecided",  # an exam whose outcome hangs on what was not seen
    "erased",  # its person was erased from the store and does not come back
)

_STR = pa.string()
_F32 = pa.float32()
_F64 = pa.float64()
_I32 = pa.int32()
_I64 = pa.int64()
_U32 = pa.uint32()
_BOOL = pa.bool_()

# One row per film (or frame) in the store.
MANIFEST = pa.schema(
    {
        "key": _STR,
        "subject": _STR,
        "token": _STR,
        "frame": _I32,
        "source_sha256": _STR,
        "pixels_sha256": _STR,
        "height": _I32,
        "width": _I32,
        "bits": _I32,
        "spacing_mm": _F64,
        "spacing_source": _STR,
        "laterality": _STR,
        "laterality_source": _STR,
        "view": _STR,
        "photometric": _STR,
        "polarity_flag": _STR,
        "modality": _STR,
        "exam": _STR,
        "order": _I32,
        "age_years": _F32,
        "sex": _STR,
        "device": _STR,
        "presentation_intent": _STR,
        "kvp": _F32,
        "mas": _F32,
        "data_kind": _STR,
        "codec": _STR,
        "shard": _STR,
        "offset": _I64,
        "size": _I64,
        "crc32c": _U32,
        "body_part": _STR,
        "view_source": _STR,
        "lossy": _BOOL,
        "lossy_ratio": _F32,
        "intensity": _STR,
        "valid_offset": _I64,  # the mask of valid pixels in the film's shard; null where all are valid
        "valid_size": _I64,
        "valid_crc32c": _U32,
    }
)

# One row per mask: annotator a0, a1, ...; `truth` (weight 0) is a phantom's own geometry and never trains anything.
ANNOTATIONS = pa.schema(
    {
        "key": _STR,
        "annotator": _STR,
        "weight": _F64,
        "tool": _STR,
        "shard": _STR,
        "offset": _I64,
        "size": _I64,
        "crc32c": _U32,
    }
)

EXCLUSIONS = pa.schema({"token": _STR, "frame": _I32, "reason": _STR, "detail": _STR, "stage": _STR})

# One row per subject, or per exam where that is the study's unit. `outcome` 1 is the study's
# positive class; `days` is the day of the DXA minus that of the film.
OUTCOMES = pa.schema(
    {
        "subject": _STR,
        "exam": _STR,
        "t_score": _F64,
        "dxa_site": _STR,
        "days": _I32,
        "outcome": _I32,
        "rule": _STR,
        "age_years": _F32,
        "sex": _STR,
        "weight_kg": _F32,
        "height_cm": _F32,
        "bmi": _F32,  # kg/m^2: as given, else from weight and height
        "treatment": _BOOL,  # against osteoporosis
        "right": _STR,  # of exams with two tubes: patent, proximal, distal or not_seen; else empty
        "left": _STR,
    }
)

# A subject appears once per fold; `split` is train, test or, under the paper's protocol, validation.
SPLITS = pa.schema({"subject": _STR, "fold": _I32, "split": _STR})

# The analysis lock, beside the splits: a protocol as it was before its outcomes were opened, and each look at them.
PROTOCOLS = pa.schema({"protocol": _STR, "document": _STR})
EVALUATIONS = pa.schema({"protocol": _STR, "predictions": _STR, "method": _STR, "tested": _I32})

# One row per film and region of the study; a region not found has found = false and no bytes.
REGION_INDEX = pa.schema(
    {
        "key": _STR,
        "subject": _STR,
        "region": _STR,
        "found": _BOOL,
        "row": _I32,  # row in arrays.zarr
        "y0": _I32,  # box on the film, half open: [y0, y1) x [x0, x1)
        "x0": _I32,
        "y1": _I32,
        "x1": _I32,
        "area_px": _I64,
        "entropy": _F32,  # mean entropy in nats over the region's mask
        "shard": _STR,
        "image_offset": _I64,
        "image_size": _I64,
        "image_crc32c": _U32,
        "mask_offset": _I64,
        "mask_size": _I64,
        "mask_crc32c": _U32,
    }
)

# One row per film: how the film lies on the fixed grid of arrays.zarr, and its Dice where a reference mask exists.
FILM_INDEX = pa.schema(
    {
        "key": _STR,
        "subject": _STR,
        "row": _I32,
        "scale": _F64,  # grid pixels per film pixel
        "offset_y": _F64,  # grid coordinates of the film's upper left corner
        "offset_x": _F64,
        "regions_found": _I32,
        "entropy": _F32,
        "annotator": _STR,  # whose mask the Dice refers to; empty where there is none
        "dice": pa.list_(_F32),  # per region in the study's order; NaN where absent from both
        "disagreement": pa.list_(
            _F32
        ),  # AUROC by entropy, own edge, annotators' edge; empty below two annotators
    }
)

REGIONS = pa.schema(
    {
        "subject": _STR,
        "exam": _STR,
        "key": _STR,
        "region": _STR,
        "outcome": _I32,
        "probability": _F64,
        "evaluable": _BOOL,
        "fold": _I32,
        "repeat": _I32,
        "seed": _I32,
        "method": _STR,
        "split": _STR,
    }
)

SUBJECTS = pa.schema(
    {
        "subject": _STR,
        "outcome": _I32,
        "probability": _F64,
        "spread": _F64,
        "prediction": _I32,
        "threshold": _F64,
        "regions_used": _I32,
        "mci2": _F64,
        "mci2_flag": _STR,
        "fold": _I32,
        "repeat": _I32,
        "seed": _I32,
        "method": _STR,
        "split": _STR,
    }
)

# One row per exam with a prediction, where that is the study's unit: the mean over its films.
EXAMS = pa.schema(
    {
        "subject": _STR,
        "exam": _STR,
        "outcome": _I32,
        "probability": _F64,
        "prediction": _I32,
        "threshold": _F64,
        "films_used": _I32,
        "right": _STR,  # as in OUTCOMES
        "left": _STR,
        "fold": _I32,
        "repeat": _I32,
        "seed": _I32,
        "method": _STR,
        "split": _STR,
    }
)

# One row per repeat and fold of repeated cross-validation: what the inner folds of its training part chose.
FOLDS = pa.schema(
    {
        "repeat": _I32,
        "fold": _I32,
        "seed": _I32,
        "train": _I32,  # subjects with a bone found
        "train_positive": _I32,
        "l2": _F64,
        "threshold": _F64,
        "slope": _F64,  # logit calibration of a subject's probability; NaN where it has no fit
        "intercept": _F64,
        "inner_auc": _F64,
        "inner_log_loss": _F64,
    }
)

# One row per repeat, fold and training subject: the probability by the inner fold's layer that had not seen it;
# after SupCon only the subjects held back from encoder and layer.
INNER = pa.schema({"subject": _STR, "outcome": _I32, "probability": _F64, "fold": _I32, "repeat": _I32})

# One row per repeat and tested subject whose value was measured: the regression beside the classifier.
SCORES = pa.schema(
    {
        "subject": _STR,
        "measured": _F64,
        "predicted": _F64,
        "fold": _I32,
        "repeat": _I32,
        "seed": _I32,
        "method": _STR,
    }
)

# One row per film: whether a prediction could be made of it, and if not, why.
EVALUABLE = pa.schema({"key": _STR, "subject": _STR, "evaluable": _BOOL, "reason": _STR})

# One row per region found: its features by the encoder.
EMBEDDINGS = pa.schema({"key": _STR, "subject": _STR, "region": _STR, "vector": pa.list_(_F32)})

# One row per trial of a sweep and measure.
SWEEP = pa.schema(
    {
        "sweep": _STR,
        "trial": _STR,
        "seed": _I32,
        "params": _STR,  # what the trial sets, as JSON with sorted keys
        "metric": _STR,
        "value": _F64,
        "low": _F64,
        "high": _F64,
    }
)
