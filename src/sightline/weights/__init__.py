"""Checkpoints in the Hugging Face layout, read and written."""
