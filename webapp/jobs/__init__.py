"""Background jobs: storing them, processing them, and bulk actions on images."""
