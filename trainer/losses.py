"""The losses of Section 3.3 (Eq. 3, 5, 6, 7) on a segment of t_max steps of S students: pure functions.

Everything has shape (T, S) or (T, S, 4), T steps of S students in lockstep; a sum over a student's steps is a
sum over the first dimension.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from trainer.options import LossOptions


class Segment(NamedTuple):
    """What S students did in T steps.

    Attributes:
        mean: μ = s_π(s_t), (T, S, 4), with gradient.
        value: v_t = s_v(s_t), (T, S), with gradient.
        sigma: σ of the action's distribution, (T, S, 4).
        sample: The action drawn, before it is clamped, (T, S, 4).
        target: The action to imitate: the best teacher's, or the ground truth's, (T, S, 4), finite.
        reward: r_t of the action taken, (T, S).
        teacher_reward: What the best teacher's box would have got, (T, S).
        counts: bool (T, S): the target is present in the frame; steps where it is not are in no loss.
        ends: bool (T, S): the episode ends with this step.
        bootstrap: v of the state after the segment, (S,), without gradient; of no meaning where the last step ends.
        tried: Further actions drawn, of which only the reward is known, (T, S, K, 4), K 0 or more.
        tried_reward: r_t that each of them would have got, (T, S, K).
    """

    mean: Tensor
    value: Tensor
    sigma: Tensor
    sample: Tensor
    target: Tensor
    reward: Tensor
    teacher_reward: Tensor
    counts: Tensor
    ends: Tensor
    bootstrap: Tensor
    tried: Tensor
    tried_reward: Tensor


class Losses(NamedTuple):
    """Sums over a student's steps, (S,) each."""

    imitation: Tensor
    policy: Tensor
    value: Tensor


def mask(segment: Segment, options: LossOptions) -> Tensor:
    """m_i (Eq. 3): 1 where the student's reward was below the teacher's, float (T, S)."""
    if options.ties == "student":
        worse = segment.reward < segment.teacher_reward
    else:
        worse = segment.reward <= segment.teacher_reward
    return worse.to(segment.mean.dtype)


def returns(reward: Tensor, ends: Tensor, bootstrap: Tensor, options: LossOptions) -> Tensor:
    """R_i (Eq. 7), (T, S).

    `to-go`: the rewards from step i to the end of the episode; where the segment ends first, the value of the
    state it stopped at stands for the rest. `printed`: the rewards from the first step of the segment (or of the
    episode, where that began later) to step i.
    """
    result = torch.empty_like(reward)
    if options.value_target == "printed":
        total, factor = torch.zeros_like(reward[0]), torch.ones_like(reward[0])
        for i in range(len(reward)):
            total = total + factor * reward[i]
            result[i] = total
            total = torch.where(ends[i], torch.zeros_like(total), total)
            factor = torch.where(ends[i], torch.ones_like(factor), factor * options.gamma)
        return result
    rest = bootstrap
    for i in reversed(range(len(reward))):
        rest = reward[i] + options.gamma * torch.where(ends[i], torch.zeros_like(rest), rest)
        result[i] = rest
    return result


def advantages(segment: Segment, target: Tensor, options: LossOptions) -> Tensor:
    """What an action was better than expected, (T, S): r_i + γ v_{i+1} - v_i (Eq. 6), or R_i - v_i.

    Where others were tried beside it, r_i is the mean of all their rewards here: `compared` says what each was
    better than that.
    """
    if options.advantage == "immediate":
        return torch.zeros_like(segment.value)
    lucky = segment.reward - _all_rewards(segment).mean(dim=-1)
    if options.advantage == "to-go":
        return target - lucky - segment.value
    following = torch.cat([segment.value[1:], segment.bootstrap[None]])
    following = torch.where(segment.ends, torch.zeros_like(following), following)
    return segment.reward - lucky + options.gamma * following - segment.value


def _all_rewards(segment: Segment) -> Tensor:
    return torch.cat([segment.reward[..., None], segment.tried_reward], dim=-1)


def compared(segment: Segment) -> Tensor:
    """Mean over a step's K + 1 actions of log π times what each got more than the others' mean, (T, S).

    Its gradient is that of the expected immediate reward, without bias; 0 where nothing was tried.
    """
    tried = segment.tried.shape[2]
    if not tried:
        return torch.zeros_like(segment.value)
    rewards = _all_rewards(segment)
    samples = torch.cat([segment.sample[:, :, None], segment.tried], dim=2)
    density = log_density(samples, segment.mean[:, :, None], segment.sigma[:, :, None])
    return (density * (rewards - rewards.mean(dim=-1, keepdim=True))).sum(dim=-1) / tried


def log_density(sample: Tensor, mean: Tensor, sigma: Tensor) -> Tensor:
    """Logarithm of N(sample; mean, sigma) of independent components, summed over the last dimension."""
    density = -0.5 * ((sample - mean) / sigma) ** 2 - torch.log(sigma) - 0.5 * math.log(2 * math.pi)
    return density.sum(dim=-1)


def losses(segment: Segment, masked: Tensor, options: LossOptions) -> Losses:
    """L_dist, L_π and L_v of every student; which of them it learns from is the learner's business.

    Args:
        segment: The steps.
        masked: bool (S,): students whose imitation has the mask m_i (those that distil).
        options: Choices that the paper leaves open.
    """
    weight = segment.counts.to(segment.mean.dtype)
    m = torch.where(masked, mask(segment, options), torch.ones_like(weight))
    imitation = ((segment.target - segment.mean).abs().sum(dim=-1) * m * weight).sum(dim=0)

    target = returns(segment.reward, segment.ends, segment.bootstrap, options)
    advantage = advantages(segment, target, options)
    if not options.advantage_gradient:
        advantage = advantage.detach()
    density = log_density(segment.sample, segment.mean, segment.sigma)
    policy = -((density * advantage + compared(segment)) * weight).sum(dim=0)
    value = (0.5 * (target - segment.value) ** 2 * weight).sum(dim=0)
    return Losses(imitation, policy, value)
