"""Recipes for the quickstart: from the lines of a cookbook to the generic ingredients.

The task is that of a well-known fine-tuning tutorial. The user gives a recipe's title and its
ingredient lines as a cookbook prints them, with quantities, units, packages, brands and
preparations; the answer is a JSON list of what the lines call for:

    1/2 c. chopped fresh basil leaves            basil leaves
    1 (14 oz.) can Dunmere tomato sauce          tomato sauce
    salt and pepper to taste                     salt, pepper

The rows come from a grammar, so nothing has to be downloaded, every answer is right by
construction, and the same seed gives the same rows everywhere. Each sentence (a title, an
ingredient line, an answer) belongs to exactly one part of `quickstart_split`, decided by a hash of
its text, so that no sentence of a held-out row was ever trained on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from hashlib import sha256
from random import Random
from typing import Final, TypeAlias

from tunekit.quickstart.recipe_words import (
    ALTERNATIVES,
    BRANDS,
    DISHES,
    GROUPS,
    PAIRS,
    SIZES,
    SQUEEZED,
    TITLE_COOKS,
    TITLE_PLACES,
    TITLE_STYLES,
    Group,
)

Row: TypeAlias = dict[str, list[dict[str, str]]]
Line: TypeAlias = tuple[str, tuple[str, ...]]
"""An ingredient line and the generic ingredients that it names, in the order of the line."""

SYSTEM_PROMPT: Final = "Name the generic ingredients of the recipe as a JSON list."

_OPENING: Final = "Title: "
_INGREDIENTS: Final = "\n\nIngredients:\n"
_CLOSING: Final = "\n\nGeneric ingredients: "

#: Part of each of five equal buckets of sentences.
_PARTS: Final = ("train", "train", "train", "validation", "test")

_FRACTIONS: Final = ("1/2", "1/4", "3/4", "1/3", "2/3", "1/8")
_CUPS: Final = ("c.", "c.", "cup|cups", "C.", "pt.", "qt.", "ml")
_SPOONS: Final = ("tsp.", "tsp.", "Tbsp.", "Tbsp.", "teaspoon|teaspoons", "T.", "tbsp.")
_UNITS: Final[dict[str, tuple[str, ...]]] = {
    "cup": _CUPS,
    "spoon": _SPOONS,
    "weight": ("lb.", "lb.", "lb.|lbs.", "pound|pounds", "oz.", "ounce|ounces", "g", "kg"),
    "stick": ("stick|sticks",),
    "slice": ("slice|slices", "thick slice|thick slices"),
    "clove": ("clove|cloves", "large clove|large cloves", "small clove|small cloves"),
    "head": ("head|heads", "small head|small heads", "large head|large heads"),
    "rib": ("rib|ribs", "stalk|stalks", "small stalk|small stalks"),
    "bunch": ("bunch|bunches", "small bunch|small bunches", "handful|handfuls"),
    "drop": ("drop|drops",),
    "square": ("square|squares", "(1 oz.) square|(1 oz.) squares"),
    "loaf": ("loaf|loaves", "small loaf|small loaves", "(1 lb.) loaf|(1 lb.) loaves"),
    "envelope": ("envelope|envelopes", "env.", "packet|packets"),
}
_METRIC: Final = ("g", "ml")
_CONTAINERS: Final[dict[str, tuple[str, ...]]] = {
    "can": ("can|cans", "can|cans", "tin|tins"),
    "package": ("pkg.", "pkg.", "package|packages", "bag|bags", "box|boxes"),
    "carton": ("carton|cartons", "ctn.", "container|containers", "tub|tubs"),
    "jar": ("jar|jars", "bottle|bottles", "squeeze bottle|squeeze bottles"),
}
_UNPREPARED: Final = ("taste", "purpose")
_PURPOSES: Final = (
    "frying",
    "the pan",
    "greasing the dish",
    "brushing",
    "drizzling",
    "deep frying",
)
_ASIDES: Final = (
    "optional",
    "about {n} c.",
    "may use less",
    "at room temperature",
    "if you like",
    "or more",
    "see note",
    "about {n} pieces",
    "do not drain",
    "save some for the top",
)


def _quantity(rng: Random, *, most: int) -> str:
    """A cookbook's quantity up to `most`: whole, fraction, mixed, decimal or a range."""
    whole = rng.randint(1, most)
    draw = rng.random()
    if draw < 0.45:
        return str(whole)
    if draw < 0.70:
        return rng.choice(_FRACTIONS)
    if draw < 0.85:
        return f"{whole} {rng.choice(_FRACTIONS)}"
    if draw < 0.92:
        return f"{whole} {rng.choice(('to', 'or'))} {whole + 1}"
    return f"{whole}.{rng.choice('257')}"


def _form(words: str, quantity: str) -> str:
    """`words`, written `one|many` where the two differ, in the number that goes with `quantity`."""
    forms = words.split("|")
    return forms[0] if quantity == "1" or quantity in _FRACTIONS else forms[-1]


def _amount(rng: Random, units: tuple[str, ...], *, most: int) -> str:
    """A quantity with one of the units."""
    unit = rng.choice(units)
    quantity = str(25 * rng.randint(2, 40)) if unit in _METRIC else _quantity(rng, most=most)
    return f"{quantity} {_form(unit, quantity)}"


def _described(rng: Random, group: Group, name: str) -> str:
    """`name` with up to two words before it that do not belong to it."""
    draw = rng.random()
    count = 0 if draw < 0.4 else 1 if draw < 0.85 else 2
    return " ".join([*rng.sample(group.before, min(count, len(group.before))), name])


def _prepared(rng: Random, group: Group, text: str) -> str:
    """`text` with, now and then, a preparation after a comma or an aside in brackets."""
    draw = rng.random()
    if draw < 0.45:
        return f"{text}, {rng.choice(group.after)}"
    if draw < 0.60:
        return f"{text} ({rng.choice(_ASIDES).format(n=rng.randint(2, 9))})"
    return text


def _measured(rng: Random, group: Group, measure: str, name: str) -> str:
    """`name` with an amount in the way of `measure`."""
    if measure == "taste":
        return f"{_described(rng, group, name)}{rng.choice((' to taste', ', to taste'))}"
    if measure == "pinch":
        amount = rng.choice(("pinch", "dash", "pinches", "generous pinch", "few dashes"))
        return f"{rng.choice(('', 'a ', '2 ', '1 '))}{amount} {rng.choice(('', 'of '))}" + (
            _described(rng, group, name)
        )
    if measure == "purpose":
        return f"{_described(rng, group, name)} for {rng.choice(_PURPOSES)}"
    if measure in _CONTAINERS:
        count = str(rng.randint(1, 4))
        container = _form(rng.choice(_CONTAINERS[measure]), count)
        size = f"{rng.randint(3, 32)} oz." if rng.random() < 0.8 else f"{rng.randint(1, 9)} 1/2 oz."
        packed = rng.choice(
            (f"({size}) {container}", f"{container} ({size})", f"{rng.choice(SIZES)} {container}")
        )
        brand = f"{rng.choice(BRANDS)} " if rng.random() < 0.45 else ""
        return f"{count} {packed} {brand}{_described(rng, group, name)}"
    amount = _amount(rng, _UNITS[measure], most=4)
    if rng.random() < 0.08:
        return f"{_described(rng, group, name)}, {amount}"
    about = rng.choice(("about ", "approx. ", "scant ")) if rng.random() < 0.08 else ""
    brand = f"{rng.choice(BRANDS)} " if rng.random() < 0.08 else ""
    of = "of " if rng.random() < 0.08 else ""
    return f"{about}{amount} {of}{brand}{_described(rng, group, name)}"


def _several(rng: Random) -> Line:
    """A line that names two ingredients, or one by what is pressed out of it."""
    shape = rng.choice(("taste", "each", "or", "juice"))
    if shape == "taste":
        first, second = rng.choice(PAIRS)
        return f"{first} and {second}{rng.choice((' to taste', ', to taste'))}", (first, second)
    if shape == "each":
        first, second = rng.choice(PAIRS)
        amount = _amount(rng, _SPOONS, most=3)
        return f"{amount} each {first} and {second}", (first, second)
    if shape == "or":
        first, second, group = rng.choice(ALTERNATIVES)
        amount = _amount(rng, _CUPS, most=4)
        text = f"{amount} {_described(rng, GROUPS[group], first)} or {second}"
        return _prepared(rng, GROUPS[group], text), (first, second)
    count = str(rng.randint(1, 4))
    name = _form(rng.choice(SQUEEZED), count)
    part = rng.choice(("juice", "grated rind", "zest", "juice and rind", "strained juice"))
    size = rng.choice(("", "", "large ", "small "))
    return f"{part} of {count} {size}{name}", (name,)


def _line(rng: Random, group_name: str) -> Line:
    """An ingredient line of the group with its generic ingredients."""
    if rng.random() < 0.12:
        return _several(rng)
    group = GROUPS[group_name]
    name, measure = rng.choice(group.names), rng.choice(group.measures)
    if measure == "count":
        quantity = _quantity(rng, most=8)
        name = _form(name, quantity)
        text = f"{quantity} {_described(rng, group, name)}"
    else:
        name = name.split("|")[-1]
        text = _measured(rng, group, measure, name)
        if measure in _UNPREPARED:
            return text, (name,)
    return _prepared(rng, group, text), (name,)


def _title(rng: Random, dishes: tuple[str, ...], main: str) -> str:
    """A recipe's title that may, but need not, name one of its ingredients."""
    dish = rng.choice(dishes)
    style, place, cook = (rng.choice(w) for w in (TITLE_STYLES, TITLE_PLACES, TITLE_COOKS))
    main = main.title()
    return rng.choice(
        (
            f"{style} {main} {dish}",
            f"{cook}'s {main} {dish}",
            f"{cook}'s {style} {dish}",
            f"{place} {main} {dish}",
            f"{style} {dish} With {main}",
            f"{style} {place} {dish}",
        )
    )


def _attempt(rng: Random, accept: Callable[[str], bool]) -> Row:
    """A row whose title and ingredient lines satisfy `accept`."""
    dishes, groups = DISHES[rng.choice(tuple(DISHES))]
    lines: list[str] = []
    names: list[str] = []
    count = rng.randint(2, 5)
    while len(lines) < count:
        text, found = _line(rng, rng.choice(groups))
        if accept(text) and not set(found) & set(names):
            lines.append(text)
            names.extend(found)
    title = _title(rng, dishes, rng.choice(names))
    while not accept(title):
        title = _title(rng, dishes, rng.choice(names))
    user = f"{_OPENING}{title}{_INGREDIENTS}" + "\n".join(lines) + _CLOSING.rstrip()
    return {
        "messages": [
            {"role": "system", "content": SYSTEM_PROMPT},
            {"role": "user", "content": user},
            {"role": "assistant", "content": json.dumps(names)},
        ]
    }


def _rows(count: int, rng: Random, accept: Callable[[str], bool]) -> list[Row]:
    """`count` distinct rows of which every sentence satisfies `accept`."""
    rows: dict[str, Row] = {}
    while len(rows) < count:
        row = _attempt(rng, accept)
        answer = row["messages"][-1]["content"]
        if accept(answer):
            rows.setdefault(row["messages"][1]["content"], row)
    return list(rows.values())


def part_of(sentence: str) -> str:
    """The part of `quickstart_split` that a sentence belongs to, whatever the seed.

    Three fifths of all sentences are `"train"`, one fifth each `"validation"` and `"test"`.
    """
    return _PARTS[int.from_bytes(sha256(sentence.encode()).digest()[:8]) % len(_PARTS)]


def _belongs_to(part: str) -> Callable[[str], bool]:
    """Whether a sentence is one of `part`'s."""
    return lambda sentence: part_of(sentence) == part


def generate(rows: int, *, seed: int = 7) -> list[Row]:
    """`rows` distinct rows `{"messages": [system, user, assistant]}`, the same for the same seed.

    Rows of one call may share sentences; use `quickstart_split` for rows to train and to score on.
    """
    return _rows(rows, Random(f"recipes/{seed}"), lambda _: True)


def quickstart_split(
    train: int = 4000, validation: int = 100, test: int = 250, *, seed: int = 7
) -> tuple[list[Row], list[Row], list[Row]]:
    """Rows to train on, to watch and to score on; no two parts share a sentence.

    Args:
        train: Rows to train on.
        validation: Rows to watch the loss on while training.
        test: Rows to score on.
        seed: Which rows; parts of different seeds do not share a sentence either.

    Returns:
        The three lists, each of distinct rows.
    """
    sizes = {"train": train, "validation": validation, "test": test}
    parts = [
        _rows(count, Random(f"{part}/{seed}"), _belongs_to(part)) for part, count in sizes.items()
    ]
    return parts[0], parts[1], parts[2]


def sentences(row: Row) -> frozenset[str]:
    """The title, each ingredient line and the answer of a row of this module."""
    _, user, assistant = (message["content"] for message in row["messages"])
    title, rest = user.removeprefix(_OPENING).split(_INGREDIENTS)
    lines = rest.removesuffix(_CLOSING.rstrip()).split("\n")
    return frozenset((title, *lines, assistant))


def shared_sentences(a: Iterable[Row], b: Iterable[Row]) -> set[str]:
    """The sentences that stand in rows of `a` and in rows of `b`; empty is what a test needs."""
    first, second = ({text for row in rows for text in sentences(row)} for rows in (a, b))
    return first & second


def exact_match(answer: str, expected: str) -> bool:
    """Whether `answer` is the JSON list `expected`: the same strings in the same order.

    Spacing between entries does not count; an answer that is not JSON is a miss.

    Raises:
        ValueError: If `expected` itself is not a JSON list.
    """
    wanted = json.loads(expected)
    if not isinstance(wanted, list):
        msg = f"expected answer is not a JSON list: {expected!r}"
        raise ValueError(msg)
    try:
        given = json.loads(answer)
    except ValueError:
        return False
    return isinstance(given, list) and given == wanted
