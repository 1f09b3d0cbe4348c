"""The adapter for OpenStack."""
