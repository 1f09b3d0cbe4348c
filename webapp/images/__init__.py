"""Images: registering, editing, checking, deleting and restoring them, and their life cycle."""
