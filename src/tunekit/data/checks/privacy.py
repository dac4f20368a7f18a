"""The rules about secrets and personal data in texts; they only ever warn.

A model learns what it is shown and can be made to say it again. The patterns are narrow, so that
ordinary text gives no warnings: they know the shapes of common vendors' keys, and check sums where
there are any. What is found is never repeated beyond its first four characters.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from tunekit.data.checks.catalogue import rule, warning
from tunekit.data.checks.conversation import Faults
from tunekit.data.checks.texts import escapes_ascii, texts_of
from tunekit.data.records import Row

SHOWN: Final = 4
"""Characters of a finding that a message may show."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Something that should not be learnt.

    Attributes:
        name: What messages call it.
        mark: A piece that every such text holds; looked for first, because that is fast.
        pattern: Its shape.
        is_real: Whether a text of that shape is one; for check sums and well-known examples.
    """

    name: str
    mark: str
    pattern: re.Pattern[str]
    is_real: Callable[[str], bool] = bool


def _key(name: str, mark: str, before: str, letters: str, least: int) -> Kind:
    """A key that begins with `before`; its next `least` or more letters hold an early digit."""
    plain = letters.replace("0-9", "")
    early = rf"(?=[{plain}]{{0,{EARLY - 1}}}[0-9])"
    pattern = rf"(?<![A-Za-z0-9]){before}{early}[{letters}]{{{least},}}"
    return Kind(name, mark, re.compile(pattern), _is_no_example)


def _is_no_example(text: str) -> bool:
    return not text.endswith("EXAMPLE")


EARLY: Final = 24
"""Within so many characters a random key of letters and digits has a digit, but for one in 70."""

_WORD: Final = "A-Za-z0-9_-"
SECRETS: Final = (
    _key("an API key", "sk-", "sk-", _WORD, 20),  # OpenAI, Anthropic and those like them
    _key("a Stripe key", "k_", "[sr]k_(?:live|test)_", "A-Za-z0-9", 16),
    _key("an AWS access key", "IA", "A[KS]IA", "A-Z0-9", 16),
    _key("a Google API key", "AIza", "AIza", _WORD, 35),
    _key("a GitHub token", "gh", "gh[pousr]_", "A-Za-z0-9", 36),
    _key("a GitHub token", "github_pat_", "github_pat_", "A-Za-z0-9_", 22),
    _key("a GitLab token", "glpat-", "glpat-", _WORD, 20),
    _key("a Slack token", "xox", "xox[abeprs]-", "A-Za-z0-9-", 15),
    _key("a Hugging Face token", "hf_", "hf_", "A-Za-z0-9", 30),
    _key("an npm token", "npm_", "npm_", "A-Za-z0-9", 36),
    _key("a PyPI token", "pypi-", "pypi-", _WORD, 50),
    _key("a SendGrid key", "SG.", r"SG\.", "A-Za-z0-9_.-", 60),
    _key("a storage key", "Key=", "(?:Account|SharedAccess)Key=", "A-Za-z0-9+/", 40),
    _key("a JSON Web Token", "eyJ", "eyJ", r"A-Za-z0-9_.-", 60),
    _key(
        "a private key",
        "KEY-----",
        r"-----BEGIN (?:[A-Z]{2,10} )?PRIVATE KEY-----(?:\r?\n|\\n| )?",
        "A-Za-z0-9+/",
        30,
    ),
)
_PLACEHOLDERS: Final[frozenset[str]] = frozenset(
    (
        *("password", "passwd", "pass", "pwd", "secret", "changeme", "your_password"),
        *("yourpassword", "mypassword", "db_password", "example", "xxx", "xxxx", "***", "****"),
    )
)
PASSWORD: Final = Kind(
    "a password in an address",
    "@",
    re.compile(r"(?<=://)[A-Za-z0-9._~%+-]{1,40}:[A-Za-z0-9._~%!*,;=^-]{3,60}@[A-Za-z0-9]"),
    lambda text: text.partition(":")[2].partition("@")[0].lower() not in _PLACEHOLDERS,
)


def _is_address(text: str) -> bool:
    domain = text.lower()
    return not domain.endswith(_NO_DOMAINS) and "@example." not in domain


_NO_DOMAINS: Final = (
    *(".png", ".jpg", ".jpeg", ".gif", ".svg", ".webp", ".js", ".ts", ".css", ".py", ".json"),
    *(".example", ".test", ".invalid", ".localhost", ".local", "@github.com", "@gitlab.com"),
)
"""Ends of what looks like an e-mail address and is a file, an example or an address of git."""


def _is_phone(text: str) -> bool:
    digits = _digits(text)
    return 10 <= len(digits) <= 15 and len(set(digits)) > 3


def _is_us_phone(text: str) -> bool:
    digits = _digits(text)
    # 555-0100 to 555-0199 belong to nobody, for use in stories and manuals.
    return digits[3:8] != "55501" and len(set(digits)) > 3


def _is_card(text: str) -> bool:
    """A number of one of the big four's lengths and beginnings whose check digit is right."""
    digits = _digits(text)
    two, four = int(digits[:2]), int(digits[:4])
    issued = (
        (len(digits) == 16 and (digits[0] == "4" or 51 <= two <= 55 or 2221 <= four <= 2720))
        or (len(digits) == 16 and (four == 6011 or two == 65))
        or (len(digits) == 15 and two in (34, 37))
    )
    # The cards of payment services' manuals repeat two or three digits.
    return issued and len(set(digits)) > 3 and _luhn(digits)


def _luhn(digits: str) -> bool:
    """The check digit of ISO/IEC 7812-1."""
    doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits))]
    return sum(number // 10 + number % 10 for number in doubled) % 10 == 0


def _is_iban(text: str) -> bool:
    """The length that its country gives it, and the check sum of ISO 13616."""
    compact = text.replace(" ", "")
    if len(compact) != _IBAN_LENGTHS.get(compact[:2]):
        return False
    return int("".join(str(int(letter, 36)) for letter in compact[4:] + compact[:4])) % 97 == 1


_IBAN_LENGTHS: Final = {
    **{"AT": 20, "BE": 16, "BG": 22, "CH": 21, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "EE": 20},
    **{"ES": 24, "FI": 18, "FR": 27, "GB": 22, "GR": 27, "HR": 21, "HU": 28, "IE": 22, "IT": 27},
    **{"LI": 21, "LT": 20, "LU": 20, "LV": 21, "MT": 31, "NL": 18, "NO": 15, "PL": 28, "PT": 25},
    **{"RO": 24, "SE": 24, "SI": 19, "SK": 24, "TR": 26, "AE": 23, "SA": 24, "IL": 23, "UA": 29},
}


def _digits(text: str) -> str:
    return "".join(letter for letter in text if letter in "0123456789")


EMAIL: Final = Kind(
    "an e-mail address",
    "@",
    re.compile(
        r"(?<![A-Za-z0-9._%+@/-])[A-Za-z0-9._%+-]{1,63}(?<=[A-Za-z0-9_-])@"
        r"(?:[A-Za-z0-9-]{1,63}\.){1,5}[A-Za-z]{2,24}(?![A-Za-z0-9])"
    ),
    _is_address,
)
PHONE: Final = Kind(
    "a phone number",
    "+",
    re.compile(
        r"(?<![A-Za-z0-9+=])\+[1-9][0-9]{0,2}(?:[ .-]?\(?[0-9]{1,4}\)?){2,6}(?![A-Za-z0-9])"
    ),
    _is_phone,
)
DIGITS: Final = (
    Kind(
        "a phone number",
        "",
        re.compile(
            r"(?<![A-Za-z0-9.+-])(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}[.-])"
            r"[2-9][0-9]{2}[.-][0-9]{4}(?![A-Za-z0-9-])"
        ),
        _is_us_phone,
    ),
    Kind(
        "a social security number",
        "",
        re.compile(
            r"(?<![A-Za-z0-9-])(?!000|666|9)[0-9]{3}-(?!00)[0-9]{2}-(?!0000)[0-9]{4}(?![A-Za-z0-9-])"
        ),
    ),
    Kind(
        "a payment card number",
        "",
        re.compile(
            r"(?<![A-Za-z0-9.-])(?:[0-9]{15,16}|[0-9]{4}([ -])[0-9]{4}\1[0-9]{4}\1[0-9]{4}"
            r"|3[47][0-9]{2}([ -])[0-9]{6}\2[0-9]{5})(?![A-Za-z0-9-])"
        ),
        _is_card,
    ),
    Kind(
        "a bank account number",
        "",
        re.compile(
            r"(?<![A-Za-z0-9])[A-Z]{2}[0-9]{2}(?=[A-Z0-9 ]{0,22}[0-9]{4} ?[0-9]{4})"
            r"(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?![A-Za-z0-9])"
        ),
        _is_iban,
    ),
)
"""Kinds that are told by their digits: each has eight or more of them close together."""


def is_suspect(text: str) -> bool:
    """Whether a text is worth a closer look."""
    return any(mark in text for mark in _MARKS) or _THREE_DIGITS.search(text) is not None


_MARKS: Final = tuple({kind.mark for kind in (*SECRETS, PASSWORD, EMAIL, PHONE)})


def secrets_in(text: str) -> Iterator[tuple[str, str]]:
    """Give `(what it is, its first characters)` for each secret that a text seems to hold."""
    for kind in (*SECRETS, PASSWORD):
        if kind.mark in text:
            yield from _found(kind, text)


def personal_data_in(text: str) -> Iterator[tuple[str, str]]:
    """Give `(what it is, its first characters)` for what seems to be personal data in a text."""
    for kind in (EMAIL, PHONE):
        if kind.mark in text:
            yield from _found(kind, text)
    if _THREE_DIGITS.search(text):
        for kind in DIGITS:
            yield from _found(kind, text)


_THREE_DIGITS: Final = re.compile("[0-9]{3}")


def _found(kind: Kind, text: str) -> Iterator[tuple[str, str]]:
    for match in kind.pattern.finditer(text):
        if kind.is_real(match.group()):
            yield kind.name, match.group()[:SHOWN]


def check_privacy(row: Row) -> Faults:
    """Look through the texts of a row for secrets and personal data."""
    for path, text in texts_of(row):
        yield from no_secrets(path, text)
        yield from no_personal_data(path, text)


@rule("content", warnings=("suspected-secret",))
def no_secrets(path: str, text: str) -> Faults:
    """No text holds what looks like a key, a token or a password; the model could repeat it."""
    for name, start in _first_of_each(secrets_in(text)):
        message = f"The text seems to hold {name} ({start}...)."
        fix = "Replace it by a placeholder, and withdraw it if it is real."
        yield warning("suspected-secret", path, message, fix)


@rule("content", warnings=("personal-data",))
def no_personal_data(path: str, text: str) -> Faults:
    """No text holds an e-mail address, a phone, card, bank account or social security number."""
    for name, start in _first_of_each(personal_data_in(text)):
        message = f"The text seems to hold {name} ({start}...)."
        fix = "Remove it or replace it by a placeholder, unless it may be learnt."
        yield warning("personal-data", path, message, fix)


def _first_of_each(found: Iterator[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    named: dict[str, str] = {}
    for name, start in found:
        named.setdefault(name, start)
    yield from named.items()


def maybe(lines: bytes) -> bool:
    """Whether these lines of JSON may hold secrets or personal data; never wrongly False."""
    return may_hold(lines) or escapes_ascii(lines)


def may_hold(lines: bytes) -> bool:
    """As `maybe`, for lines in which no ASCII character is escaped."""
    from tunekit.data.checks import privacy_bytes

    return privacy_bytes.may_hold(lines)
