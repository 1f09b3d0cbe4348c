"""Tables, columns and the database handle. `models.py` exports every table by name."""
