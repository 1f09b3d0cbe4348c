"""Background jobs: storing and processing them, and the bulk actions on images."""
