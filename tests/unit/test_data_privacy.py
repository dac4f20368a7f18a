"""Control tokens, secrets and personal data are found, not repeated, and seldom imagined.

Nothing here has the form of a real secret in the file itself: secrets are put together at run time.
"""

from __future__ import annotations

import json
import random
import string
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunekit.data.checks import privacy, special_tokens
from tunekit.data.checks.options import CheckOptions
from tunekit.data.checks.rows import check_content, maybe_content
from tunekit.data.checks.texts import SMALL, suspects, texts_of
from tunekit.data.limits import DataLimits
from tunekit.problems import Severity

DRAW = random.Random(5)
MIXED = string.ascii_letters + string.digits


def body(length: int, letters: str = MIXED) -> str:
    """Random letters with a digit early on."""
    return "7" + "".join(DRAW.choices(letters, k=length - 1))


def luhn(start: str) -> str:
    """The number completed by its check digit."""
    for digit in "0123456789":
        doubled = [int(d) * (1 + n % 2) for n, d in enumerate(reversed(start + digit))]
        if sum(d // 10 + d % 10 for d in doubled) % 10 == 0:
            return start + digit
    raise AssertionError


CARD = luhn("453201511283036")
SPACED = " ".join(CARD[n : n + 4] for n in range(0, 16, 4))
BANK = "DE" + "89" + "370400440532013000"
SECRETS = [
    "sk" + "-" + body(40),
    "sk" + "-proj-" + body(60, MIXED + "_-"),
    "AK" + "IA" + body(16, string.ascii_uppercase + "234567"),
    "AI" + "za" + body(35),
    "gh" + "p_" + body(36),
    "github" + "_pat_" + body(60),
    "gl" + "pat-" + body(20),
    "xo" + "xb-" + body(24, string.digits),
    "hf" + "_" + body(34),
    "np" + "m_" + body(36),
    "py" + "pi-" + body(80),
    "sk" + "_live_" + body(24),
    "SG" + "." + body(22) + "." + body(43),
    "Account" + "Key=" + body(86, MIXED + "+/") + "==",
    "ey" + "J" + body(30) + ".ey" + "J" + body(40) + "." + body(43),
    "-----BEGIN " + "PRIVATE KEY-----\n" + body(64, MIXED + "+/"),
    "-----BEGIN RSA " + "PRIVATE KEY-----\n" + body(64, MIXED + "+/"),
    "postgres://admin:" + "hunter22" + "@db.acme.com:5432/app",
]
PERSONAL = [
    "ann.lee@acme.co.uk",
    "+47 22 12 34 56 78",
    "+1 (415) 234-5678",
    "(415) 234-5678",
    "415-234-5678",
    "219-09-" + "9999",
    CARD,
    SPACED,
    SPACED.replace(" ", "-"),
    luhn("37828224631000"),
    BANK,
    " ".join(BANK[n : n + 4] for n in range(0, len(BANK), 4)),
]
TOKENS = [
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|fim_prefix|>", "<|endofprompt|>"),
    *("<|start|>", "<|eot_id|>", "<|begin_of_text|>", "<start_of_turn>", "<end_of_turn>", "<eos>"),
    *("[INST]", "[/INST]", "<<SYS>>", "<</SYS>>", "</s>", "<bos>"),
    "<\uff5cbegin\u2581of\u2581sentence\uff5c>",
]
CLEAN = [
    "Beat 2 eggs with 150 g sugar; bake at 180-200 C for 25-30 minutes. Serves 4 (or 6).",
    "On 2024-01-15T12:30:45.123456+01:00 the build 20240115123045 took 1700000000000 ns.",
    "def area(r: float) -> float:\n    return 3.141592653589793 * r ** 2  # a < b | c > d",
    "<p>Old <s>price</s> new</p> <br/> <strong>$1,234,567.89</strong> f(x) = x + 10 - 3",
    "task-based-learning-for-2024, risk-adjusted-returns-2023-annual-report-version-12",
    "@dataclass\nclass A: ...\n@pytest.mark.parametrize('x', [1]) # see you @ 5 pm, icon@2x.png",
    "git@github.com:acme/soup.git npm i react@18.2.0 user@example.com https://x.org/a?b=c#d",
    "sk-your-key-here-goes-in-this-place, hf_your_token, postgres://user:password@localhost/db",
    "uuid 123e4567-e89b-12d3-a456-426614174000 sha 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b",
    "4242 4242 4242 4242 is a test card; 4532015112830367 has a wrong check digit; 1/2/2024",
    "ISBN 978-3-16-148410-0, DE00 3704 0044 0532 0130 00, call 555-0199, (212) 555-0123, 1-800",
    "a [INSTALL] b [link](x) f <| g |> h x<y y>z |---|---| <span>1</span> <em>e</em> {{item.a}}",
    "192.168.100.200:8080, 10.0.0.1, version 1.2.3-4567, 100-200-3000 and 12-34-5678 parts",
    "x = '" + "A" * 60 + "'; y = 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa' ================",
    "The quick brown fox \u2014 \u201cna\u00efve\u201d \U0001f600 \u4f60\u597d\uff0c\u4e16\u754c",
]


def row(text: str) -> dict[str, Any]:
    messages = [{"role": "user", "content": text}, {"role": "assistant", "content": "Fine."}]
    return {"messages": messages}


def found(text: str, **options: Any) -> list[str]:
    return [problem.code for problem in check_content(row(text), CheckOptions(**options))]


@pytest.mark.parametrize("secret", SECRETS, ids=range(len(SECRETS)))
def test_secrets_are_suspected_and_not_repeated(secret: str) -> None:
    problems = list(check_content(row(f"Use this: {secret} , please."), CheckOptions()))
    assert "suspected-secret" in {p.code for p in problems}
    assert {p.severity for p in problems} == {Severity.WARNING}
    assert {p.path for p in problems} == {"messages[0].content"}
    for problem in problems:
        assert not any(secret[n : n + 6] in problem.message for n in range(len(secret) - 5))


@pytest.mark.parametrize("data", PERSONAL)
def test_personal_data_is_noticed_and_not_repeated(data: str) -> None:
    (problem,) = check_content(row(f"Mine is {data}, thanks."), CheckOptions())
    assert (problem.code, problem.severity) == ("personal-data", Severity.WARNING)
    assert data[:4] in problem.message
    assert data[:5] not in problem.message


@pytest.mark.parametrize("token", TOKENS)
def test_control_tokens_in_texts_are_noticed(token: str) -> None:
    assert found(f"Well {token}ok") == ["special-token-in-text"]
    (problem,) = check_content(row(token), CheckOptions(limits=DataLimits(service="Acme")))
    assert token in problem.message
    assert "Acme" in problem.message
    assert problem.severity is Severity.WARNING


@pytest.mark.parametrize("text", CLEAN)
def test_ordinary_text_gives_no_warning(text: str) -> None:
    assert found(text) == []


def test_personal_data_is_looked_for_only_if_wanted() -> None:
    assert found(PERSONAL[0] + SECRETS[0], personal_data=False) == []


def test_texts_are_found_wherever_they_stand_but_not_in_images() -> None:
    value = {"a": [{"b": "x"}, "y", 3], "url": "data:image/png;base64,AAAA", "c": None}
    assert list(texts_of(value)) == [("a[0].b", "x"), ("a[1]", "y")]


def test_system_messages_are_refused_where_the_service_takes_none() -> None:
    value = row("x")
    value["messages"].insert(0, {"role": "developer", "content": "Be short."})
    limits = DataLimits(system_messages=False, service="Acme")
    (problem,) = check_content(value, CheckOptions(limits=limits))
    assert (problem.code, problem.path) == ("system-message-not-accepted", "messages[0]")
    assert list(check_content(value, CheckOptions())) == []


# The quick look at bytes says no only where the slow rules find nothing.


@st.composite
def spelled(draw: st.DrawFn, text: str) -> bytes:
    """The text as JSON, with some characters escaped as JSON allows."""
    if draw(st.booleans()):
        return json.dumps(text, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")
    pieces = []
    chosen = draw(st.sets(st.integers(0, max(0, len(text) - 1)), max_size=3))
    for place, letter in enumerate(text):
        if letter == "/" and draw(st.booleans()):
            pieces.append("\\/")
        elif place in chosen and ord(letter) < 0x10000:
            digits = f"{ord(letter):04x}"
            pieces.append("\\u" + (digits.upper() if draw(st.booleans()) else digits))
        else:
            pieces.append(json.dumps(letter, ensure_ascii=False)[1:-1])
    return ('"' + "".join(pieces) + '"').encode("utf-8", "surrogatepass")


PIECES = st.sampled_from([*SECRETS, *PERSONAL, *TOKENS]) | st.text(max_size=12)
TEXTS = st.lists(PIECES | st.sampled_from(CLEAN), max_size=4).map("".join)


@settings(max_examples=400, deadline=None)
@given(data=st.data(), text=TEXTS, before=st.integers(0, 40))
def test_the_quick_look_never_misses_what_the_rules_find(
    data: st.DataObject, text: str, before: int
) -> None:
    raw = data.draw(spelled(text))
    assert json.loads(raw) == text
    secret = any(privacy.secrets_in(text)) or any(privacy.personal_data_in(text))
    token = bool(special_tokens.tokens_in(text))
    padding = b'{"text": "' + b"soup " * (SMALL // 5) + b'"}\n'
    for lines in (raw, b" " * before + padding + raw + b"\n" + padding, padding + raw):
        assert privacy.maybe(lines) >= secret
        assert special_tokens.maybe(lines) >= token
        assert maybe_content(lines, CheckOptions()) >= (secret or token)


def test_the_quick_look_lets_ordinary_text_pass() -> None:
    lines = "".join(json.dumps(row(text)) + "\n" for text in [CLEAN[0], CLEAN[-1]]).encode()
    assert not maybe_content(lines, CheckOptions())
    assert not maybe_content(lines * (SMALL // len(lines) + 2), CheckOptions())


@given(st.lists(st.sampled_from([*PERSONAL, *TOKENS, CLEAN[0], CLEAN[-1]]), max_size=60))
def test_suspect_lines_are_found_by_halving(texts: list[str]) -> None:
    lines = [json.dumps(row(text)).encode() for text in texts]
    options = CheckOptions()
    found = set(suspects(lines, lambda some: maybe_content(some, options)))
    assert found >= {n for n, text in enumerate(texts) if any(check_content(row(text), options))}
    assert not any(texts[n] == CLEAN[0] for n in found)
