"""Tool definitions are valid schemas, and calls fit them; no schema can hang or call home."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunekit.data import DataKind
from tunekit.data.checks import schemas
from tunekit.data.checks.rows import check_row
from tunekit.data.checks.schemas import Schema, schema_of
from tunekit.problems import Severity

CITY: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1}},
    "required": ["city"],
    "additionalProperties": False,
}


def row(parameters: Any = None, *calls: Any, name: str = "weather", **more: Any) -> dict[str, Any]:
    """A row whose assistant makes one call for each of these arguments."""
    made = [
        {
            "id": f"c{number}",
            "type": "function",
            "function": {
                "name": name,
                "arguments": call if isinstance(call, str) else json.dumps(call),
            },
        }
        for number, call in enumerate(calls)
    ]
    messages = [
        {"role": "user", "content": "?"},
        {"role": "assistant", "tool_calls": made}
        if made
        else {"role": "assistant", "content": "x"},
    ]
    function = {"name": name, "parameters": parameters}
    return {"messages": messages, "tools": [{"type": "function", "function": function}], **more}


def codes(value: dict[str, Any], kind: DataKind = DataKind.CHAT) -> list[str]:
    return [problem.code for problem in check_row(value, kind)]


@pytest.mark.parametrize("parameters", [None, {}, CITY, {"type": "object", "properties": {}}])
def test_valid_definitions_pass(parameters: Any) -> None:
    assert codes(row(parameters)) == []


@pytest.mark.parametrize(
    "parameters",
    [
        {"type": "objekt"},
        {"type": "object", "properties": []},
        {"type": "object", "required": "city"},
        {"properties": {"a": {"minimum": "1"}}},
        {"properties": {"a": {"enum": 3}}},
    ],
)
def test_parameters_that_are_no_schema_are_found(parameters: Any) -> None:
    (problem,) = check_row(row(parameters), DataKind.CHAT)
    assert (problem.code, problem.path) == ("bad-tool-schema", "tools[0].function.parameters")


@pytest.mark.parametrize("name", ["", "a b", "naïve", "x" * 65, "f.g"])
def test_tools_have_names_that_the_services_take(name: str) -> None:
    assert codes(row(CITY, {"city": "Oslo"}, name=name)) == ["bad-tool-name"]


def test_longest_name_passes() -> None:
    assert codes(row(CITY, name="aZ0_-" + "x" * 59)) == []


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        ({}, "`$`"),
        ({"city": 3}, "`$.city`"),
        ({"city": "Oslo", "days": 0}, "`$.days`"),
        ({"city": "Oslo", "units": "metric"}, "`$`"),
    ],
)
def test_arguments_that_do_not_fit_are_errors_with_their_place(arguments: Any, place: str) -> None:
    (problem,) = check_row(row(CITY, {"city": "Oslo"}, arguments), DataKind.CHAT)
    assert problem.code == "tool-arguments-do-not-fit"
    assert problem.severity is Severity.ERROR
    assert problem.path == "messages[1].tool_calls[1].function.arguments"
    assert place in problem.message


def test_arguments_that_fit_pass_in_both_forms_of_tools() -> None:
    assert codes(row(CITY, {"city": "Oslo", "days": 2}, {"city": "Bergen"})) == []
    old = {"role": "assistant", "function_call": {"name": "weather", "arguments": "{}"}}
    value = {
        "messages": [{"role": "user", "content": "?"}, old],
        "functions": [{"name": "weather", "parameters": CITY}],
    }
    (problem,) = check_row(value, DataKind.CHAT)
    assert (problem.code, problem.path) == (
        "tool-arguments-do-not-fit",
        "messages[1].function_call.arguments",
    )


def test_calls_of_an_output_are_held_against_the_tools_of_the_input() -> None:
    value = row(CITY, {"city": 3})
    pair = {
        "input": {"messages": value["messages"][:1], "tools": value["tools"]},
        "preferred_output": value["messages"][1:],
        "non_preferred_output": [{"role": "assistant", "content": "x"}],
    }
    (problem,) = check_row(pair, DataKind.PREFERENCE)
    assert problem.path == "preferred_output[0].tool_calls[0].function.arguments"


def test_many_misfits_of_one_call_are_cut_off() -> None:
    parameters = {"type": "object", "additionalProperties": {"type": "string"}}
    found = codes(row(parameters, {f"k{n}": n for n in range(100)}))
    assert found == ["tool-arguments-do-not-fit"] * schemas.LISTED


@pytest.mark.parametrize("arguments", ['{"city": NaN}', "[" * 100_000, "null", "9" * 5_000])
def test_arguments_are_json_objects(arguments: str) -> None:
    assert codes(row(CITY, arguments)) == ["bad-tool-arguments"]


def test_ids_of_calls_are_unique() -> None:
    value = row(CITY, {"city": "Oslo"}, {"city": "Bergen"})
    value["messages"][1]["tool_calls"][1]["id"] = "c0"
    (problem,) = check_row(value, DataKind.CHAT)
    assert (problem.code, problem.path) == (
        "duplicate-tool-call-id",
        "messages[1].tool_calls[1].id",
    )


def test_parallel_calls_are_refused_only_where_the_row_forbids_them() -> None:
    two = ({"city": "Oslo"}, {"city": "Bergen"})
    assert codes(row(CITY, *two, parallel_tool_calls=False)) == ["parallel-calls-forbidden"]
    assert codes(row(CITY, *two[:1], parallel_tool_calls=False)) == []
    assert codes(row(CITY, *two, parallel_tool_calls=True)) == []
    assert codes(row(CITY, parallel_tool_calls="no")) == ["bad-parallel-tool-calls"]


@pytest.mark.parametrize("key", ["$ref", "$dynamicRef"])
def test_references_to_other_documents_are_named_and_never_fetched(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise RuntimeError("the network was asked")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    parameters = {"type": "object", "properties": {"a": {key: "https://x.invalid/schema.json"}}}
    assert codes(row(parameters, {"a": 1})) == ["bad-tool-schema"]
    based = {"$id": "https://x.invalid/s.json", "properties": {"a": {"$ref": "#/$defs/none"}}}
    assert codes(row(based, {"a": 1})) == ["tool-arguments-do-not-fit"]


def test_a_property_may_be_called_like_a_keyword() -> None:
    properties = {"$ref": {"type": "string"}, "pattern": {"type": "integer"}}
    parameters = {"type": "object", "properties": properties, "default": {"$ref": "x"}}
    assert codes(row(parameters, {"$ref": "x", "pattern": 3})) == []
    assert codes(row(parameters, {"pattern": "3"})) == ["tool-arguments-do-not-fit"]


def test_local_references_are_followed() -> None:
    parameters = {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/a"}},
        "$defs": {"a": {"type": "integer"}},
    }
    assert codes(row(parameters, {"a": 1})) == []
    assert codes(row(parameters, {"a": "1"})) == ["tool-arguments-do-not-fit"]


def test_patterns_are_not_applied_so_that_none_can_run_for_ever() -> None:
    parameters = {
        "type": "object",
        "properties": {"a": {"type": "string", "pattern": "^(a+)+$"}},
        "patternProperties": {"^(b+)+$": {"type": "string"}},
        "additionalProperties": False,
    }
    assert codes(row(parameters, {"a": "a" * 60 + "!", "b" * 60 + "!": 1})) == []


def test_schemas_without_end_are_problems() -> None:
    doubling: dict[str, Any] = {
        f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(40)
    }
    doubling["d40"] = {"type": "object"}
    assert codes(row({"$ref": "#/$defs/d0", "$defs": doubling}, {"a": 1})) == [
        "tool-arguments-do-not-fit"
    ]
    assert codes(row({"$ref": "#"}, {"a": 1})) == ["tool-arguments-do-not-fit"]
    deep: dict[str, Any] = {}
    for _ in range(5_000):
        deep = {"not": deep}
    assert "deep" in Schema(deep).fault


def test_numbers_beyond_floats_end_in_a_problem_or_none() -> None:
    parameters = {"properties": {"a": {"multipleOf": 1e-308}, "b": {"maximum": 10**400}}}
    assert set(codes(row(parameters, {"a": 10**400, "b": 1e308}))) <= {"tool-arguments-do-not-fit"}


def test_the_same_schema_is_compiled_once() -> None:
    assert schema_of(dict(CITY)) is schema_of(dict(CITY))


VALUES: st.SearchStrategy[Any] = st.sampled_from([None, True, 0, 1, 1.0, 2.5, "a", "b", "", [], {}])
PROPERTY = st.fixed_dictionaries(
    {"type": st.sampled_from(["string", "integer", "number", "boolean", "array", ["string"]])},
    optional={"enum": st.lists(VALUES, min_size=1, max_size=3), "minimum": st.just(1)},
)
FLAT = st.fixed_dictionaries(
    {"properties": st.dictionaries(st.sampled_from("abc"), PROPERTY)},
    optional={
        "type": st.sampled_from(["object", "array"]),
        "required": st.lists(st.sampled_from("abc"), unique=True),
        "additionalProperties": st.booleans(),
    },
)


@settings(max_examples=400, deadline=None)
@given(parameters=FLAT, arguments=st.dictionaries(st.sampled_from("abcd"), VALUES))
def test_flat_schemas_are_judged_as_the_reference_validator_does(
    parameters: Any, arguments: Any
) -> None:
    from jsonschema import Draft202012Validator

    fits = Draft202012Validator(parameters).is_valid(arguments)
    assert (codes(row(parameters, arguments)) == []) == fits


KEYWORDS = [
    *("type", "properties", "items", "$ref", "$id", "$schema", "enum", "allOf", "not", "minimum"),
    *("additionalProperties", "required", "pattern", "patternProperties", "if", "a"),
]
SCHEMAS: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from(["object", "string", "#", "#/a"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(KEYWORDS),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(parameters=SCHEMAS, arguments=st.dictionaries(st.sampled_from("ab"), SCHEMAS))
def test_any_schema_and_arguments_end_in_problems(parameters: Any, arguments: Any) -> None:
    assert set(codes(row(parameters, arguments))) <= {
        "bad-tools",
        "bad-tool-schema",
        "tool-arguments-do-not-fit",
    }


def test_a_schema_that_is_its_own_reference_ends_in_a_problem() -> None:
    schema = {"$ref": "#"}
    row = {
        "messages": [
            {"role": "user", "content": "Weather?"},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
                ],
            },
        ],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": schema}}],
    }
    codes = [problem.code for problem in check_row(row, DataKind.CHAT)]
    assert codes == ["tool-arguments-do-not-fit"]
