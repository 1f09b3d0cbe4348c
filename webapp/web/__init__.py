"""The common parts of all pages: rendering, HTML components, error pages, security, logs."""
