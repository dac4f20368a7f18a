"""`python -m tunekit` is the command line."""

from __future__ import annotations

from tunekit.cli import main

if __name__ == "__main__":
    main()
