"""What every page needs: rendering, HTML components, error pages, security headers, logs."""
