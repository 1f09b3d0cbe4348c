"""Search the images: parse the text of the search box, and find a page of results.

Other packages find images through `catalogue`. To understand the search, read `keys`, `query` and
`parser`, then `conditions`, `ordering` and `planner`. The package `audit_log` searches the audit
log.
"""
