"""What an experiment is: a question, what was expected before the run, and its arms."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Experiment:
    """A question and the arms that answer it.

    Attributes:
        name: short, for the command line and tables.
        question: one sentence.
        prediction: what was expected before the run.
        arms: label in tables to the arm's name, in the order they are shown.
        against: the label that the others are compared with.
    """

    name: str
    question: str
    prediction: str
    arms: dict[str, str] = field(hash=False)
    against: str
