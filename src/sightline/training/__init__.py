"""The one training loop and what it needs: steps, optimizer, schedule, checkpoints."""
