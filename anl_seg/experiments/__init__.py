"""Whole runs from data to report; today the demo."""
