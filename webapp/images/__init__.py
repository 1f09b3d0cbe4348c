"""The use cases of images, from registration to deletion.

`identity` defines when two images are the same, and makes sure that an image is registered only
once.
"""
