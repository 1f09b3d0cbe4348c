"""Determine the life cycle of an image after an import, from its line and its stored values.

The rules of a life cycle are in `webapp.images.life_cycle`. Successors are in `import_successors`.
"""

from __future__ import annotations

from datetime import date

import models
from models import LifeCycle
from webapp.images.life_cycle import STAYS_ACTIVE, LifeCyclePlan
from webapp.transfer.import_lines import InvalidLine, LifeCycleColumns


def resolve(columns: LifeCycleColumns | None, before: LifeCyclePlan) -> LifeCyclePlan:
    """Return the life cycle of an image after its line is imported, without the successor.

    An empty date or reason leaves the stored value unchanged, unless the status in the line
    requires another value. The status `active` without dates removes the stored dates and the
    stored reason. Raises InvalidLine if the dates contradict the status in the line, for example
    the status `active` with a `deprecated_on` in the past. Also raises InvalidLifeCycle.
    """
    if columns is None:
        return LifeCyclePlan(before.deprecated_on, before.retired_on, before.reason)
    if columns.status is LifeCycle.ACTIVE and not (columns.deprecated_on or columns.retired_on):
        return STAYS_ACTIVE
    match columns.status:
        case LifeCycle.RETIRED:
            deprecated, retired = _retired_dates(columns, before)
        case LifeCycle.DEPRECATED:
            deprecated, retired = _deprecated_dates(columns, before)
        case LifeCycle.ACTIVE:
            # The line makes the image active, so stored dates up to today are removed.
            deprecated = columns.deprecated_on or _future(before.deprecated_on)
            retired = columns.retired_on or _future(before.retired_on)
        case None:
            deprecated = columns.deprecated_on or before.deprecated_on
            retired = columns.retired_on or before.retired_on
    plan = LifeCyclePlan(deprecated, retired, columns.reason or before.reason)
    if columns.status not in {None, plan.status}:
        column = "retired_on" if plan.status is LifeCycle.RETIRED else "deprecated_on"
        raise InvalidLine(
            f"The status is {columns.status}, but {column} isn’t in the future. Correct one of "
            "them."
        )
    return plan


_Dates = tuple[date | None, date | None]


def _retired_dates(columns: LifeCycleColumns, before: LifeCyclePlan) -> _Dates:
    """Return the dates of an image whose line has the status `retired`.

    If the line has no retirement date, the image keeps a stored retirement date that is not in the
    future. If there is no such date, the retirement date is today. A stored deprecation date after
    the retirement date is removed.
    """
    today = models.today()
    if columns.retired_on and columns.retired_on > today:
        raise InvalidLine(
            "The status is retired, but retired_on is in the future. Correct one of them."
        )
    retired = columns.retired_on or min(before.retired_on or today, today)
    deprecated = columns.deprecated_on or before.deprecated_on
    if deprecated and deprecated > retired and not columns.deprecated_on:
        deprecated = None
    return deprecated, retired


def _deprecated_dates(columns: LifeCycleColumns, before: LifeCyclePlan) -> _Dates:
    """Return the dates of an image whose line has the status `deprecated`.

    If the line has no deprecation date, the image keeps a stored deprecation date that is not in
    the future. If there is no such date, the deprecation date is today. If the image is already
    retired and the line has no retirement date, the image is no longer retired.
    """
    today = models.today()
    if columns.deprecated_on and columns.deprecated_on > today:
        raise InvalidLine(
            "The status is deprecated, but deprecated_on is in the future. Correct one of them."
        )
    deprecated = columns.deprecated_on or min(before.deprecated_on or today, today)
    return deprecated, columns.retired_on or _future(before.retired_on)


def _future(day: date | None) -> date | None:
    return day if day and day > models.today() else None
