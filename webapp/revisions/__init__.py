"""Refuse changes that are based on an old revision of a record."""
