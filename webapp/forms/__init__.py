"""Forms parse and check input. The use cases check the rules that need the database."""
