"""The rules for text, days and URLs that people type or that files contain.

Forms, imports, searches and use cases call these functions, so each rule is in one place. The
module `lists` finds the rows of lists that have a search box. This package must not know requests,
forms or particular tables.
"""
