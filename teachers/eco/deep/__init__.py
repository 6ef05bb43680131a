"""ECO with deep features: Danelljan et al., CVPR 2017, in the variant that pytracking publishes."""

from teachers.eco.deep.tracker import EcoDeep

__all__ = ["EcoDeep"]
