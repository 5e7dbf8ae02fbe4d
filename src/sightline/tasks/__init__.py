"""What people do with a loaded model."""
