"""Procedural videos with exact ground truth: the embedded default data; for tests and benchmarks too.

`write_synthetic` writes them in GOT-10k's layout, `render` gives one video's frames in memory.
"""

from datasets.synthetic.options import SyntheticOptions
from datasets.synthetic.render import render
from datasets.synthetic.writer import write_synthetic

__all__ = ["SyntheticOptions", "render", "write_synthetic"]
