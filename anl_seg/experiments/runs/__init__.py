"""Runs of both kinds: settings and id, record, sweep, and the executors that do them."""
