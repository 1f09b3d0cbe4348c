"""The adapter for AWS."""
