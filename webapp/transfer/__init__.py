"""Images as files: export, and import in two steps, a plan and its application."""
