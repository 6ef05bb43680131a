"""Section 3.3 written down plainly: the losses step by step, and a student that learns alone, without batches."""

import numpy as np
import torch
from learning_runs import CPU

from trainer.crops import crop_batch
from trainer.curriculum import Curriculum
from trainer.episodes import load, plan
from trainer.losses import Segment
from trainer.mdp import action_between, clip_box, overlap, reward, transition
from trainer.options import RECIPES


def plain_losses(segment, s, masked, options):
    """Eq. 3, 6 and 7 for student s, step by step."""
    T = len(segment.mean)
    R = [0.0] * T
    if options.value_target == "to-go":
        rest = segment.bootstrap[s]
        for i in reversed(range(T)):
            if segment.ends[i, s]:
                rest = 0.0
            R[i] = rest = segment.reward[i, s] + options.gamma * rest
    else:
        first = 0
        for i in range(T):
            R[i] = sum(options.gamma ** (k - first) * segment.reward[k, s] for k in range(first, i + 1))
            if segment.ends[i, s]:
                first = i + 1
    imitation = policy = value = 0.0
    for i in range(T):
        if not segment.counts[i, s]:
            continue
        own, teacher = segment.reward[i, s], segment.teacher_reward[i, s]
        worse = own < teacher if options.ties == "student" else own <= teacher
        if worse or not masked:
            imitation = imitation + (segment.target[i, s] - segment.mean[i, s]).abs().sum()
        tried = segment.tried_reward[i, s].tolist()
        middle = float(np.mean([float(own), *tried]))
        if options.advantage == "immediate":
            advantage = torch.zeros(())
        elif options.advantage == "to-go":
            advantage = R[i] - own + middle - segment.value[i, s]
        else:
            after = segment.value[i + 1, s] if i + 1 < T else segment.bootstrap[s]
            after = 0.0 if segment.ends[i, s] else after
            advantage = middle + options.gamma * after - segment.value[i, s]
        if not options.advantage_gradient:
            advantage = advantage.detach()
        density = torch.distributions.Normal(segment.mean[i, s], segment.sigma[i, s])
        policy = policy - density.log_prob(segment.sample[i, s]).sum() * advantage
        actions = [segment.sample[i, s], *segment.tried[i, s]]
        for k, (action, gained) in enumerate(zip(actions, [float(own), *tried], strict=True)):
            others = [g for j, g in enumerate([float(own), *tried]) if j != k]
            if others:
                better = gained - float(np.mean(others))
                policy = policy - density.log_prob(action).sum() * better / len(actions)
        value = value + 0.5 * (R[i] - segment.value[i, s]) ** 2
    return [torch.as_tensor(v, dtype=torch.float64) for v in (imitation, policy, value)]


class PlainStudent:
    """A student as Section 3.3 describes it, alone, without batches."""

    def __init__(self, network, windows, options, number):
        self.network, self.windows, self.options, self.number = network, windows, options, number
        recipe = RECIPES[options.recipe]
        self.role = recipe.roles[number % len(recipe.roles)]
        grows = recipe.curriculum and self.role != "following"
        self.curriculum = Curriculum(options.curriculum, windows.length - 1, grows)
        self.episode = -1
        self.begin()

    def begin(self):
        self.episode += 1
        drawn = plan(
            self.options.episode,
            self.windows,
            self.options.seed,
            self.number,
            self.episode,
            self.options.students,
        )
        self.clip = load(self.windows, drawn, self.windows.length, self.options.episode, CPU)
        self.t, self.steps, self.box = 1, self.curriculum.horizon, self.clip.first[:4]
        self.state = self.network.initial_state(1)
        self.sums = [0.0, 0.0]

    def look(self):
        crops = [
            crop_batch(
                [self.clip.images[t]],
                self.clip.rows.windows[t : t + 1],
                self.clip.rows.sizes[t : t + 1],
                self.box[None],
                32,
            )
            for t in (self.t - 1, self.t)
        ]
        return self.network(*crops, self.state)

    def outcome(self, action):
        """The box that an action leads to, and its reward."""
        moved = transition(action.clamp(-1, 1), self.box)
        box = clip_box(moved, *self.clip.rows.sizes[self.t].tolist(), self.options.episode.smallest_box)
        return box, reward(overlap(box, self.clip.rows.truth[self.t]))

    def segment(self, noise, noises):
        """The loss of t_max steps."""
        rows = []
        for step, further in zip(noise, noises, strict=True):
            action, value, self.state = self.look()
            truth = action_between(self.clip.rows.truth[self.t], self.box)
            teacher = action_between(self.clip.rows.target[self.t], self.box)
            sigma = (action[0] - truth).abs().detach().clamp_min(self.options.loss.sigma_floor)
            sample = (action[0] + sigma * step).detach()
            tried = (action[0] + sigma * further).detach()
            tried_reward = torch.tensor([float(self.outcome(a)[1]) for a in tried])
            taken = {
                "autonomous": sample,
                "following": action_between(self.clip.rows.followed[self.t], self.box),
            }.get(self.role, action[0].detach())
            self.box, r = self.outcome(taken)
            teachers = reward(overlap(self.clip.rows.target[self.t], self.clip.rows.truth[self.t]))
            self.sums = [a + float(b) for a, b in zip(self.sums, (r, teachers), strict=True)]
            ends = self.t >= self.steps
            target = (truth if self.role == "imitating" else teacher).clamp(-1, 1)
            rows.append(
                (
                    action[0],
                    value[0],
                    sigma,
                    sample,
                    target,
                    r,
                    teachers,
                    torch.tensor(True),
                    torch.tensor(ends),
                    tried,
                    tried_reward,
                )
            )
            self.t += 1
            if ends:
                self.curriculum.finish(*self.sums)
                self.begin()
        with torch.no_grad():
            bootstrap = self.look().value
        *stacked, tried, tried_reward = (torch.stack(parts)[:, None] for parts in zip(*rows, strict=True))
        whole = Segment(*stacked, bootstrap, tried, tried_reward)
        found = plain_losses(whole, 0, self.role == "distilling", self.options.loss)
        self.state = self.state.detach()
        own, weight = self.options.loss.value_weight, self.options.loss.reinforcement_weight
        value = (weight if own is None else own) * found[2]
        if self.role == "autonomous":
            return weight * found[1] + value
        if self.role == "following":
            return value
        return found[0] + (value if self.options.loss.value_students == "all" else 0)
