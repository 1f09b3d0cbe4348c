"""Search the images: parse the text of the search box, and find a page of results.

`catalogue` is the public interface. To understand the search, read `keys`, `query` and `parser`,
then `conditions`, `ordering` and `planner`.
"""
