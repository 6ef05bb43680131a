"""Names and numbers in the cells of Markdown's and LaTeX's tables."""

from __future__ import annotations

_MARKDOWN = str.maketrans({sign: f"\\{sign}" for sign in "\\`*_{}[]<>#|~"})

_LATEX = str.maketrans(
    {sign: f"\\{sign}" for sign in "&%$#_{}"}
    | {"~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "\\": "\\textbackslash{}", "–": "--"}
)


def markdown(text: str) -> str:
    """Text as GitHub's Markdown shows it, whatever signs it holds."""
    return text.translate(_MARKDOWN)


def latex(text: str) -> str:
    """Text as LaTeX prints it, whatever signs it holds."""
    return text.translate(_LATEX)
