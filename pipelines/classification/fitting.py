"""How the layer of one round is fitted, and by which encoder its segments are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pipelines.classification.config import ClassificationConfig
from pipelines.classification.fine_tune import FineTuning
from pipelines.classification.probe import Segments
from pipelines.classification.rounds import Round
from pipelines.classification.select import Fitted, fit_by_validation, fit_held_back, fit_selected
from pipelines.classification.supervision import FINE_TUNED, Encoders
from pipelines.classification.supervision import METHOD as SUPCON
from pipelines.progress import Progress


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """Subjects with outcome: a row per film and region, the evaluable ones in their order without features and with
    those of the encoder in a folder, and by subject the 2MCI and the measured value."""

    rows: pd.DataFrame
    unread: Segments
    segments: Callable[[Path], Segments]
    cortical: pd.DataFrame
    measured: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class FittedRound:
    """A round's layer and choices, the segments of its test subjects, and the encoder that read them."""

    fitted: Fitted
    values: Segments
    """Of whom a measured value is learnt: who trains, but where the encoder knows their outcomes, who was held back."""
    test: Segments
    encoder: Path


@dataclass(frozen=True, kw_only=True)
class Fitting:
    """How every round is fitted."""

    labelled: Labelled
    encoders: Encoders
    tuning: FineTuning | None
    config: ClassificationConfig
    protocol: str
    num_regions: int
    progress: Progress

    @property
    def method(self) -> str:
        """What the tables call it."""
        return f"{self.encoders.method}{FINE_TUNED if self.tuning else ''}"

    def of(self, one: Round) -> FittedRound:
        """The layer of one round, by the round's encoder; outcomes of its test subjects play no part in it."""
        encoder, one = self.encoders.of(one)
        if self.tuning:
            rule = "0.5" if self._as_in_the_paper(one) else self.config.threshold
            fitted, segments, encoder = self.tuning.tune(one, encoder, rule, self.progress)
        else:
            segments = self.labelled.segments(encoder)
            fitted = self._layer(segments, one)
        return FittedRound(
            fitted=fitted,
            values=segments.of(self._denied(one)),
            test=segments.of(one.test),
            encoder=encoder,
        )

    def _denied(self, one: Round) -> Sequence[str]:
        """Training subjects whose outcomes the round's encoder has not learnt."""
        if self.tuning:
            return self.tuning.parts(one)[1]
        return one.validation if self.encoders.method == SUPCON else one.train

    def _as_in_the_paper(self, one: Round) -> bool:
        return self.protocol == "paper" and bool(one.test)

    def _layer(self, segments: Segments, one: Round) -> Fitted:
        train, validation = segments.of(one.train), segments.of(one.validation)
        if self._as_in_the_paper(one):
            return fit_by_validation(train, validation, self.num_regions, self.config)
        if one.validation:
            return fit_held_back(train, validation, self.num_regions, self.config)
        return fit_selected(train, self.num_regions, self.config, one.inner_seed)
