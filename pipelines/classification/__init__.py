"""Outcome per bone and per subject from frozen features."""
