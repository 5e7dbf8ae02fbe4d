"""What is hidden and what is asked: the losses, as values that the one training loop consumes."""
