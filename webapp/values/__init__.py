"""The rules for text, tags, days and URLs that people type or that files contain.

Forms, imports, searches and use cases call these functions, so each rule is in one place. The
module `lists` searches lists and returns their first rows. This package must not know requests,
forms or particular tables.
"""
