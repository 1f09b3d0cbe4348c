"""People: user accounts and sessions, scopes and members, preferences and bookmarks."""
