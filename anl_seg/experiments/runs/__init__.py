"""Runs of either kind: settings and id, record, sweep, and the executors that do them."""
