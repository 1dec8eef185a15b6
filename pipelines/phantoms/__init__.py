"""Synthetic radiographs from physics, with known truth."""
