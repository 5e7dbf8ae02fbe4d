"""The families, one short file each."""
