"""What lies on disk: source videos, result folders of other toolkits, and transfer sets.

This package knows nothing about trackers or learning. The domain types are `Video` and `VideoDataset`
(`datasets.video`); `datasets.open_dataset("got10k:/data/GOT-10k:train")` gives the second, of any kind.
"""

from datasets.spec import open_dataset

__all__ = ["open_dataset"]
