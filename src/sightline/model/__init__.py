"""One interface over every family."""
