"""Describe the plan of an import in the sentences that the review page shows above its lines."""

from __future__ import annotations

from dataclasses import dataclass, replace

from models import Job
from webapp.transfer.import_file import IDS, SELECTION
from webapp.transfer.import_plan import Effect


@dataclass(frozen=True)
class Words:
    """The words for a plan. They depend on the source of its lines: a file, IDs or a selection."""

    start_page: str
    """The title of the page where the person started."""
    title: str
    button: str
    source: str
    """The noun for the lines as a whole."""
    lines: str
    """The name of the list of lines."""
    nothing_yet: str
    nothing_possible: str
    nothing_to_do: str
    retry: str
    """The part of a sentence that says how to correct a line with an error."""


_FILE = Words(
    start_page="Import images",
    title="Review import",
    button="Import",
    source="file",
    lines="Lines of the file",
    nothing_yet="Nothing has been imported yet.",
    nothing_possible="Nothing can be imported from this file yet.",
    nothing_to_do="There is nothing to import.",
    retry="correct the file and import it again",
)
_SELECTION = Words(
    start_page="New Image",
    title="Review images",
    button="Register",
    source="selection",
    lines="Selected images",
    nothing_yet="Nothing has been registered yet.",
    nothing_possible="None of these images can be registered yet.",
    nothing_to_do="There is nothing to register.",
    retry="select the images again",
)
_IDS = replace(
    _SELECTION,
    start_page="New images by their IDs",
    source="list of IDs",
    lines="Lines with image IDs",
    retry="correct the IDs and look them up again",
)
_WORDS = {IDS: _IDS, SELECTION: _SELECTION}


@dataclass(frozen=True)
class Review:
    """The sentences about a plan.

    `importable` is the number of images that the import would register or update. `incomplete` is
    the number of lines whose errors are all about missing values that the person can enter. If no
    line has an error, `problem` is ''.
    """

    words: Words
    importable: int
    incomplete: int
    summary: str
    problem: str


def review_of(job: Job) -> Review:
    """Return the sentences about the plan of a job."""
    counts = job.arguments["counts"]
    importable = counts[Effect.CREATE] + counts[Effect.UPDATE]
    # A plan that an older version made does not contain the number of incomplete lines. For such a
    # plan, add up how many lines lack an answer to each question.
    by_question = sum(question["lines"] for question in job.arguments["questions"])
    incomplete = job.arguments.get("incomplete", by_question)
    return Review(
        words_of(job),
        importable,
        incomplete,
        _summary(job, importable, incomplete),
        _problem(job, importable, incomplete),
    )


def words_of(job: Job) -> Words:
    """Return the words for the plan of a job."""
    return _WORDS.get(job.arguments.get("format", ""), _FILE)


def _summary(job: Job, importable: int, incomplete: int) -> str:
    arguments, counts, words = job.arguments, job.arguments["counts"], words_of(job)
    method = "without a look-up, and marked as not checked"
    if arguments["look_up"]:
        method = "with the details from the cloud"
    if importable or incomplete:
        sentences = [words.nothing_yet]
    elif counts[Effect.ERROR]:
        sentences = [words.nothing_possible]
    else:
        sentences = [words.nothing_to_do]
    if created := counts[Effect.CREATE]:
        will_be = f"will be registered at {job.scope.label} {method}."
        sentences.append(f"{_count(created, 'image')} {will_be}")
    if updated := counts[Effect.UPDATE]:
        sentences.append(f"{_count(updated, 'image')} will be updated.")
    if unchanged := counts[Effect.UNCHANGED]:
        are = "is" if unchanged == 1 else "are"
        stays = f"{are} already registered." if arguments.get("only_new") else "won’t change."
        sentences.append(f"{_count(unchanged, 'image')} {stays}")
    return " ".join(sentences)


def _problem(job: Job, importable: int, incomplete: int) -> str:
    """Return how many lines have errors, and what the person can do."""
    noun, count = job.arguments["noun"], job.arguments["counts"][Effect.ERROR]
    retry = words_of(job).retry
    if not count:
        return ""
    these = f"this {noun}" if count == 1 else f"these {noun}s"
    skip = f", or continue without {these}" if importable else ""
    lines, has = _count(count, noun), "has an error" if count == 1 else "have errors"
    if incomplete == count:
        lack, value = ("lacks a value", "value") if count == 1 else ("lack values", "values")
        return f"{lines} {lack}. Enter the {value} below{skip}."
    if incomplete:
        lack = "lacks a value" if incomplete == 1 else "lack values"
        others = "For the other" if count - incomplete == 1 else "For the others"
        skip = f" You can also continue without the {noun}s that have errors." if importable else ""
        return (
            f"{lines} {has}. {incomplete:,} of them {lack} that you can enter below. {others}, "
            f"{retry}.{skip}"
        )
    if importable:
        return f"{lines} {has} and will be skipped. {_capitalized(retry)}{skip}."
    if count == job.total:
        lines = {1: f"The {noun}", 2: f"Both {noun}s"}.get(count, f"All {lines}")
    return f"{lines} {has}. {_capitalized(retry)}."


def _capitalized(text: str) -> str:
    return text[:1].upper() + text[1:]


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
