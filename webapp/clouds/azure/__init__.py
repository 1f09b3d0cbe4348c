"""The adapter for Azure."""
