"""The paper's tables, filled from runs, beside the published results."""
