"""Metrics, log lines and limited calls.

This package imports `schema.text`, and nothing else of the application.

- `bounded`: limits calls that anybody can cause, such as health checks.
- `log_lines`: the format of log lines. gunicorn's main process loads this file by its path, so the
  file must import nothing of the application.
- `masking`: removes secrets from log lines.
- `metrics`: all metrics that this process counts.
"""
