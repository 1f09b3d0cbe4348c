"""Cloud credentials, and the encryption of their secrets."""
