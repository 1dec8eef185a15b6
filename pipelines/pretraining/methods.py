"""The methods by name."""

from __future__ import annotations

from pipelines.pretraining.config import PretrainingConfig
from pipelines.pretraining.method import Method
from pipelines.pretraining.simclr import SimClr
from pipelines.pretraining.supcon import SupCon
from pipelines.pretraining.swav import SwaV
from pipelines.pretraining.vicreg import VicReg


def build_method(num_features: int, config: PretrainingConfig, minority: int = 1) -> Method:
    """The method of a resolved configuration; minority: the rarer outcome, for supervised_minority."""
    if config.method == "supcon":
        return SupCon(num_features, config, minority if config.supervised_minority else None)
    if config.method == "swav":
        return SwaV(num_features, config)
    return {"simclr": SimClr, "vicreg": VicReg}[config.method](num_features, config)
