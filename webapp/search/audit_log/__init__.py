"""The search of the audit log: its language, and how the database finds a page of entries."""
