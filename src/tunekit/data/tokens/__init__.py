"""How many tokens rows have, counted as the model that will be tuned counts them."""

from __future__ import annotations
