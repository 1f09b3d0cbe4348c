"""Describe the plan of an import in the sentences that the review page shows above its lines."""

from __future__ import annotations

from dataclasses import dataclass

from models import Job
from webapp.transfer.import_plan import Effect


@dataclass(frozen=True)
class Review:
    """The sentences about a plan.

    `importable` is the number of images that the import would register or update. `incomplete` is
    the number of lines that have no errors except missing values that the person can enter. If no
    line has an error, `problem` is ''.
    """

    importable: int
    incomplete: int
    summary: str
    problem: str


def review_of(job: Job) -> Review:
    """Return the sentences about the plan of a job."""
    counts = job.arguments["counts"]
    importable = counts[Effect.CREATE] + counts[Effect.UPDATE]
    # A plan that an older version of the application has stored counts the lines by question.
    by_question = sum(question["lines"] for question in job.arguments["questions"])
    incomplete = job.arguments.get("incomplete", by_question)
    return Review(
        importable,
        incomplete,
        _summary(job, importable, incomplete),
        _problem(job, importable, incomplete),
    )


def _summary(job: Job, importable: int, incomplete: int) -> str:
    arguments, counts = job.arguments, job.arguments["counts"]
    method = "without a look-up, and marked as not checked"
    if arguments["look_up"]:
        method = "with the details from the cloud"
    if importable or incomplete:
        sentences = ["Nothing has been imported yet."]
    elif counts[Effect.ERROR]:
        sentences = ["Nothing can be imported from this file yet."]
    else:
        sentences = ["There is nothing to import."]
    if created := counts[Effect.CREATE]:
        will_be = f"will be registered at {job.scope.label} {method}."
        sentences.append(f"{_count(created, 'image')} {will_be}")
    if updated := counts[Effect.UPDATE]:
        sentences.append(f"{_count(updated, 'image')} will be updated.")
    if unchanged := counts[Effect.UNCHANGED]:
        sentences.append(f"{_count(unchanged, 'image')} won’t change.")
    return " ".join(sentences)


def _problem(job: Job, importable: int, incomplete: int) -> str:
    """Return how many lines have errors, and what the person can do."""
    noun, count = job.arguments["noun"], job.arguments["counts"][Effect.ERROR]
    if not count:
        return ""
    these = f"this {noun}" if count == 1 else f"these {noun}s"
    skip = f", or continue without {these}" if importable else ""
    lines, has = _count(count, noun), "has an error" if count == 1 else "have errors"
    if incomplete == count:
        what, value = ("lacks a value", "value") if count == 1 else ("lack values", "values")
        return f"{lines} {what}. Enter the {value} below{skip}."
    if incomplete:
        lack = "lacks a value" if incomplete == 1 else "lack values"
        others = "For the other" if count - incomplete == 1 else "For the others"
        return (
            f"{lines} {has}. {incomplete:,} of them {lack} that you can enter below. {others}, "
            f"correct the file and import it again{skip}."
        )
    if importable:
        return f"{lines} {has} and will be skipped. Correct the file and import it again{skip}."
    if count == job.total:
        lines = {1: f"The {noun}", 2: f"Both {noun}s"}.get(count, f"All {lines}")
    return f"{lines} {has}. Correct the file and import it again."


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
