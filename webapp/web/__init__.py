"""The parts that all pages share: rendering, HTML components, error pages, security, logs."""
