"""Experiments of the paper: single runs, sweeps and searches, and their tables and figures."""
