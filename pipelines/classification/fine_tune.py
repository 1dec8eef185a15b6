"""End-to-end training on regions, without multi-crop: the hand paper's supervised model, and ImageNet fine-tuned.

All weights are trained, from those of an encoder, in every training part anew: a backbone and a linear layer, a
probability per region, the mean of them per subject. A part of the training subjects is held out: one inner fold; or
the part's validation subjects, which the paper's protocol has, and SupCon, whose encoder has learnt the outcomes of the
others. The weights of the least loss on it count, and threshold and calibration come from it. What comes out is an
encoder and a layer, as of a frozen encoder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold
from torch import Tensor, nn

from pipelines.classification.aggregate import mean_over_bones
from pipelines.classification.config import ClassificationConfig
from pipelines.classification.exams import FilmSet
from pipelines.classification.features import encoder_scales
from pipelines.classification.finished import read_part
from pipelines.classification.probe import Head, Segments
from pipelines.classification.rounds import Round
from pipelines.classification.select import Fitted, Selection, check_classes
from pipelines.classification.supervised import FilmLearner
from pipelines.classification.supervised_config import SupervisedConfig
from pipelines.classification.supervision import FINE_TUNED
from pipelines.evaluation.calibration import fit_platt
from pipelines.evaluation.metrics import auc
from pipelines.evaluation.thresholds import choose_threshold
from pipelines.pretraining.backbone import build_backbone, channels_of, num_features
from pipelines.pretraining.crops import square_crops
from pipelines.pretraining.encoder import Encoder
from pipelines.progress import Progress, silent
from pipelines.segmentation.stored import Segmentation
from pipelines.training import seen
from pipelines.training.loop import fit, save_weights
from pipelines.training.seeding import seed_torch
from pipelines.training.session import LocalSession, Session, StoppedEarly
from storage.atomic import write_json
from storage.errors import ConfigError, TrainingError
from storage.manifest import Store

_WEIGHTS = 2  # stream of randomness beside those of the loop


class RegionNet(nn.Module):
    """Masked regions N1SS in [0, 1] to one logit each, N."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.layer = nn.Linear(num_features(backbone), 1)

    def forward(self, regions_N1SS: Tensor) -> Tensor:
        logit_N: Tensor = self.layer(self.backbone(regions_N1SS))[:, 0]
        return logit_N


@dataclass(frozen=True, kw_only=True)
class FineTuning:
    """What the trainings of all parts share.

    images_NSS, masks_NSS: the regions of `segments`, in its order, as `crops.square_crop` makes them. folder: for
    checkpoints.
    """

    segments: Segments
    images_NSS: NDArray[np.uint8]
    masks_NSS: NDArray[np.uint8]
    folder: Path
    config: ClassificationConfig
    num_regions: int
    supervised: SupervisedConfig
    session: Session

    def tune(
        self, one: Round, start: Path, rule: str, progress: Progress = silent
    ) -> tuple[Fitted, Segments, Path]:
        """Train on a round; the layer and its choices, all segments as its encoder sees them, and its folder.

        start: folder of the encoder that it begins from. rule: for the threshold.
        Raises TrainingError where a class is absent, StoppedEarly where the session ends it.
        """
        train, validation = self.parts(one)
        config = self.supervised
        learnt, chosen_on = self._films(train), self._films(validation)
        for part, films in (("training", learnt), ("held-out", chosen_on)):
            if len(np.unique(films.outcome_N)) < 2:
                raise TrainingError(
                    f"The {part} subjects of one part are all of one class, so no encoder can be fine-tuned on them: "
                    "give more subjects, or use fewer folds."
                )
        settings, tensors = read_part(start, "encoder")
        backbone = build_backbone(str(settings["backbone"]), channels_of(str(settings["backbone"]), tensors))
        backbone.load_state_dict(tensors)
        seed_torch(config.seed, _WEIGHTS)
        model, folder = RegionNet(backbone), self.folder / one.name
        result = fit(
            FilmLearner(model, learnt, chosen_on, config), config, self.session, folder, one.name, progress
        )
        if result.stopped:
            raise StoppedEarly(result.steps, config.steps)
        model.load_state_dict(result.best)
        encoder = Encoder(str(settings["backbone"]), model.backbone.state_dict(), self.session.device)
        segments = replace(
            self.segments,
            features_ND=encoder.features(self.images_NSS, self.masks_NSS).astype(np.float64),
        )
        head = _head(model.cpu().layer, self.num_regions)
        save_weights(model.backbone, folder / "encoder" / "model.safetensors")
        described = {**settings, "method": f"{settings['method']}{FINE_TUNED}"}
        document = {"format": 1, "kind": "encoder", "encoder": described}
        document[seen.SECTION] = {"encoder": seen.seen_by(start, "encoder")}
        write_json(folder / "encoder" / "model.json", document)
        return self._chosen(head, segments.of(validation), train, rule), segments, folder / "encoder"

    def parts(self, one: Round) -> tuple[list[str], list[str]]:
        """Who trains, and on whom the choices are made: the round's validation, or else an inner fold held out."""
        if one.validation:
            return list(one.train), list(one.validation)
        return self._hold_out(one.train, one.inner_seed)

    def _hold_out(self, train: Sequence[str], seed: int) -> tuple[list[str], list[str]]:
        known = dict(zip(self.segments.subject_N.tolist(), self.segments.outcome_N.tolist(), strict=True))
        names = np.array(sorted(known.keys() & set(train)))
        outcome_S = np.array([known[name] for name in names])
        check_classes(outcome_S, self.config.inner_folds)
        dealer = StratifiedKFold(self.config.inner_folds, shuffle=True, random_state=seed)
        kept, held = next(iter(dealer.split(names, outcome_S)))
        return names[kept].tolist(), names[held].tolist()

    def _films(self, subjects: Sequence[str]) -> FilmSet:
        """The masked regions of these subjects as the learner takes films."""
        chosen_N = np.isin(self.segments.subject_N, list(subjects))
        rows = pd.DataFrame(
            {"subject": self.segments.subject_N[chosen_N], "outcome": self.segments.outcome_N[chosen_N]}
        )
        return FilmSet(rows, self.images_NSS[chosen_N] * (self.masks_NSS[chosen_N] > 0))

    def _chosen(self, head: Head, held_out: Segments, train: Sequence[str], rule: str) -> Fitted:
        """Threshold and calibration by the held-out subjects; of the training subjects nothing is predicted."""
        bones_N = head.probability(held_out.features_ND, held_out.region_N)
        subjects, probability_S = mean_over_bones(held_out.subject_N, bones_N)
        known = dict(zip(held_out.subject_N.tolist(), held_out.outcome_N.tolist(), strict=True))
        outcome_S, once = np.array([known[name] for name in subjects]), np.ones((1, len(subjects)))
        slope, intercept = fit_platt(outcome_S, probability_S)
        learnt = np.isin(self.segments.subject_N, list(train))
        outcomes = dict(
            zip(self.segments.subject_N[learnt], self.segments.outcome_N[learnt].tolist(), strict=True)
        )
        selection = Selection(
            l2=self.supervised.weight_decay,
            threshold=choose_threshold(outcome_S, probability_S, rule, self.config.sensitivity),
            slope=slope,
            intercept=intercept,
            inner_log_loss=float(log_loss(outcome_S, probability_S, labels=[0, 1])),
            inner_auc=float(auc(outcome_S, probability_S, once)[0]),
            subjects=len(outcomes),
            positive=sum(outcomes.values()),
        )
        return Fitted(head, selection, pd.DataFrame(columns=["subject", "outcome", "probability"]))


def fine_tuning(
    store: Store,
    segmentation: Segmentation,
    encoder: Path,
    rows: pd.DataFrame,
    segments: Segments,
    folder: Path,
    config: ClassificationConfig,
    num_regions: int,
    supervised: SupervisedConfig | None,
    session: Session | None,
) -> FineTuning:
    """What the trainings need, its checkpoints in folder/checkpoints. encoder: as its crops were made, all
    regions' are. rows: of `film_rows`; segments: the evaluable ones, without features.

    ConfigError where supervised.supcon or initial_weights is set: regions begin from what pretraining.* makes.
    """
    supervised = supervised or SupervisedConfig()
    for name, instead in (("supcon", "method"), ("initial_weights", "initial_weights")):
        if getattr(supervised, name):
            raise ConfigError(
                f"supervised.{name} is for whole films; for classification.encoder=fine_tuned set "
                f"pretraining.{instead} instead."
            )
    found = segmentation.regions.set_index(["key", "region"], drop=False)
    usable = rows[rows["evaluable"]]
    wanted = found.loc[list(zip(usable["key"], usable["region"], strict=True))]
    scale_N = encoder_scales(store, encoder, wanted, config)
    crops_N2SS = square_crops(segmentation, wanted, config.input_size, scale_N)
    return FineTuning(
        segments=segments,
        images_NSS=crops_N2SS[:, 0],
        masks_NSS=crops_N2SS[:, 1],
        folder=folder / "checkpoints",
        config=config,
        num_regions=num_regions,
        supervised=supervised,
        session=session or LocalSession(),
    )


def _head(layer: nn.Linear, num_regions: int) -> Head:
    """The trained layer as one on features that are not standardised."""
    weight_D = layer.weight.detach()[0].double().numpy()
    return Head(
        weight_D=weight_D,
        bias=float(layer.bias.detach()[0]),
        mean_RD=np.zeros((num_regions, len(weight_D))),
        scale_RD=np.ones((num_regions, len(weight_D))),
    )
