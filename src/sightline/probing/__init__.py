"""What a model does, judged by behaviour alone: what depends on what, which checks hold, and pictures of it."""
