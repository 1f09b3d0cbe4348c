"""Search the images: parse the text of the search box, and find a page of results.

`catalogue` is the public interface.
"""
