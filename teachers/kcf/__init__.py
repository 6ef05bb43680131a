"""KCF with HOG features and a Gaussian kernel: Henriques et al., TPAMI 2015."""

from teachers.kcf.tracker import Kcf

__all__ = ["Kcf"]
