"""The paper as runs: single runs, sweeps and searches, and the tables and figures made of them."""
