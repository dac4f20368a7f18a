"""The JSON Schemas of tools: whether they are valid, and whether arguments fit them.

Schemas come from files that nobody has vetted, so three things are kept from them. References to
other documents are refused and never fetched. Regular expressions (`pattern`, `patternProperties`)
are not applied, because one that backtracks without end cannot be stopped. And the number of local
references that one validation may follow is bounded, because few of them can stand for a tree of
exponential size.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import islice
from typing import Any, Final

import msgspec

MAX_REFERENCES: Final = 1_000
"""Local references that the validation of one call may follow."""

MAX_DEPTH: Final = 50
"""How many references are followed within each other."""

LISTED: Final = 5
"""How many faults of one call's arguments are said."""


class Schema:
    """The `parameters` of a tool, ready to judge arguments.

    Attributes:
        fault: What is wrong with the schema itself; empty for nothing.
    """

    __slots__ = ("_plain", "_validator", "fault")

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        self.fault = ""
        self._validator: Any = None
        self._plain = _Plain.of(parameters)
        try:
            self.fault = self._compile(parameters)
        except RecursionError:
            self.fault = "It is nested too deeply."

    def _compile(self, parameters: Mapping[str, Any]) -> str:
        from jsonschema import FormatChecker, SchemaError
        from jsonschema_specifications import REGISTRY

        if far := next(_far_references(parameters), None):
            return f"It refers to another document, {far!r:.80}, which is never fetched."
        base = _base(parameters)
        try:
            # No formats: Python's regular expressions are not those of JSON Schema.
            base.check_schema(parameters, format_checker=FormatChecker(formats=()))
        except SchemaError as error:
            return f"At `{error.json_path}`: {error.message:.200}."
        # The registry holds the published meta-schemas, and has no means to retrieve anything.
        self._validator = _bounded(base)(_without_patterns(parameters), registry=REGISTRY)
        return ""

    def misfits(self, arguments: Any) -> Iterator[tuple[str, str]]:
        """Give `(place, what is wrong)` for the first faults, with places such as `$.city`."""
        from referencing.exceptions import Unresolvable

        if self._validator is None or (self._plain is not None and self._plain.fit(arguments)):
            return
        _references.followed = _references.depth = 0
        try:
            for error in islice(self._validator.iter_errors(arguments), LISTED):
                yield error.json_path, f"{error.message:.200}"
        except Unresolvable as error:
            yield "$", f"the schema refers to {error.ref!r:.80}, which it does not define"
        except RecursionError:
            yield "$", "the schema refers to itself without end"
        except (ArithmeticError, ValueError) as error:
            yield "$", f"they cannot be judged: {error!s:.200}"


@dataclass(frozen=True, slots=True)
class _Plain:
    """The commonest schema, an object of single values, which needs no validator to say yes.

    Attributes:
        types: For each property, the Python types that fit it.
        choices: For some properties, the strings that fit it.
        required: The properties that have to be there.
    """

    types: Mapping[str, tuple[type, ...]]
    choices: Mapping[str, frozenset[str]]
    required: frozenset[str]

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> _Plain | None:
        """The plain form of a schema; None where it says more, or is not valid."""
        properties, required = parameters.get("properties", {}), parameters.get("required", [])
        if not (parameters.keys() <= _OBJECT and isinstance(properties, dict)):
            return None
        if parameters.get("type", "object") != "object":
            return None
        if not (isinstance(required, list) and all(isinstance(name, str) for name in required)):
            return None
        types, choices = {}, {}
        for name, property in properties.items():
            if not isinstance(property, dict) or not property.keys() <= _SINGLE:
                return None
            kind = property.get("type")
            if not isinstance(kind, str) or kind not in _PYTHON:
                return None
            types[name] = _PYTHON[kind]
            if "enum" in property:
                known = property["enum"]
                if not isinstance(known, list) or not all(isinstance(one, str) for one in known):
                    return None
                choices[name] = frozenset(known)
        return cls(types, choices, frozenset(required))

    def fit(self, arguments: Any) -> bool:
        """Whether the arguments certainly fit."""
        if type(arguments) is not dict or not arguments.keys() >= self.required:
            return False
        for name, value in arguments.items():
            if type(value) not in self.types.get(name, ()):
                return False
            if name in self.choices and value not in self.choices[name]:
                return False
        return True


_OBJECT: Final = frozenset(
    ("type", "properties", "required", "additionalProperties", "description", "title")
)
_SINGLE: Final = frozenset(("type", "enum", "description", "title", "default"))
_PYTHON: Final[Mapping[str, tuple[type, ...]]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}


class _References(threading.local):
    """How many references this thread's validation has followed, and how many of them it is within.

    A validator cannot carry it.
    """

    followed = 0
    depth = 0


_references: Final = _References()


def schema_of(parameters: Mapping[str, Any]) -> Schema:
    """The schema that these `parameters` are; the same tools repeat on every row, so kept."""
    try:
        return _kept(msgspec.json.encode(parameters))
    except (ValueError, TypeError, OverflowError, RecursionError):
        # Surrogate halves and giant numbers are JSON in Python only; such a schema is not kept.
        return Schema(parameters)


@lru_cache(maxsize=512)
def _kept(written: bytes) -> Schema:
    return Schema(json.loads(written))


def _base(parameters: Mapping[str, Any]) -> Any:
    from jsonschema import validators

    newest = validators.Draft202012Validator

    if not isinstance(parameters.get("$schema"), str):
        return newest
    return validators.validator_for(parameters, default=newest)


@cache
def _bounded(base: Any) -> Any:
    """The validator of a dialect, which counts the references that it follows."""
    from jsonschema import validators

    def counted(follow: Any) -> Any:
        def keyword(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[Any]:
            _references.followed += 1
            _references.depth += 1
            try:
                # Deep recursion would end in a panic of the resolver, which nothing can catch.
                if _references.followed > MAX_REFERENCES or _references.depth > MAX_DEPTH:
                    raise RecursionError
                yield from follow(validator, value, instance, schema) or ()
            finally:
                _references.depth -= 1

        return keyword

    follows = {key: counted(base.VALIDATORS[key]) for key in _REFERENCES if key in base.VALIDATORS}
    return validators.extend(base, follows)


_REFERENCES: Final = ("$ref", "$dynamicRef", "$recursiveRef")
_NAMED: Final = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
"""Keywords whose objects map names of any kind, `pattern` and `$ref` included, to schemas."""
_VALUES: Final = ("enum", "const", "default", "examples")
"""Keywords that hold values and no schemas."""


def _far_references(schema: Any) -> Iterator[str]:
    for part in _parts(schema):
        for key in _REFERENCES:
            if isinstance(part.get(key), str) and not part[key].startswith("#"):
                yield part[key]


def _parts(schema: Any) -> Iterator[Mapping[str, Any]]:
    """Every object of a schema that is a schema itself."""
    if isinstance(schema, list):
        for item in schema:
            yield from _parts(item)
    elif isinstance(schema, dict):
        yield schema
        for key, value in schema.items():
            if key in _NAMED and isinstance(value, dict):
                yield from _parts(list(value.values()))
            elif key not in _VALUES:
                yield from _parts(value)


def _without_patterns(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_without_patterns(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    left_out = {"pattern", "patternProperties"}
    if "patternProperties" in schema:
        # What these forbid depends on which names the patterns match.
        left_out |= {"additionalProperties", "unevaluatedProperties"}
    kept: dict[str, Any] = {}
    for key, value in schema.items():
        if key in left_out:
            continue
        if key in _NAMED and isinstance(value, dict):
            kept[key] = {name: _without_patterns(part) for name, part in value.items()}
        else:
            kept[key] = value if key in _VALUES else _without_patterns(value)
    return kept
