"""The tables, their columns and the database handle. `models.py` exports every table."""
