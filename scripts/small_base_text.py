"""The text that the quickstart's base model learns from: general patterns, made up on the spot.

Two kinds of documents. **Text** is prose, lists, notes, JSON and ingredient lines as they stand in
a cookbook. **Chats** are short instructions about whatever is in the message: repeat it, list it,
turn one notation into another, look something up, leave something out, name the things in a stock
list of a hardware shop or a tailor. None of the chats is about recipes, none asks for generic
ingredients, and the ingredient lines in the text are only such as `quickstart_split` puts into its
training part; `documents` leaves out everything else.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Final, TypeAlias

from tunekit.quickstart.recipe_words import DISHES, GROUPS, TITLE_COOKS, TITLE_STYLES
from tunekit.quickstart.recipes import generate, part_of

Chat: TypeAlias = list[dict[str, str]]
Document: TypeAlias = str | Chat


def _split(text: str) -> tuple[str, ...]:
    return tuple(entry for part in text.split(",") if (entry := " ".join(part.split())))


@dataclass(frozen=True, slots=True)
class Trade:
    """A trade's stock: what it keeps, how it counts it, what it notes about it."""

    place: tuple[str, ...]
    things: tuple[str, ...]
    units: tuple[str, ...]
    before: tuple[str, ...]
    after: tuple[str, ...]


TRADES: Final[tuple[Trade, ...]] = tuple(
    Trade(*(_split(text) for text in texts))
    for texts in (
        (
            "hardware shop, workshop, tool shed, building site",
            "bolts, wood screws, hex nuts, nails, washers, hinges, door handles, copper wire, "
            "steel pipe, garden hose, sandpaper, wood glue, paint, white paint, wall plugs, "
            "hammers, claw hammers, pliers, drill bits, saw blades, chisels, tape measures, "
            "step ladders, roof tiles, bricks, cement, plywood, curtain rods, light bulbs, "
            "switches, fuses, padlocks, brass hooks, chain, rope, tar paper, window panes, "
            "roofing felt, steel wool, pipe clamps, paint brushes, wheelbarrows, work gloves",
            "boxes, box, ft., inches, yd., bags, crates, lb., rolls, kg, cans, gal., tubs, packs",
            "rusty, galvanized, heavy, bent, short, long, used, polished, round, threaded, coarse, "
            "fine, brand new, spare, cheap, outdoor, oiled, narrow, sturdy, square",
            "sorted, cut to length, sanded, to be returned, painted twice, oiled, in the back, "
            "missing a lid, stacked by size, cleaned and dried, tied together, on order, sharpened",
        ),
        (
            "tailor, laundry, clothes shop, theatre wardrobe",
            "shirts, dress shirts, trousers, wool socks, silk scarves, gloves, coats, rain coats, "
            "hats, straw hats, belts, neckties, bow ties, buttons, pearl buttons, zippers, "
            "cotton thread, denim, velvet, lace, ribbon, sewing needles, pins, safety pins, "
            "aprons, "
            "bath towels, bed sheets, pillow cases, blankets, slippers, boots, sandals, jackets, "
            "evening gowns, knitting wool, linen cloth, curtains, handkerchiefs, night shirts",
            "pairs, pair, yards, yd., spools, bolts, boxes, bales, m, dozen, sets, rolls, bundles",
            "striped, plain, faded, warm, ironed, folded, loose, tight, torn, knitted, children's, "
            "thick, thin, pale blue, dark green, second-hand, soft, checked, washed, large",
            "folded, ironed, mended, washed and pressed, hemmed, on hangers, moth-eaten, dyed, "
            "to be altered, cut on the bias, pinned, starched, wrapped in paper, without buttons",
        ),
        (
            "office, school, print shop, library",
            "pencils, colored pencils, ball pens, fountain pens, ink, red ink, paper, note paper, "
            "graph paper, envelopes, stamps, rubber stamps, paper clips, staples, staplers, "
            "rulers, "
            "erasers, chalk, glue sticks, scissors, folders, file folders, binders, labels, "
            "index cards, desk lamps, calendars, maps, wall maps, dictionaries, picture books, "
            "magazines, printers, ink cartridges, thumb tacks, note books, rubber bands, globes",
            "boxes, box, sheets, reams, packs, pack, bottles, stacks, dozen, sets, crates, rolls",
            "sharpened, blank, lined, yellow, thick, thin, old, borrowed, spare, printed, glossy, "
            "blunt, large, small, assorted, recycled, unused, numbered, heavy, cheap",
            "sharpened, in the drawer, to be sent, sorted by color, stapled, half empty, returned, "
            "cut in half, tied with string, for the front desk, hole punched, counted twice",
        ),
        (
            "zoo, farm, pet shop, animal shelter",
            "goats, mountain goats, sheep, cows, milk cows, ponies, donkeys, geese, ducks, hens, "
            "rabbits, guinea pigs, cats, barn cats, dogs, sheep dogs, parrots, owls, barn owls, "
            "canaries, turtles, sea turtles, snakes, lizards, frogs, tree frogs, goldfish, "
            "spiders, "
            "bees, honey bees, foxes, wolves, polar bears, brown bears, otters, river otters, "
            "zebras, camels, llamas, mice, field mice, hedgehogs, swans, flamingos, fruit bats",
            "pairs, pair, cages, groups, boxes, crates, dozen, herds, flocks, baskets, tanks, pens",
            "young, old, tame, wild, hungry, sleepy, spotted, noisy, shy, tired, newborn, lame, "
            "grey, large, small, friendly, rescued, striped, healthy, quick",
            "fed, washed, vaccinated, kept indoors, asleep, born in May, sheared, to be moved, "
            "weighed and tagged, counted twice, in the lower field, just arrived, brushed daily",
        ),
        (
            "household, attic, flea market, moving van",
            "chairs, rocking chairs, tables, coffee tables, lamps, floor lamps, mirrors, wall "
            "mirrors, rugs, vases, clocks, alarm clocks, wall clocks, candles, candle sticks, "
            "plates, dinner plates, spoons, tea spoons, cups, tea cups, wine glasses, pots, "
            "flower pots, frying pans, kettles, baskets, trunks, suitcases, picture frames, "
            "book shelves, sofas, cushions, brooms, buckets, irons, ironing boards, toys, dolls, "
            "board games, playing cards, bird cages, umbrellas, radios, record players",
            "boxes, box, sets, set, crates, pairs, stacks, bags, pieces, cartons, trunks, barrels",
            "broken, antique, dusty, wooden, painted, cracked, heavy, folding, chipped, silver, "
            "plastic, tall, low, round, carved, wobbly, matching, hand made, shiny, worn",
            "wrapped, polished, without a lid, to be sold, repaired, one missing, stacked, dusted, "
            "packed in straw, for the cellar, marked fragile, glued, taken apart, "
            "held for a friend",
        ),
        (
            "garden center, nursery, park, greenhouse",
            "rose bushes, tulip bulbs, oak trees, pine trees, birch trees, ferns, ivy, moss, "
            "lawn seed, potting soil, top soil, gravel, pea gravel, mulch, bark mulch, sand, "
            "fence posts, garden gnomes, rakes, leaf rakes, spades, hoes, watering cans, lanterns, "
            "stepping stones, bird baths, bird feeders, benches, park benches, hedges, box hedges, "
            "sun flowers, water lilies, daisies, violets, orchids, cactus plants, lawn mowers, "
            "bean poles, flower boxes, compost, peat, bamboo canes, garden chairs, nets",
            "trays, tray, bags, pots, rows, loads, cu. ft., bundles, pallets, boxes, kg, sacks",
            "dwarf, tall, hardy, flowering, wilted, damp, dry, climbing, young, potted, pruned, "
            "evergreen, shady, mossy, double, early, late, trimmed, loose, coarse",
            "watered, pruned, planted in rows, to be moved, in flower, kept in shade, raked, mixed "
            "with sand, delivered Monday, spread thinly, staked, cut back hard, sold by weight",
        ),
    )
)

PEOPLE: Final = _split(
    "Anna, Ben, Carla, David, Emma, Felix, Greta, Hugo, Ida, Jonas, Karin, Leo, Mara, Nils, Olga, "
    "Paul, Rosa, Simon, Tina, Victor, Wanda, Yuri, Zoe, Mr. Brown, Mrs. Hill, Dr. Stone"
)
TOWNS: Final = _split(
    "Ashby, Brook, Calder, Dunlow, Eastham, Fairford, Granby, Holt, Ilsley, Kirkby, Linton, Marsh"
)
COLORS: Final = _split("red, blue, green, yellow, black, white, brown, grey, pink, orange, purple")
DAYS: Final = _split("Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday")
COMMON: Final = _split(
    "time, year, people, way, day, man, thing, woman, life, child, world, school, state, family, "
    "student, group, country, problem, hand, part, place, case, week, company, system, question, "
    "work, number, night, point, home, water, room, mother, area, money, story, fact, month, lot, "
    "right, study, book, eye, job, word, business, issue, side, kind, head, house, "
    "service, friend, "
    "father, power, hour, game, line, end, member, law, car, city, name, team, minute, idea, body, "
    "back, face, door, reason, moment, air, force, street, music, light, voice, "
    "paper, river, tree, "
    "bridge, window, road, table, stone, winter, summer, garden, letter, morning, evening, market, "
    "small, large, early, young, important, few, public, same, able, clear, quiet, bright, heavy, "
    "open, simple, strong, whole, free, full, special, easy, cold, warm, deep, dark, fast, slow, "
    "walk, run, carry, open, close, write, read, begin, follow, stop, create, speak, allow, add, "
    "spend, grow, offer, remember, consider, appear, buy, serve, send, build, stay, "
    "fall, cut, reach"
)
_BRANDS: Final = _split(
    "Varner, Holm and Sons, Ironwood, Pax, Old Harbor, Trent's, Bright Star, Nordby, Calloway, "
    "Red Anchor, Union, Sturgis, Mill Lane, Three Crowns, Lark, Osgood's"
)
_REASONS: Final = (
    " to order",
    " to measure",
    " for Monday",
    " for repair",
    " for the yard",
    ", to order",
)
_SYLLABLES: Final = _split(
    "ba, be, bo, ca, co, da, de, di, do, fa, fi, fo, ga, go, ha, he, jo, ka, ki, la, le, li, lo, "
    "ma, me, mi, mo, na, ne, no, pa, pe, po, ra, re, ri, ro, sa, se, si, so, ta, te, ti, to, va, "
    "ve, vi, wa, zo, n, r, l, s, t, m, sh, ch, nd, rt, st, ng"
)
_FOOD_NAMES: Final = tuple(
    name for group in GROUPS.values() for entry in group.names for name in entry.split("|")
)
_FOOD_WORDS: Final = tuple(
    sorted(
        {word for name in _FOOD_NAMES for word in name.split()}
        | {
            word
            for group in GROUPS.values()
            for entry in (*group.before, *group.after)
            for word in entry.split()
            if word.isalpha()
        }
    )
)
_THING_WORDS: Final = tuple(
    sorted({word for trade in TRADES for name in trade.things for word in name.split()})
)


def _pseudo_word(rng: Random) -> str:
    return "".join(rng.choices(_SYLLABLES, k=rng.randint(2, 4)))


def _word(rng: Random) -> str:
    """Any word: common, of a trade, of the kitchen, or one that does not exist."""
    draw = rng.random()
    if draw < 0.25:
        return rng.choice(COMMON)
    if draw < 0.45:
        return rng.choice(_THING_WORDS)
    if draw < 0.80:
        return rng.choice(_FOOD_WORDS)
    if draw < 0.95:
        return _pseudo_word(rng)
    return rng.choice((*COLORS, *PEOPLE, *DAYS))


def _phrase(rng: Random) -> str:
    """One to three random words; a phrase of the kitchen only by accident."""
    return " ".join(_word(rng) for _ in range(rng.choice((1, 1, 1, 2, 2, 3))))


def _number(rng: Random) -> str:
    return rng.choice(
        (
            str(rng.randint(1, 12)),
            str(rng.randint(1, 12)),
            str(rng.randint(10, 400)),
            f"{rng.randint(1, 9)}/{rng.randint(2, 9)}",
            f"{rng.randint(1, 9)} 1/{rng.randint(2, 4)}",
            f"{rng.randint(1, 9)}.{rng.randint(1, 9)}",
            f"{rng.randint(1, 4)} to {rng.randint(5, 9)}",
        )
    )


# --- stock lists -------------------------------------------------------------------------------


def _stock_line(rng: Random, trade: Trade) -> tuple[str, list[str]]:
    """A line of a stock list and the things that it names."""
    thing = rng.choice(trade.things)
    words = [*rng.sample(trade.before, rng.choice((0, 1, 1, 2))), thing]
    named = " ".join(words)
    found = [thing]
    draw = rng.random()
    if draw < 0.40:
        text = f"{_number(rng)} {rng.choice(trade.units)} {named}"
    elif draw < 0.60:
        text = f"{_number(rng)} {named}"
    elif draw < 0.75:
        maker = rng.choice(("", f"{rng.choice(_BRANDS)} "))
        unit = rng.choice(trade.units)
        size = f"({_number(rng)} {rng.choice(('in.', 'cm', 'kg', 'ft.'))})"
        packed = rng.choice((f"{size} {unit}", f"{unit} {size}"))
        text = f"{_number(rng)} {packed} {maker}{named}"
    elif draw < 0.79:
        text = f"{named}, {_number(rng)} {rng.choice(trade.units)}"
    elif draw < 0.83:
        return f"{named}{rng.choice(_REASONS)}", found
    elif draw < 0.86:
        return f"{rng.choice(('lid', 'parts', 'half', 'color'))} of {_number(rng)} {named}", found
    else:
        other = rng.choice([name for name in trade.things if name != thing])
        joined, tail = rng.choice(
            (("and", ""), ("or", ""), ("and", " as needed"), ("or", ", whichever is here"))
        )
        amount = rng.choice(
            ("", f"{_number(rng)} ", f"{_number(rng)} {rng.choice(trade.units)} each ")
        )
        return f"{amount}{named} {joined} {other}{tail}", [thing, other]
    draw = rng.random()
    if draw < 0.45:
        text += f", {rng.choice(trade.after)}"
    elif draw < 0.6:
        aside = rng.choice(("check first", "if any", "not urgent", f"about {_number(rng)}"))
        text += f" ({aside})"
    return text, found


def _stock(rng: Random) -> tuple[Trade, list[str], list[str]]:
    """A stock list: its trade, its lines, and the things named in them."""
    trade = rng.choice(TRADES)
    lines: list[str] = []
    things: list[str] = []
    for _ in range(rng.randint(1, 6)):
        text, found = _stock_line(rng, trade)
        if not set(found) & set(things):
            lines.append(text)
            things += found
    return trade, lines, things


# --- notations ---------------------------------------------------------------------------------

_NOTATIONS: Final[tuple[tuple[tuple[str, ...], Callable[[list[str]], str]], ...]] = (
    (_split("as a JSON list, in JSON, as a list in JSON, as JSON"), json.dumps),
    (
        _split("one per line, on lines of their own, line by line"),
        "\n".join,
    ),
    (_split("with commas, separated by commas, in one line"), ", ".join),
    (
        _split("with bullets, as a bullet list, as bullets"),
        lambda names: "\n".join(f"- {name}" for name in names),
    ),
    (
        _split("numbered, as a numbered list, with numbers"),
        lambda names: "\n".join(f"{i}. {name}" for i, name in enumerate(names, 1)),
    ),
    (_split("with semicolons, separated by semicolons"), "; ".join),
    (_split("joined by and"), " and ".join),
    (_split("joined by or"), " or ".join),
)


def _notation(rng: Random) -> tuple[str, Callable[[list[str]], str]]:
    """Words for a way of writing a list, and the function that writes it; JSON a third of it."""
    names, write = _NOTATIONS[0] if rng.random() < 0.3 else rng.choice(_NOTATIONS)
    return rng.choice(names), write


# --- chats -------------------------------------------------------------------------------------

_SYSTEMS: Final = (
    "You are a helpful assistant.",
    "Answer briefly.",
    "You follow instructions exactly.",
    "Do what the user asks.",
    "You help with lists and notes.",
)


def _chat(rng: Random, instruction: str, material: str, reply: str) -> Chat:
    """A chat whose instruction stands in the system prompt, before or after the material."""
    draw = rng.random()
    if draw < 0.35:
        system, user = instruction, material
    elif draw < 0.75:
        system = rng.choice(_SYSTEMS)
        user = f"{instruction}{rng.choice((' ', chr(10), chr(10) * 2))}{material}"
    else:
        system, user = rng.choice(_SYSTEMS), f"{material}\n\n{instruction}"
    messages = [
        {"role": "system", "content": system},
        {"role": "user", "content": user},
        {"role": "assistant", "content": reply},
    ]
    return messages[1:] if system in _SYSTEMS and rng.random() < 0.5 else messages


def _repeat(rng: Random) -> Chat:
    text = rng.choice((" ", ", ", "\n")).join(_phrase(rng) for _ in range(rng.randint(1, 8)))
    ask = rng.choice(("Repeat this:", "Copy the text.", "Say it again:", "Write the same."))
    return _chat(rng, ask, text, text)


def _convert(rng: Random) -> Chat:
    names = [_phrase(rng) for _ in range(rng.randint(1, 8))]
    how, write = _notation(rng)
    given = rng.choice(_NOTATIONS)[1](names)
    verb = rng.choice(("Write this", "List these", "Give the entries", "Put these", "Write it"))
    return _chat(rng, f"{verb} {how}:", given, write(names))


def _inventory(rng: Random) -> Chat:
    trade, lines, things = _stock(rng)
    how, write = _notation(rng)
    what = rng.choice(("things", "items", "names of the things", "goods", "articles"))
    verb = rng.choice(("List the", "Name the", "Which", "Write only the", "Give the"))
    if verb == "Which":
        ask = f"Which {what} are in this stock? Answer {how}."
    else:
        ask = f"{verb} {what} {how}."
    head = rng.choice(
        (
            "",
            "Stock:\n",
            f"Place: {rng.choice(trade.place)}\n\nStock:\n",
            f"{rng.choice(PEOPLE)}'s {rng.choice(trade.place)}\n",
            f"Owner: {rng.choice(PEOPLE)}\n\nThings:\n",
        )
    )
    mark = rng.choice(("", "", "- "))
    return _chat(rng, ask, head + "\n".join(mark + line for line in lines), write(things))


def _per_line(rng: Random) -> Chat:
    """One rule applied to each of several lines."""
    a = [_phrase(rng) for _ in range(rng.randint(1, 6))]
    b = [_phrase(rng) for _ in a]
    n = [_number(rng) for _ in a]
    ask, lines, kept = rng.choice(
        (
            ("Remove the numbers", [f"{i} {x}" for i, x in zip(n, a, strict=True)], a),
            ("Keep the numbers only", [f"{i} {x}" for i, x in zip(n, a, strict=True)], n),
            ("Drop what follows the comma", [f"{x}, {y}" for x, y in zip(a, b, strict=True)], a),
            ("Keep what follows the comma", [f"{x}, {y}" for x, y in zip(a, b, strict=True)], b),
            ("Drop what is in brackets", [f"{x} ({y})" for x, y in zip(a, b, strict=True)], a),
            ("Keep what is in brackets", [f"{x} ({y})" for x, y in zip(a, b, strict=True)], b),
            ("Keep the values", [f"{x}: {y}" for x, y in zip(a, b, strict=True)], b),
            ("Keep the keys", [f"{x}: {y}" for x, y in zip(a, b, strict=True)], a),
            ("Keep the last word", [f"{x} {y}" for x, y in zip(b, a, strict=True)],
             [x.split()[-1] for x in a]),
            ("Keep the first word", [f"{x} {y}" for x, y in zip(a, b, strict=True)],
             [x.split()[0] for x in a]),
            ("Leave out the first word", [f"{y.split()[0]} {x}" for x, y in zip(a, b, strict=True)],
             a),
            ("Leave out the color", [f"{rng.choice(COLORS)} {x}" for x in a], a),
            ("Leave out numbers and brackets",
             [f"{i} ({y}) {x}" for i, x, y in zip(n, a, b, strict=True)], a),
            ("Leave out numbers and notes",
             [f"{i} {x}, {y}" for i, x, y in zip(n, a, b, strict=True)], a),
        )
    )  # fmt: skip
    how, write = _notation(rng)
    return _chat(rng, f"{ask} and write the rest {how}.", "\n".join(lines), write(kept))


def _pick(rng: Random) -> Chat:
    """Keep the entries of one kind."""
    first, second = rng.sample(TRADES, 2)
    names = [
        (rng.choice((first if mine else second).things), mine)
        for mine in (rng.random() < 0.5 for _ in range(rng.randint(2, 7)))
    ]
    how, write = _notation(rng)
    kept = [name for name, mine in names if mine]
    place = rng.choice(first.place)
    reply = write(kept) if kept else "none"
    given = rng.choice(_NOTATIONS)[1]([name for name, _ in names])
    return _chat(rng, f"Which of these belong to a {place}? Answer {how}.", given, reply)


def _look_up(rng: Random) -> Chat:
    keys = list({_word(rng) for _ in range(rng.randint(2, 6))})
    keys.sort()
    rng.shuffle(keys)
    values = [rng.choice((_phrase, _number))(rng) for _ in keys]
    i = rng.randrange(len(keys))
    given = rng.choice(
        (
            "\n".join(f"{k}: {v}" for k, v in zip(keys, values, strict=True)),
            "; ".join(f"{k} = {v}" for k, v in zip(keys, values, strict=True)),
            json.dumps(dict(zip(keys, values, strict=True))),
        )
    )
    ask = rng.choice((f"What is {keys[i]}?", f"Find {keys[i]}.", f"Give the value of {keys[i]}."))
    return _chat(rng, ask, given, values[i])


def _small_talk(rng: Random) -> Chat:
    a, b = rng.randint(0, 9), rng.randint(0, 9)
    person, day = rng.choice(PEOPLE), rng.randrange(7)
    trade = rng.choice(TRADES)
    thing, place = rng.choice(trade.things), rng.choice(trade.place)
    user, reply = rng.choice(
        (
            (f"What is {a} plus {b}?", str(a + b)),
            (f"Which is larger, {a} or {b + 10}?", str(b + 10)),
            (f"Hello, I am {person}.", f"Hello, {person}!"),
            ("Thank you.", "You are welcome."),
            (f"What day comes after {DAYS[day]}?", DAYS[(day + 1) % 7]),
            (f"Where do I find {thing}?", f"Look in the {place}."),
            (f"Write {thing} in capitals.", thing.upper()),
            (f"Write {thing} with a capital.", thing.title()),
            (f"How many words are in {thing!r}?", str(len(thing.split()))),
        )
    )
    return [{"role": "user", "content": user}, {"role": "assistant", "content": reply}]


# --- text --------------------------------------------------------------------------------------


def _food(rng: Random, *groups: str) -> str:
    return rng.choice(GROUPS[rng.choice(groups)].names).split("|")[-1]


def _kitchen_prose(rng: Random) -> str:
    """Sentences about cooking, as prose."""
    solid = ("beef", "pork", "poultry", "bird", "fish", "vegetable", "bulk", "pasta", "greens")
    sweet = ("fruit", "berry", "dried_fruit", "nut", "candy", "cereal", "chocolate", "mix")
    season = ("spice", "herb", "leaven", "sugar", "extract", "condiment", "vinegar", "coloring")
    wet = ("milk", "liquid", "citrus", "cultured", "canned", "sweet")
    rich = ("fat", "oil", "cheese", "egg", "baking", "bread", "shell", "garlic", "stalk")
    every = (*solid, *sweet, *season, *wet, *rich, "boiled_egg")
    a, b, c = _food(rng, *every), _food(rng, *every), _food(rng, *every)
    person = rng.choice((*PEOPLE, *TITLE_COOKS))
    dish = rng.choice(DISHES[rng.choice(tuple(DISHES))][0]).lower()
    style = rng.choice(TITLE_STYLES).lower()
    return rng.choice(
        (
            f"Cook the {_food(rng, *solid)} in {_food(rng, 'fat', 'oil')} until brown.",
            f"Stir in the {_food(rng, *wet)} and the {_food(rng, *season)}.",
            f"Mix {a} with {b}; then add {c}.",
            f"Sprinkle the {dish} with {_food(rng, *season)} and {_food(rng, *sweet)}.",
            f"{person} never makes a {style} {dish} without {a}.",
            f"There was {a} on the table, {b} in the cupboard and no {c} anywhere.",
            f"Fold the {_food(rng, *sweet)} into the {_food(rng, *wet)}.",
            f"Serve with {a} or {b}.",
            f"We ran out of {a}, so {person} bought {b} and {c}.",
            f"The shop sells {a}, {b} and {c}.",
            f"Is there any {a} left? No, but there is {b}.",
            f"The recipe for {style} {dish} needs these ingredients: {a}, {b}, {c}.",
            f"Generic {a} will do, says {person}; any {b} is fine.",
            f"Put the {a} in a bowl, pour the {_food(rng, *wet)} over it and chill.",
        )
    )


def _prose(rng: Random) -> str:
    """Sentences about people and things."""
    trade = rng.choice(TRADES)
    person, other = rng.sample(PEOPLE, 2)
    thing, second = rng.sample(trade.things, 2)
    before, after = rng.choice(trade.before), rng.choice(trade.after)
    town, day, word = rng.choice(TOWNS), rng.choice(DAYS), rng.choice(COMMON)
    return rng.choice(
        (
            f"On {day} {person} went to {town} to buy {before} {thing}.",
            f"{person} gave {other} the {thing} and kept the {second}.",
            f"The {thing} were {before}, the {second} {after}.",
            f"{other} asked about the {word}, but {person} only spoke of {thing}.",
            f"In the {rng.choice(trade.place)} at {town} there are {thing} and {second}.",
            f"{person} works in a {rng.choice(trade.place)} and likes {thing}.",
            f"Every {day} the {rng.choice(trade.place)} gets {_number(rng)} {second}.",
        )
    )


def _ingredient_lines(rng: Random) -> str:
    """Lines from the training part of the grammar, as a cookbook prints them; no answers."""
    lines: list[str] = []
    while len(lines) < 3:
        row = generate(1, seed=rng.getrandbits(48))[0]
        title, text = row["messages"][1]["content"].removeprefix("Title: ").split("\n\n")[:2]
        if part_of(title) == "train" and not lines and rng.random() < 0.7:
            lines.append(f"Title: {title}\n\nIngredients:")
        lines += [line for line in text.split("\n")[1:] if part_of(line) == "train"]
    return "\n".join(lines)


def _text(rng: Random) -> str:
    draw = rng.random()
    if draw < 0.40:
        return " ".join(_kitchen_prose(rng) for _ in range(rng.randint(2, 5)))
    if draw < 0.55:
        return " ".join(_prose(rng) for _ in range(rng.randint(2, 4)))
    if draw < 0.85:
        return _ingredient_lines(rng)
    if draw < 0.93:
        return "\n".join(_stock(rng)[1])
    keys = {_word(rng): rng.choice((_phrase, _number))(rng) for _ in range(rng.randint(1, 5))}
    return json.dumps(keys)


#: Shares of the kinds of document: the first run is broad, the second dwells on lists.
MIXES: Final[dict[str, dict[Callable[[Random], Document], float]]] = {
    "copying": {_repeat: 0.5, _convert: 0.5},
    "broad": {
        _text: 0.25,
        _inventory: 0.28,
        _per_line: 0.17,
        _convert: 0.12,
        _pick: 0.06,
        _repeat: 0.05,
        _look_up: 0.04,
        _small_talk: 0.03,
    },
    "lists": {
        _text: 0.20,
        _inventory: 0.43,
        _per_line: 0.17,
        _convert: 0.08,
        _pick: 0.04,
        _repeat: 0.02,
        _look_up: 0.03,
        _small_talk: 0.03,
    },
}


def documents(seed: int, mix: str) -> Iterator[Document]:
    """Documents without end, the same for the same seed: `str` is text, a list is a chat."""
    rng = Random(f"small base/{mix}/{seed}")
    makers, shares = tuple(MIXES[mix]), tuple(MIXES[mix].values())
    while True:
        yield rng.choices(makers, shares)[0](rng)
