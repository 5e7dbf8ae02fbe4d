"""Generation: tokens one by one, in beams, or in place."""
