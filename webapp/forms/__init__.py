"""Forms: they parse and check input; rules that need the database belong to the use cases."""
