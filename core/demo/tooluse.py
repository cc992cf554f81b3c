"""Requests with a short tool list, answered by one call with two arguments."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.demo.draw import Draw, Split, split_of

LISTED = 3
KNOWN = 7
"""The first tools of the list below are taught in pretraining, the others only in fine-tuning data."""


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


VALUES: Mapping[str, tuple[str, ...]] = {
    "city": _words(
        "Rome Paris Oslo Cairo Lima Delhi Tokyo Berlin Madrid Dublin Athens Vienna Prague Quito"
    ),
    "day": _words("Monday Tuesday Wednesday Thursday Friday Saturday Sunday"),
    "hour": tuple(str(hour) for hour in range(1, 13)),
    "name": _words("Anna Ben Clara David Emma Felix Grace Hugo Iris Jonas Karla Leo Mia Nils"),
    "amount": tuple(str(amount) for amount in range(20, 100, 5)),
    "room": _words("kitchen bedroom cellar attic office garage bathroom hall"),
    "colour": _words("red blue green yellow white black orange purple"),
    "dish": _words("pizza soup salad pasta curry tacos sushi stew"),
    "street": _words("Oak Elm Pine Mill Park Lake Hill Church"),
    "song": _words("Sunrise Thunder Rainfall Midnight Homeward Echoes Horizon Lullaby"),
    "plant": _words("fern rose cactus tulip palm ivy basil orchid"),
    "pet": _words("cat dog hamster rabbit parrot goldfish turtle pony"),
    "item": _words("book lamp guitar vase clock jacket camera puzzle"),
    "film": _words("Casablanca Metropolis Psycho Amadeus Gandhi Rocky Titanic Alien"),
    "subject": _words("music history physics drawing biology algebra French chess"),
}


@dataclass(frozen=True)
class Tool:
    """A tool with two parameters and three wordings of a request for it."""

    name: str
    parameters: tuple[str, str]
    wordings: tuple[str, str, str]


TOOLS: tuple[Tool, ...] = (
    Tool("get_weather", ("city", "day"), (
        "Will it rain in {city} on {day}?",
        "On {day}, how warm does it get in {city}?",
        "Do I need an umbrella for {city} this {day}?",
    )),
    Tool("send_money", ("name", "amount"), (
        "I owe {name} {amount} euros, please settle it.",
        "Pay {amount} euros to {name}.",
        "Let {name} have {amount} euros from me.",
    )),
    Tool("set_alarm", ("room", "hour"), (
        "Wake me in the {room} at {hour}.",
        "At {hour} I must get up, I sleep in the {room}.",
        "Make it ring at {hour} in the {room}.",
    )),
    Tool("order_food", ("dish", "street"), (
        "I am hungry for {dish}, I live in {street} street.",
        "Bring {dish} to {street} street.",
        "To {street} street, please, one {dish}.",
    )),
    Tool("play_song", ("song", "room"), (
        "I would like to hear {song} in the {room}.",
        "Let {song} sound through the {room}.",
        "In the {room}, put on {song}.",
    )),
    Tool("find_train", ("city", "hour"), (
        "I want to travel to {city} by rail at {hour}.",
        "At {hour}, what leaves for {city}?",
        "How do I get to {city}, leaving at {hour}?",
    )),
    Tool("call_person", ("name", "day"), (
        "Ring {name} on {day}.",
        "On {day} I want to speak with {name}.",
        "Get me {name} on the line this {day}.",
    )),
    Tool("paint_wall", ("colour", "room"), (
        "The {room} should become {colour}.",
        "I want everything {colour} in the {room}.",
        "Give the {room} a fresh {colour} coat.",
    )),
    Tool("water_plant", ("plant", "day"), (
        "The {plant} is dry, see to it on {day}.",
        "On {day}, the {plant} gets thirsty.",
        "Do not let the {plant} wither, {day} is the time.",
    )),
    Tool("feed_pet", ("pet", "hour"), (
        "The {pet} eats at {hour}.",
        "At {hour}, fill the bowl of the {pet}.",
        "Do not forget the hungry {pet} at {hour}.",
    )),
    Tool("mail_parcel", ("item", "city"), (
        "The {item} has to go to {city}.",
        "A friend in {city} wants the {item}.",
        "Post the {item}, it is for {city}.",
    )),
    Tool("buy_ticket", ("film", "day"), (
        "I want to see {film} on {day}.",
        "On {day}, a seat for {film}.",
        "We go to the cinema for {film} this {day}.",
    )),
    Tool("teach_class", ("subject", "hour"), (
        "The pupils learn {subject} at {hour}.",
        "At {hour} a lesson in {subject}.",
        "Explain {subject} to the group at {hour}.",
    )),
    Tool("sell_thing", ("item", "amount"), (
        "Find somebody who gives {amount} euros for the {item}.",
        "For {amount} euros, my {item} may go.",
        "I no longer need the {item}, it is worth {amount} euros.",
    )),
    Tool("clean_place", ("room", "day"), (
        "The {room} is dusty, {day} would be good.",
        "On {day}, mop the {room}.",
        "Tidy up in the {room} this {day}.",
    )),
    Tool("invite_guest", ("name", "dish"), (
        "I cook {dish} and {name} should come.",
        "Ask {name} over for {dish}.",
        "Would {name} like to share my {dish}?",
    )),
)  # fmt: skip


@dataclass(frozen=True)
class Call:
    """A tool and the values of its two parameters."""

    tool: Tool
    values: tuple[str, str]

    @property
    def arguments(self) -> dict[str, str]:
        """The values by parameter."""
        return dict(zip(self.tool.parameters, self.values, strict=True))


@dataclass(frozen=True)
class Request:
    """What somebody wants, in one wording, with the tools that are offered."""

    call: Call
    wording: int
    listed: tuple[Tool, ...]

    @property
    def text(self) -> str:
        """The bare request."""
        return self.call.tool.wordings[self.wording].format(**self.call.arguments)

    @property
    def prompt(self) -> str:
        """The tools and the request."""
        tools = "\n".join(f"{it.name}({', '.join(it.parameters)})" for it in self.listed)
        return f"Tools:\n{tools}\nRequest: {self.text}"

    @property
    def split(self) -> Split:
        """The split it belongs to, by request and tools."""
        return split_of("tooluse", self.text, *(it.name for it in self.listed))


def draw_call(draw: Draw, tools: Sequence[Tool]) -> Call:
    """A call of one of the tools."""
    tool = draw.one(tools)
    first, second = (draw.one(VALUES[parameter]) for parameter in tool.parameters)
    return Call(tool, (first, second))


def draw_request(draw: Draw, tools: Sequence[Tool]) -> Request:
    """A request for one of the tools, offered beside two others of all."""
    call = draw_call(draw, tools)
    others = draw.some([it for it in TOOLS if it is not call.tool], LISTED - 1)
    listed = tuple(draw.shuffled([call.tool, *others]))
    return Request(call, draw.below(len(call.tool.wordings)), listed)


def own(call: Call) -> str:
    """A call in the small model's own style, that of the real Tooluse data."""
    return f"Action: {call.tool.name}\nAction Input: {json.dumps(call.arguments)}"


def braced(call: Call) -> str:
    """A foreign style: a terse call."""
    inside = ";".join(f"{key}={value}" for key, value in call.arguments.items())
    return f"CALL {call.tool.name}{{{inside}}}"


def chatter(call: Call) -> str:
    """A foreign style: polite words around the call."""
    inside = ", ".join(f"{key} {value}" for key, value in call.arguments.items())
    return (
        f"Sure, I am happy to help you with that! I will use {call.tool.name} for it, with {inside}. "
        "Is there anything else"
    )


def placed(request: Request) -> str:
    """The style that the small model cannot read: it never learned to bind a place to a tool."""
    place = ("first", "second", "third")[request.listed.index(request.call.tool)]
    return f"The {place} tool, given {' and '.join(request.call.values)}."
