"""Export every table, the database handle, transactions, and the enums that columns store.

The tables are defined in `schema/`, by subject. Columns, constraints, and queries about one table
belong there; rules that span several rows belong to the use cases under `webapp/`.
"""

from __future__ import annotations

from schema.audit import AuditEntry, AuditSeal
from schema.base import (
    DATABASE_FAILURES,
    DATABASE_REFUSALS,
    EditedTable,
    Prepared,
    PreparedWrite,
    RecordChanged,
    after_commit,
    database,
    database_clock,
    delete_chunk,
    fetch_tuples,
    is_sqlite,
    open_connection,
    released_connection,
    transaction,
)
from schema.chunks import delete_dependents
from schema.columns import LARGEST_ID, Level, LifeCycle, Role, SessionKind, now, today
from schema.credentials import CloudCredentials
from schema.factors import Authenticator, Passkey, RecoveryCode
from schema.failures import Failure, OutcomeUnknown, RecordGone, failure_of, is_transient
from schema.identities import Identity, ProviderRule, UsedAnswer
from schema.images import DeletedImage, FacetGroup, Image, ImageTag, TagCount
from schema.jobs import NO_HEARTBEAT, Job, JobRow
from schema.leases import Lease
from schema.mail import OutgoingMail, PasswordReset
from schema.personal import BookmarkBar, Notice, SavedView
from schema.repeatable_requests import RepeatableRequest
from schema.tenancy import (
    EndedSession,
    Invitation,
    Membership,
    Person,
    Scope,
    SignInSession,
    lineage_paths,
    load_scopes,
)
from schema.tokens import ApiToken, TokenRule

__all__ = [
    "DATABASE_FAILURES",
    "DATABASE_REFUSALS",
    "LARGEST_ID",
    "NO_HEARTBEAT",
    "ApiToken",
    "AuditEntry",
    "AuditSeal",
    "Authenticator",
    "BookmarkBar",
    "CloudCredentials",
    "DeletedImage",
    "EditedTable",
    "EndedSession",
    "FacetGroup",
    "Failure",
    "Identity",
    "Image",
    "ImageTag",
    "Invitation",
    "Job",
    "JobRow",
    "Lease",
    "Level",
    "LifeCycle",
    "Membership",
    "Notice",
    "OutcomeUnknown",
    "OutgoingMail",
    "Passkey",
    "PasswordReset",
    "Person",
    "Prepared",
    "PreparedWrite",
    "ProviderRule",
    "RecordChanged",
    "RecordGone",
    "RecoveryCode",
    "RepeatableRequest",
    "Role",
    "SavedView",
    "Scope",
    "SessionKind",
    "SignInSession",
    "TagCount",
    "TokenRule",
    "UsedAnswer",
    "after_commit",
    "database",
    "database_clock",
    "delete_chunk",
    "delete_dependents",
    "failure_of",
    "fetch_tuples",
    "is_sqlite",
    "is_transient",
    "lineage_paths",
    "load_scopes",
    "now",
    "open_connection",
    "released_connection",
    "today",
    "transaction",
]

TABLES = (
    Scope,
    Person,
    SignInSession,
    EndedSession,
    Authenticator,
    Passkey,
    RecoveryCode,
    Identity,
    UsedAnswer,
    Membership,
    Invitation,
    OutgoingMail,
    PasswordReset,
    ProviderRule,
    TokenRule,
    ApiToken,
    CloudCredentials,
    Image,
    FacetGroup,
    ImageTag,
    TagCount,
    DeletedImage,
    SavedView,
    Job,
    JobRow,
    Lease,
    BookmarkBar,
    Notice,
    AuditEntry,
    AuditSeal,
    RepeatableRequest,
)
"""Every table. Each table comes after the tables to which it refers."""
