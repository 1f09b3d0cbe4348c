"""Export and import of images as files. An import has two steps: plan it, then carry it out."""
