"""Records, datasets and the checks that keep a training from failing."""
