"""Reports to read: tables as Markdown and LaTeX, and pages that open without a network."""
