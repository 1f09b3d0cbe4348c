"""The use cases of images, from registration to deletion.

The rule that an image may be registered only once is in `identity`.
"""
