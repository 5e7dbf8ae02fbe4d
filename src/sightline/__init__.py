"""Sightline: one transformer block; who may attend to whom decides what it becomes."""

__version__ = "0.1.0"
