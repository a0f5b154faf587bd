"""What the 80 things are called: Unicode's names, some of CLDR's keywords, kinds, and plurals."""

from __future__ import annotations

from hmnet_lite.data.emoji import tiles

#: class id → other words for it, each of one class alone (most are CLDR's keywords)
SYNONYMS: dict[int, tuple[str, ...]] = {
    5: ("sow",), 9: ("cockerel",), 12: ("tortoise", "terrapin"), 14: ("fish",),
    15: ("bee", "bumblebee"), 19: ("palm",), 20: ("fungus",), 26: ("apple",),
    28: ("aubergine",), 29: ("corn", "maize"), 30: ("loaf",), 31: ("burger",), 32: ("fries",),
    36: ("donut",), 37: ("cake",), 39: ("coffee", "tea"), 40: ("beer",), 41: ("home",),
    43: ("chapel",), 45: ("train", "steam engine"), 47: ("cab",), 48: ("fire truck",),
    50: ("bike",), 51: ("yacht",), 52: ("plane", "aeroplane"), 53: ("copter",),
    55: ("glasses",), 56: ("trousers",), 57: ("purse",), 58: ("rucksack", "satchel"),
    66: ("football",), 69: ("dice",), 70: ("phone",), 71: ("laptop", "computer"), 72: ("tv",),
    74: ("bulb",), 75: ("torch",), 79: ("spanner",),
}  # fmt: skip
#: superclass → what a sentence calls it
KINDS = {
    "animal": "animal", "plant": "plant", "building": "building", "vehicle": "vehicle",
    "music": "instrument", "electronics": "device",
}  # fmt: skip
THING = "thing"  # any object
#: names that are plural, or have no plural of their own
_ONE_FORM = ("grapes", "french fries", "fries", "sushi", "sunglasses", "glasses", "jeans",
             "trousers", "scissors", "bread", "corn", "maize", "dice", "candy", "coffee", "tea",
             "beer", "fish", "tropical fish")  # fmt: skip
_ODD = {
    "church": "churches", "bus": "buses", "torch": "torches", "fungus": "fungi",
    "octopus": "octopuses", "cactus": "cactuses", "wrench": "wrenches",
    "ear of corn": "ears of corn", "loaf": "loaves", "key": "keys", "monkey": "monkeys",
    "trophy": "trophies", "strawberry": "strawberries", "game die": "game dice",
}  # fmt: skip


def names() -> dict[int, tuple[str, ...]]:
    """Class id → everything it is called, Unicode's name first."""
    known = tiles.classes(tiles.data_folder())
    return {c["id"]: (c["name"], *SYNONYMS.get(c["id"], ())) for c in known}


def plural(noun: str) -> str | None:
    """Several of them; None where one and several look alike."""
    if noun in _ONE_FORM:
        return None
    return _ODD.get(noun, f"{noun}s")


def nouns() -> dict[str, str]:
    """Every noun of the sentences → the form whose meaning it has: plurals → their singular."""
    found: dict[str, str] = {}
    for noun in (*(word for words in names().values() for word in words), *KINDS.values(), THING):
        found[noun] = noun
        if several := plural(noun):
            found[several] = noun
    return found
