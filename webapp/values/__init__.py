"""The rules for text, tags, days and URLs that people type or that files contain.

Forms, imports, searches and use cases call the functions of this package, so each rule is in one
place. The module `lists` returns the first rows of lists, and finds rows that contain a text. This
package must not know requests, forms or particular tables.
"""
