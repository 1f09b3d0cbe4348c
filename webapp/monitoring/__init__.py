"""Metrics, and what log lines look like. All other packages may import this one.

- `log_lines`: the format of log lines. gunicorn's main process loads this file by its path, so it
  must import nothing of the application.
- `masking`: removes secrets from log lines.
- `metrics`: all metrics that this process counts.
"""
