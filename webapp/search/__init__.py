"""Search the images: parse the text of the search box, and find a page of results.

To understand the search, read `keys`, `query` and `parser`, then `conditions`, `ordering` and
`planner`.

`catalogue` is the public interface.
"""
