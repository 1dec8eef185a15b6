"""A finished model over new films with outcomes: nothing is refitted, the threshold is the model's own."""

from __future__ import annotations

from jobs.config import Settings
from jobs.predict import over_new_films


def main(settings: Settings) -> int:
    """`radmill evaluate model=DIR store=DIR out=DIR`: OUT/evaluate/metrics.json beside the predictions."""
    return over_new_films("evaluate", settings)
