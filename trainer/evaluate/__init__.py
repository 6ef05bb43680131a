"""The paper's evaluation: one-pass scores on GOT-10k, OTB-100, UAV123 and LaSOT, and VOT's supervised experiment.

`python -m trainer.evaluate` runs trackers and scores them, or scores result folders of anybody. See docs/evaluation.md.
"""
