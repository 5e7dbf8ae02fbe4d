"""Which kind of model serves these rows: contenders, protocol, metrics, statistics and the report."""
