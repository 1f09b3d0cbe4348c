"""The use cases of images, from registration to deletion.

`identity` defines when two images are the same, and makes sure that an image is not registered at
a scope that can already see it.
"""
