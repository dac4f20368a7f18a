"""What is to be tuned: a job file, flags, or a file with flags on top, as one request."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tunekit.cli.shell import option_group, parse_assignments

if TYPE_CHECKING:
    from pydantic import ValidationError

    from tunekit.data import Dataset
    from tunekit.spec import FineTuneSpec

# What pydantic puts into a path for the alternatives of a union.
_ALTERNATIVE = (
    r"\.(supervised|dpo|reinforcement|LoRA|literal\[.*?\]|constrained-\w+|int|float)(?=\.|$)"
)

_REQUEST = "Request"
_METHOD = "Method"


@option_group
@dataclass(frozen=True)
class RequestFlags:
    """The options that describe a fine-tune; each wins over the same line of a job file."""

    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="Logical name or model id.", rich_help_panel=_REQUEST),
    ] = None
    train: Annotated[
        Path | None,
        typer.Option(help="Training data, JSONL or CSV.", rich_help_panel=_REQUEST),
    ] = None
    validation: Annotated[
        Path | None,
        typer.Option(help="Validation data, JSONL or CSV.", rich_help_panel=_REQUEST),
    ] = None
    suffix: Annotated[
        str | None,
        typer.Option(help="Ends up in the tuned model's name.", rich_help_panel=_REQUEST),
    ] = None
    seed: Annotated[
        int | None, typer.Option(help="Seed of the training.", rich_help_panel=_REQUEST)
    ] = None
    metadata: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="A note on the job; may be repeated.",
            rich_help_panel=_REQUEST,
        ),
    ] = None
    option: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PROVIDER.KEY=VALUE",
            help="A setting that only one provider knows; may be repeated.",
            rich_help_panel=_REQUEST,
        ),
    ] = None
    method: Annotated[
        str | None,
        typer.Option(help="supervised, dpo or reinforcement.", rich_help_panel=_METHOD),
    ] = None
    epochs: Annotated[
        str | None,
        typer.Option(metavar="N|auto", help="Passes over the data.", rich_help_panel=_METHOD),
    ] = None
    batch_size: Annotated[
        str | None,
        typer.Option(metavar="N|auto", help="Examples per update.", rich_help_panel=_METHOD),
    ] = None
    learning_rate_multiplier: Annotated[
        str | None,
        typer.Option(
            metavar="X|auto", help="Factor on the provider's base rate.", rich_help_panel=_METHOD
        ),
    ] = None
    beta: Annotated[
        str | None,
        typer.Option(metavar="X|auto", help="DPO: closeness to the base.", rich_help_panel=_METHOD),
    ] = None
    adapter: Annotated[
        str | None,
        typer.Option(
            metavar="auto|lora|none",
            help="What is trained: an adapter or all weights.",
            rich_help_panel=_METHOD,
        ),
    ] = None
    lora_r: Annotated[int | None, typer.Option(help="LoRA rank.", rich_help_panel=_METHOD)] = None
    lora_alpha: Annotated[
        float | None, typer.Option(help="LoRA scale; 2r by default.", rich_help_panel=_METHOD)
    ] = None
    lora_dropout: Annotated[
        float | None, typer.Option(help="LoRA dropout.", rich_help_panel=_METHOD)
    ] = None

    @property
    def given(self) -> bool:
        """Whether any of them was given."""
        return any(value not in (None, []) for value in vars(self).values())


@dataclass(frozen=True)
class Request:
    """A fine-tune, ready to be checked, estimated or launched."""

    spec: FineTuneSpec
    train: Dataset
    validation: Dataset | None = None


@dataclass
class _Draft:
    """A request before it is validated.

    Attributes:
        origin: What messages call it.
        spec: Fields of `FineTuneSpec`.
        data: The `[data]` table.
        folder: What relative paths start from.
    """

    origin: str
    spec: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    folder: Path = field(default_factory=Path)


def read_request(job_file: Path | None, flags: RequestFlags) -> Request:
    """Read the request.

    Raises:
        ConfigError: The file or a flag is wrong; every fault is named.
        DataError: A data file cannot be used.
    """
    from tunekit.cli.datafiles import read_splits
    from tunekit.errors import ConfigError

    draft = _Draft("the command line") if job_file is None else _read_file(job_file)
    _add_flags(draft, flags)
    missing = [
        f"{flag} (`{line}` in a job file)"
        for flag, line, there in (
            ("`--model`", "model", "model" in draft.spec),
            ("`--train`", "train` under `[data]", "train" in draft.data),
        )
        if not there
    ]
    if missing:
        raise ConfigError(
            f"The request of {draft.origin} lacks {' and '.join(missing)}.",
            next_step="Give a job file or these options; `tunekit run --help` lists them.",
        )
    spec = _make_spec(draft)
    train, validation = read_splits(draft.data, draft.folder, origin=draft.origin)
    return Request(spec, train, validation)


def _read_file(path: Path) -> _Draft:
    from tunekit.errors import ConfigError

    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"The job file {str(path)!r} cannot be read: {error.strerror}."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"The job file {str(path)!r} is not valid TOML: {error}.") from error
    data = content.pop("data", {})
    if not isinstance(data, dict):
        raise ConfigError(f"`data` in {str(path)!r} must be a table: `[data]`.")
    method = content.get("method")
    if isinstance(method, dict):
        content["method"] = {"type": "supervised", **method}
    return _Draft(f"the job file {str(path)!r}", content, data, path.parent)


def _add_flags(draft: _Draft, flags: RequestFlags) -> None:
    plain = {"model": flags.model, "suffix": flags.suffix, "seed": flags.seed}
    draft.spec.update({key: value for key, value in plain.items() if value is not None})
    for key, path in (("train", flags.train), ("validation", flags.validation)):
        if path is not None:
            draft.data[key] = str(path if draft.folder == Path() else path.absolute())
            if key == "validation":
                draft.data.pop("split", None)
    method = {
        "type": flags.method,
        "n_epochs": flags.epochs,
        "batch_size": flags.batch_size,
        "learning_rate_multiplier": flags.learning_rate_multiplier,
        "beta": flags.beta,
    }
    _merge(draft.spec, "method", method, default={"type": "supervised"})
    lora = {"r": flags.lora_r, "alpha": flags.lora_alpha, "dropout": flags.lora_dropout}
    if flags.adapter is not None:
        draft.spec["adapter"] = {"type": "lora"} if flags.adapter == "lora" else flags.adapter
    if any(value is not None for value in lora.values()) and flags.adapter in ("auto", "none"):
        raise typer.BadParameter(
            f"LoRA options do not go with `--adapter {flags.adapter}`.", param_hint="--adapter"
        )
    _merge(draft.spec, "adapter", lora, default={"type": "lora"})
    _merge(
        draft.spec,
        "metadata",
        {k: str(v) for k, v in _texts(flags.metadata, "--metadata").items()},
        default={},
    )
    for name, value in parse_assignments(flags.option, "--option").items():
        _put_option(draft.spec, name, value)


def _texts(pairs: list[str] | None, option: str) -> dict[str, Any]:
    return parse_assignments(pairs, option, scalars=False)


def _merge(
    spec: dict[str, Any], key: str, values: Mapping[str, Any], *, default: Mapping[str, Any]
) -> None:
    given = {name: value for name, value in values.items() if value is not None}
    if not given:
        return
    existing = spec.get(key)
    base = existing if isinstance(existing, dict) else default
    spec[key] = {**base, **given}


def _put_option(spec: dict[str, Any], path: str, value: Any) -> None:
    """Set `provider.key`; further dots lead into tables."""
    *tables, last = path.split(".")
    if not tables or not all((*tables, last)):
        raise typer.BadParameter(
            f"{path!r} is not of the form provider.key, for example trl.packing.",
            param_hint="--option",
        )
    place = spec["options"] = _copy_of(spec.get("options"))
    for table in tables:
        place[table] = _copy_of(place.get(table))
        place = place[table]
    place[last] = value


def _copy_of(table: Any) -> dict[str, Any]:
    return dict(table) if isinstance(table, Mapping) else {}


def _make_spec(draft: _Draft) -> FineTuneSpec:
    from pydantic import ValidationError

    from tunekit.errors import ConfigError
    from tunekit.spec import FineTuneSpec

    try:
        return FineTuneSpec.model_validate(draft.spec)
    except ValidationError as error:
        lines = [f"  - `{where}`: {what}" for where, what in _faults(error)]
        raise ConfigError(
            f"The request of {draft.origin} cannot be used:\n" + "\n".join(lines)
        ) from error


def _faults(error: ValidationError) -> list[tuple[str, str]]:
    """One line for each wrong field: `(path, what is wrong)`.

    Pydantic reports every alternative of a union on its own, under the alternative's name; here
    they are brought together under the field's path as the user wrote it.
    """
    from tunekit._text import validation_faults
    from tunekit.spec import DPO, RFT, SFT, FineTuneSpec, LoRA, Quantization

    kinds = (FineTuneSpec, SFT, DPO, RFT, LoRA, Quantization)
    known = sorted({name for kind in kinds for name in kind.model_fields})
    found: dict[str, list[str]] = {}
    for where, what, hint in validation_faults(error, known=known):
        path = re.sub(_ALTERNATIVE, "", where)
        found.setdefault(path, []).append(f"{what} {hint}".rstrip())
    deeper = [path for path in found if "." in path]
    return [
        (path, _as_one(said))
        for path, said in found.items()
        if not (path in ("adapter", "method") and any(p.startswith(f"{path}.") for p in deeper))
    ]


def _as_one(said: list[str]) -> str:
    """Join what several alternatives say of the same value."""
    if len(said) == 1:
        return said[0]
    value = said[0].rpartition(", got ")[2]
    return " Or: ".join(one.rpartition(", got ")[0] + "." for one in said) + f" Got {value}"
