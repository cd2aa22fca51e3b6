"""Shared fixtures: pictures that no test checks are not drawn."""

from __future__ import annotations

import importlib

import pytest


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch):
    """Drawing takes longer than training here; `finished` of test_run.py comes before and draws."""
    run = importlib.import_module("anl_seg.classification.run")
    for name in ("draw_accuracies", "draw_marginals"):
        monkeypatch.setattr(run, name, lambda *arguments: None)
