"""The rules for text, days and URLs that people type or that files contain, and searchable lists.

Forms, imports, searches and use cases call these functions, so each rule is in one place. This
package must not know requests, forms or particular tables.
"""
