"""Settings of one training, shared by the three trainers: each inherits from it and names its section."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from storage.errors import check_at_least, check_between, check_one_of


@dataclass(kw_only=True, slots=True)
class TrainingConfig:
    """How a model is fitted. A subclass sets `section`, so that an error says "pretraining.batch_size"."""

    section: ClassVar[str] = "training"

    steps: int = 1000
    """Optimizer updates of the whole training."""
    batch_size: int = 32
    """Samples of one step over all workers."""
    lr: float = 1e-3
    """Peak learning rate, reached after the warm-up."""
    weight_decay: float = 1e-4
    """Decay of the weights per step, decoupled from the gradient where the optimizer is adamw."""
    warmup_steps: int = 0
    """Steps over which the rate grows from 0 to its peak; it falls as a cosine after them."""
    optimizer: str = "adamw"
    """adamw, or larc: SGD with momentum whose rate is adapted per layer."""
    larc_clip: bool = False
    """False adapts as LARS and SwAV do; True never exceeds the plain rate, the original LARC."""
    larc_exclude: str = "vectors"
    """What neither decays nor gets an adapted rate: vectors (biases and norms), or nothing."""
    seed: int = 2023
    """Decides weights, order and views; the same seed gives the same model."""
    checkpoint_every_steps: int = 100
    """Steps between saved states; a stopped training goes on from the newest."""
    loader_workers: int = -1
    """Threads that prepare batches ahead; -1 is one beside a GPU, and none beside a CPU, which the steps keep busy."""
    threads: int = 0
    """Threads of torch and OpenCV on the CPU; 0: torch's as they are. Results are bitwise equal for equal threads."""
    bf16: bool = True
    """Mixed precision, where the device computes bfloat16 natively."""
    ema: float = 0.0
    """Decay of the averaged weights that are validated and kept; 0 keeps the plain weights."""
    gradient_clip: float = 0.0
    """Largest norm of the gradient; 0 is off."""

    def __post_init__(self) -> None:
        for field, least in (
            ("steps", 1),
            ("batch_size", 1),
            ("lr", 0),
            ("weight_decay", 0),
            ("warmup_steps", 0),
            ("seed", 0),
            ("checkpoint_every_steps", 1),
            ("loader_workers", -1),
            ("threads", 0),
            ("gradient_clip", 0),
        ):
            check_at_least(f"{self.section}.{field}", getattr(self, field), least)
        check_one_of(f"{self.section}.optimizer", self.optimizer, ("adamw", "larc"))
        exclusions = (
            ("auto", "vectors", "nothing") if self.section == "pretraining" else ("vectors", "nothing")
        )
        check_one_of(f"{self.section}.larc_exclude", self.larc_exclude, exclusions)
        check_between(f"{self.section}.ema", self.ema, 0, 0.999999)
