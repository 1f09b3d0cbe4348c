"""Work in the background: the runner, and the same action on many images."""
