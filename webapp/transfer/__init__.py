"""Images as files: export, and import in two steps."""
