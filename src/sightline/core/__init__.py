"""Attention, masks, positions and caches: what every network is made of."""
