"""Text to tensors: tokenizers, tables, batches."""
