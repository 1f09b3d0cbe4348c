"""Cloud credentials, encryption, and signatures."""
