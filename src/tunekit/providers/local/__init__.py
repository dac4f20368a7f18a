"""Jobs and servers as directories and detached processes; shared by the local providers.

Everything here that a worker imports (`rundir`, `process`, `statefile`) needs only the standard
library, so that it also runs under an interpreter in which tunekit is not installed.
"""
