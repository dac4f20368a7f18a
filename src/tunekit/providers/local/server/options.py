"""What a local deployment can be told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, ValidationError

from tunekit._text import validation_faults
from tunekit.errors import ConfigError
from tunekit.providers.base import ProviderOptions


class ServeOptions(ProviderOptions):
    """Settings of a local server.

    Attributes:
        port: Port on 127.0.0.1; 0 lets the operating system choose a free one.
        threads: CPU threads for the model; None leaves it to torch (one per physical core).
        dtype: Number format of the weights; `auto` takes the one they are stored in.
        device: `auto` (an accelerator if there is one), `cpu`, `cuda`, `cuda:1`, `mps`.
        max_startup_seconds: After this the start is given up.
        max_batch: Sequences that are generated together.
    """

    port: Annotated[int, Field(ge=0, le=65535)] = 0
    threads: Annotated[int, Field(ge=1, le=1024)] | None = None
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    device: Annotated[
        str, StringConstraints(pattern=r"^(auto|cpu|mps|cuda(:\d+)?|xpu(:\d+)?)$")
    ] = "auto"
    max_startup_seconds: Annotated[float, Field(gt=0)] = 600.0
    max_batch: Annotated[int, Field(ge=1, le=256)] = 16

    @classmethod
    def read(cls, options: Mapping[str, Any]) -> ServeOptions:
        """Read the options of a call.

        Raises:
            ConfigError: A key is unknown or a value is out of bounds; names every fault.
        """
        try:
            return cls.model_validate(dict(options))
        except ValidationError as error:
            faults = validation_faults(error, known=list(cls.model_fields))
            raise ConfigError(
                "The deployment options cannot be used: "
                + " ".join(f"`{path}`: {message} {hint}".strip() for path, message, hint in faults)
            ) from error
