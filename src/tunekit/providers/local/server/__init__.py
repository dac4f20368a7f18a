"""The server behind a local deployment, and the host process that looks after it.

Runs under the profile's interpreter, where tunekit need not be installed: nothing here imports
more than the standard library, torch and transformers.
"""
