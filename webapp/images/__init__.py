"""The use cases of images, from registration to deletion.

`identity` defines when two images are the same, and that an image may be registered only once.
"""
