"""Masks in: import and check."""
