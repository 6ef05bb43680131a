"""Section 3.3 written down plainly: the losses step by step, and students that learn alone, without batches."""

import numpy as np
import torch
from learning_runs import CPU
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LinearLR

from datasets.transfer.crop import crop_region
from trainer.crops import crop_batch
from trainer.curriculum import Curriculum
from trainer.episodes import load, plan
from trainer.first_student import first_student
from trainer.losses import Segment
from trainer.mdp import action_between, clip_box, overlap, reward, seen_box, transition
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
        self.told = {}
        self.begin()

    def tell(self, name, value):
        self.told.setdefault(name, []).append(float(value))

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
        self.clip = load(self.windows, drawn, self.windows.length, self.options, CPU)
        self.t, self.steps = 1, self.curriculum.horizon
        rows = self.clip.rows
        start = {"ground-truth": rows.truth, "teacher": rows.target}[self.options.episode.start][0]
        x, y, w, h = start.tolist()
        dx, dy, dw, dh = drawn.shake
        least = self.options.student.smallest_box
        self.box = torch.tensor([x + dx * w, y + dy * h, max(w + dw * w, least), max(h + dh * h, least)])
        self.state = self.network.initial_state(1)
        self.sums = [0.0, 0.0]

    def around(self):
        """The box that both crops are made around."""
        return seen_box(self.box, *self.clip.rows.sizes[self.t])

    def hidden(self):
        """Share of the two crops that show more of their images than is stored."""
        rows, c = self.clip.rows, self.options.student.context
        return np.mean(
            [
                not crop_region(
                    self.clip.images[t].numpy(), rows.windows[t], rows.sizes[t], self.around(), 32, c
                ).inside
                for t in (self.t - 1, self.t)
            ]
        )

    def look(self):
        around = self.around()
        crops = [
            crop_batch(
                [self.clip.images[t]],
                self.clip.rows.windows[t : t + 1],
                self.clip.rows.sizes[t : t + 1],
                around[None],
                32,
                self.options.student.context,
            )
            for t in (self.t - 1, self.t)
        ]
        for crop in crops:
            for colour, contrast, brightness in zip(
                crop[0], self.clip.plan.contrast, self.clip.plan.brightness, strict=True
            ):
                colour.copy_(contrast * colour + brightness)
        return self.network(*crops, self.state)

    def outcome(self, action):
        """The box that an action leads to, and its reward."""
        moved = transition(action.clamp(-1, 1), self.box)
        box = clip_box(moved, *self.clip.rows.sizes[self.t].tolist(), self.options.student.smallest_box)
        return box, reward(overlap(box, self.clip.rows.truth[self.t]))

    def segment(self, noise, noises):
        """The loss of t_max steps."""
        o = self.options.loss
        rows = []
        for step, further in zip(noise, noises, strict=True):
            action, value, self.state = self.look()
            self.tell("incomplete", self.hidden())
            truth = action_between(self.clip.rows.truth[self.t], self.box)
            teacher = action_between(self.clip.rows.target[self.t], self.box)
            sigma = torch.where(action[0] > truth, action[0] - truth, truth - action[0])
            sigma = torch.where(sigma > o.sigma_floor, sigma, o.sigma_floor)
            if not o.sigma_gradient:
                sigma = sigma.detach()
            sample = (action[0] + sigma * step).detach()
            tried = (action[0] + sigma * further).detach()
            tried_reward = torch.tensor([float(self.outcome(a)[1]) for a in tried])
            if self.role == "following":
                taken = action_between(self.clip.rows.followed[self.t], self.box)
            elif self.role == "autonomous" or self.options.episode.execute == "sample":
                taken = sample
            else:
                taken = action[0].detach()
            self.box, r = self.outcome(taken)
            teachers = reward(overlap(self.clip.rows.target[self.t], self.clip.rows.truth[self.t]))
            self.sums = [a + float(b) for a, b in zip(self.sums, (r, teachers), strict=True)]
            self.tell("overlap", overlap(self.box, self.clip.rows.truth[self.t]))
            self.tell("reward/teacher", teachers)
            if self.role == "distilling":
                self.tell("masked", r < teachers)
            kind = {"distilling": "imitation", "imitating": "imitation", "autonomous": "autonomous"}.get(
                self.role
            )
            if kind:
                self.tell(f"reward/{kind}", r)
            ends = self.t >= self.steps
            target = truth if self.role == "imitating" else teacher
            if o.clip_targets:
                target = torch.tensor([min(max(a, -1.0), 1.0) for a in target.tolist()])
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
        found = plain_losses(whole, 0, self.role == "distilling", o)
        self.state = self.state.detach()
        learnt = {}
        if self.role in ("distilling", "imitating"):
            learnt["loss/imitation"] = found[0]
        if self.role == "autonomous":
            learnt["loss/policy"] = found[1]
        if self.role in ("autonomous", "following") or o.value_students == "all":
            learnt["loss/value"] = found[2]
        for name, loss in learnt.items():
            self.tell(name, loss.item() / len(rows))
        factors = {
            "loss/imitation": 1.0,
            "loss/policy": o.reinforcement_weight,
            "loss/value": o.reinforcement_weight if o.value_weight is None else o.value_weight,
        }
        result = sum(factors[name] * loss for name, loss in learnt.items())
        if "loss/imitation" in learnt:
            result = result + o.weight_decay / 2 * sum(p.square().sum() for p in self.network.parameters())
        return result


class PlainLearner:
    """Students that learn one by one; the mean of their gradients makes an update."""

    def __init__(self, windows, options):
        o = options.optimiser
        self.options = options
        self.norms = []
        self.network = first_student(options)
        self.students = [PlainStudent(self.network, windows, options, s) for s in range(options.students)]
        rate = o.learning_rate * {"students": options.students, "none": 1}[o.scaling]
        critic = list(self.network.critic.parameters())
        others = [p for p in self.network.parameters() if all(p is not c for c in critic)]
        self.optimisers = [
            torch.optim.RAdam(others, lr=rate),
            torch.optim.RAdam(critic, lr=rate * o.critic_rate),
        ]
        schedule = {
            "none": lambda optimiser: ConstantLR(optimiser, 1.0),
            "linear": lambda optimiser: LinearLR(optimiser, 1.0, 0.0, total_iters=o.updates),
            "cosine": lambda optimiser: CosineAnnealingLR(optimiser, o.updates),
        }[o.decay]
        self.schedules = [schedule(optimiser) for optimiser in self.optimisers]

    def update(self, noise, noises):
        self.network.zero_grad()
        losses = [p.segment(noise[:, s], noises[:, :, s]) for s, p in enumerate(self.students)]
        (sum(losses) / len(losses)).backward()
        gradients = [p.grad for p in self.network.parameters() if p.grad is not None]
        norm = float(sum(g.square().sum() for g in gradients)) ** 0.5
        self.norms.append(norm)
        largest = self.options.optimiser.clip_gradient
        if largest is not None and norm > largest:
            for g in gradients:
                g *= largest / norm
        for step in (*self.optimisers, *self.schedules):
            step.step()

    def means(self):
        """All that `Learner.means` tells: of the students meant, per step or update."""
        names = {name for p in self.students for name in p.told}
        result = {
            name: float(np.mean([v for p in self.students for v in p.told.get(name, [])])) for name in names
        }
        horizon = float(np.mean([p.curriculum.horizon for p in self.students]))
        return {**result, "gradient": float(np.mean(self.norms)), "horizon": horizon}
