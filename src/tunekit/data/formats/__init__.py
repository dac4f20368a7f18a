"""The shapes in which training data is kept elsewhere, read and written."""

from __future__ import annotations
