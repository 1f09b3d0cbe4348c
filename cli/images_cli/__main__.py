"""Run the command with `python -m images_cli`."""

from images_cli.main import images

images(prog_name="images")
