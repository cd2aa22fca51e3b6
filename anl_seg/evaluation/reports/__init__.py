"""Reports: tables as Markdown and LaTeX, and self-contained HTML pages."""
