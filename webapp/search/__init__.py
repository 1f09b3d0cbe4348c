"""Search: from the text of the search box to a page of results.

`catalogue` is the public interface.
"""
