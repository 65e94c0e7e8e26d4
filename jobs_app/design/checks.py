"""Whether a design fits what surrounds it: a model's outcomes (design.md 6.8), the rows of its job, test questions."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from .tree import Design, DesignProblem, Question

MAX_LISTED = 12


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


def check_columns(design: Design, columns: Collection[str]) -> list[DesignProblem]:
    """What is wrong between a design and the columns of its job's rows; nothing when there are no rows yet.

    A {{column}} that no row has is an error, unless it has a default (a warning); so is a question whose name
    is a column, because reports could not tell the two apart (domain.md 1.4, 1.7).
    """
    if not columns:
        return []
    listed = ", ".join(sorted(column for column in columns if not is_gold_column(column))[:MAX_LISTED])
    problems = [
        DesignProblem(
            use.line,
            use.column,
            "unknown_column",
            f"The rows have no column “{use.name}”. They have: {listed}.",
            "warning" if use.has_default else "error",
        )
        for use in design.uses
        if use.name not in columns
    ]
    problems += [
        DesignProblem(
            question.line,
            question.column,
            "same_as_column",
            f"The question “{question.name}” is called like a column of the rows. Give it another name.",
        )
        for question in design.questions
        if question.name in columns
    ]
    return sorted(problems, key=lambda problem: (problem.line, problem.column))


def check_golds(design: Design, columns: Collection[str] = ()) -> list[DesignProblem]:
    """What keeps a design's questions out of test questions; `columns` are those of the rows, if any.

    Warnings only: a job can do without test questions.
    """
    problems = []
    asked = [question for question in design.questions if question.gold]
    if design.questions and not asked:
        message = 'No question can be used in test questions. Remove gold="false" from one.'
        problems.append(DesignProblem(1, 1, "no_gold", message, "warning"))
    names = {question.name for question in asked}
    for column in sorted(columns):
        if column != "_golden" and is_gold_column(column) and _gold_name(column) not in names:
            message = f"The rows have the column “{column}”, but no question “{_gold_name(column)}” takes test answers."
            problems.append(DesignProblem(0, 0, "unknown_gold", message, "warning"))
    return problems


def is_gold_column(column: str) -> bool:
    """Whether a column holds accepted answers of test questions, their reasons, or says which rows they are."""
    return column == "_golden" or column.endswith(("_gold", "_gold_reason"))


def _gold_name(column: str) -> str:
    return column.removesuffix("_reason").removesuffix("_gold")
