"""Metrics, intervals and protocols that a reviewer accepts."""
