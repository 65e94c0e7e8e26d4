"""Job designs (CML): parsed, checked, drawn, answered. Pure: no tables, no requests.

What the language is: reference/domain.md 1.
"""

from .answers import Answers, read_answers, visible
from .checks import check_columns, check_golds, check_routing_design, routing_question
from .gold import read_gold_form, render_gold_form
from .instructions import OUTLINE, clean_instructions
from .parser import parse_design
from .render import render_design
from .tree import Design, DesignProblem, Option, Question, derive_name

__all__ = [
    "OUTLINE",
    "Answers",
    "Design",
    "DesignProblem",
    "Option",
    "Question",
    "check_columns",
    "check_golds",
    "check_routing_design",
    "clean_instructions",
    "derive_name",
    "parse_design",
    "read_answers",
    "read_gold_form",
    "render_design",
    "render_gold_form",
    "routing_question",
    "visible",
]
