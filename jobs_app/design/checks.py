"""Whether a design can take a model's rows: its answers must be the model's outcomes (design.md 6.8)."""

from __future__ import annotations

from collections.abc import Sequence

from .tree import Design, DesignProblem, Question


def routing_question(design: Design, outcomes: Sequence[str]) -> Question | None:
    """The question whose values are exactly the outcomes, if there is one."""
    wanted = set(outcomes)
    return next(
        (
            question
            for question in design.questions
            if question.kind in {"radios", "select"} and set(question.values) == wanted
        ),
        None,
    )


def check_routing_design(design: Design, outcomes: Sequence[str]) -> list[DesignProblem]:
    """What keeps a design from answering for a model; an empty list when nothing does."""
    problems = list(design.errors)
    if "image_url" not in design.columns:
        problems.append(
            DesignProblem(0, 0, "no_picture", 'The design does not show the picture. Add <img src="{{image_url}}"/>.')
        )
    question = routing_question(design, outcomes)
    if question is None:
        problems.append(_mismatch(design, outcomes))
    elif not question.required:
        problems.append(
            DesignProblem(
                question.line,
                question.column,
                "not_required",
                f'The question “{question.label}” must be answered. Add validates="required".',
            )
        )
    return problems


def _mismatch(design: Design, outcomes: Sequence[str]) -> DesignProblem:
    choices = [question for question in design.questions if question.kind in {"radios", "select"}]
    wanted = set(outcomes)
    if not choices:
        names = ", ".join(outcomes)
        return DesignProblem(0, 0, "no_routing_question", f"No question offers the model's outcomes: {names}.")
    nearest = max(choices, key=lambda question: len(wanted & set(question.values)))
    missing = [name for name in outcomes if name not in nearest.values]
    surplus = [name for name in nearest.values if name not in wanted]
    parts = []
    if missing:
        parts.append(f"missing: {', '.join(missing)}")
    if surplus:
        parts.append(f"not an outcome of the model: {', '.join(surplus)}")
    return DesignProblem(
        nearest.line,
        nearest.column,
        "values_differ",
        f"The answer values of “{nearest.label}” must be exactly the model's outcomes ({'; '.join(parts)}).",
    )
