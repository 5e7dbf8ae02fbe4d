"""The checks of an audit: each a function from a plan to what was found, one thought a file."""
