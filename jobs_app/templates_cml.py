"""The template “Image Categorization for Model Routing” (the article; reference/domain.md 1.9)."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils.html import escape

from .design import OUTLINE

NEGATIVE_LABEL = "Other / none of these"
ROUTING_INSTRUCTIONS = """# Overview
Look at the picture and choose the category that describes it best.

# Rules
- Judge by what the picture shows, not by what you expect.
- When none of the categories fits, choose “Other / none of these”.

Replace this text by instructions for your own categories before you launch."""
CATEGORIZE_INSTRUCTIONS = ROUTING_INSTRUCTIONS.replace(
    "\n- When none of the categories fits, choose “Other / none of these”.", ""
)


def categorize_template(question: str, answers: Sequence[tuple[str, str]]) -> str:
    """The design of a job that stands alone: the picture, one question, its answers as (label, value)."""
    radios = "\n".join(f'  <cml:radio label="{escape(label)}" value="{escape(value)}"/>' for label, value in answers)
    return (
        '<div class="html-element-wrapper">\n  <img src="{{image_url}}" alt="Picture to categorize"/>\n</div>\n'
        f'<cml:radios label="{escape(question)}" name="category" validates="required" aggregation="agg" gold="true">'
        f"\n{radios}\n</cml:radios>\n"
    )


def routing_template(outcomes: Sequence[str]) -> str:
    """The design for a model with these outcomes: the picture and one radio for each of them."""
    radios = "\n".join(
        f'  <cml:radio label="{escape(_label(outcome))}" value="{escape(outcome)}"/>' for outcome in outcomes
    )
    return (
        '<div class="html-element-wrapper">\n  <img src="{{image_url}}" alt="Picture to categorize"/>\n</div>\n'
        '<cml:radios label="Which category best describes this image?" name="image_category" '
        f'validates="required" aggregation="agg" gold="true">\n{radios}\n</cml:radios>\n'
    )


def _label(outcome: str) -> str:
    if outcome == "negative_examples":
        return NEGATIVE_LABEL
    return outcome.replace("_", " ").strip().capitalize() or outcome


def is_template_instructions(text: str) -> bool:
    """Whether instructions are still the template's own, which say nothing about these categories."""
    templates = {" ".join(template.split()) for template in (ROUTING_INSTRUCTIONS, CATEGORIZE_INSTRUCTIONS, OUTLINE)}
    return " ".join(text.split()) in {"", *templates}
