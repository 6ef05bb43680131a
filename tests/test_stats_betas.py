"""Thresholds that `python -m pipeline.stats --betas` takes, and what it says of others."""

import pytest

from pipeline.params import SelectParams
from pipeline.stats import wanted_params


def test_thresholds_come_in_any_order_and_any_number_of_times():
    assert wanted_params(SelectParams(), [0.7, 0.5, 0.7], None).betas == (0.5, 0.7)
    assert wanted_params(SelectParams(), None, "ignore").absent == "ignore"


@pytest.mark.parametrize(
    ("betas", "said"),
    [
        ([1.0], "β = 1: an overlap threshold is at least 0 and below 1"),
        ([float("nan")], "β = nan: an overlap threshold"),
        ([0.5, 0.5000000001], "betas = [0.5, 0.5000000001]: two β are both written 0.5"),
    ],
)
def test_others_are_refused_in_one_line(betas, said):
    with pytest.raises(ValueError) as caught:
        wanted_params(SelectParams(), betas, None)
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)
