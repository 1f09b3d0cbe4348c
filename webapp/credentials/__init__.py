"""Cloud credentials: stored encrypted, owned by a scope."""
