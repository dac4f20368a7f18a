"""The two-minute story: data, check, training, deployment, score; on this machine, for real."""

from pathlib import Path

BASE_MODEL = str(Path(__file__).parent / "base")
"""Folder of the small base model that ships with the package; see its README for what it is."""
