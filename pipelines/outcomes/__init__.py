"""Outcomes: a hospital's table of measurements becomes one outcome per subject, every row of it accounted for."""
