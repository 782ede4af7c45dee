"""A recipe becomes a bundle: clips are composed, weights are found, the best are kept.

Every batch is drawn from the recipe's seed and the number of its step alone: a run that was
interrupted goes on from its last checkpoint to the same weights (bit for bit on the same machine
with as many threads).
"""

import heapq
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import torch

from beepwatch.train import history
from beepwatch.train.calibration import calibrate, find_temperature
from beepwatch.train.checkpoints import (
    Learner,
    Progress,
    load_best,
    restarted,
    resume,
    save,
    save_best,
)
from beepwatch.train.composing import Composer, torch_threads
from beepwatch.train.dataset import read_manifest
from beepwatch.train.display import Display, Lines
from beepwatch.train.export import training_data, write_bundle, write_description
from beepwatch.train.history import Checked, Mined
from beepwatch.train.interruption import Interruption
from beepwatch.train.judging.streams import check_split
from beepwatch.train.networks import ToneNet
from beepwatch.train.pool import Pool, answer, spectra_of
from beepwatch.train.recipe import Recipe, read_recipe
from beepwatch.train.report import write_report
from beepwatch.train.scenes import (
    Clip,
    check_recordings,
    chosen_recordings,
    draw_clip,
    gather,
)
from beepwatch.train.sounds.rendering import Rendered, render
from beepwatch.train.steps import follow, take_step
from beepwatch.train.teaching.banking import make_bank

TRAIN_STREAM, DEV_STREAM, MINING_STREAM = 0, 1, 2  # kinds of clips; mining rounds count on from 2

SILENT = Lines(lambda _line: None)


def train(
    recipe_path: Path,
    data: Path,
    out: Path,
    *,
    runs: Path = Path("runs"),
    workers: int = 2,
    threads: int | None = None,
    display: Display = SILENT,
) -> Path:
    """Follow a recipe with the recordings in `data`; returns `out`, a bundle with its report.

    Checkpoints lie in a directory of `runs` named after the model: an interrupted run of the same
    recipe goes on from there. Needs the train and dev splits, reads nothing of the test split.
    Raises TrainingInterrupted after SIGINT and SIGTERM.
    """
    recipe, digest = read_recipe(recipe_path)
    recordings = read_manifest(data)
    check_recordings(data, recordings, recipe)
    check_split(data, recordings, "dev")
    directory = runs / recipe.model.name
    directory.mkdir(parents=True, exist_ok=True)
    network, progress = fit(
        recipe, digest, data, directory, workers=workers, threads=threads, display=display
    )
    with Interruption(progress):
        used = chosen_recordings(recordings, recipe, "train")
        write = partial(
            write_bundle,
            out,
            network,
            recipe=recipe,
            recipe_digest=digest,
            data=training_data(data, used),
            thresholds=dict.fromkeys(recipe.model.labels, 0.5),
            quality={},
        )
        write()
        temperature = find_temperature(out, data, report=display.say)
        network.temper(temperature)
        info = write()
        thresholds, found = calibrate(out, data, recipe.thresholds, report=display.say)
        info = msgspec.structs.replace(info, thresholds=thresholds, quality=found.quality())
        write_description(out, info)
        write_report(
            out,
            info,
            recipe,
            progress,
            history.read_history(directory),
            found,
            categories=Counter(recording.category for recording in used),
        )
        make_bank(out, data, left_out=recipe.data.left_out)
    display.say(f"bundle {info.name} {info.model_id} in {out}, thresholds {thresholds}")
    return out


def fit(
    recipe: Recipe,
    digest: str,
    data: Path,
    directory: Path,
    *,
    workers: int,
    threads: int | None = None,
    display: Display = SILENT,
) -> tuple[ToneNet, Progress]:
    """The network with the best weights found, and how they were found.

    Checkpoints are kept in `directory`; a run that is at its end needs no recordings.
    """
    run = Run(directory, recipe, digest, display)
    with Interruption(run.progress) as interruption:
        if run.progress.step < recipe.training.steps:
            network = run.learner.network
            rendered = rendered_negatives(recipe, directory.parent, display)
            of_train = drawing(recipe, data, "train", network.frame_samples, rendered)
            of_dev = drawing(recipe, data, "dev", network.frame_samples)
            composer = Composer(of_train, workers, display)
            judged = dev_pool(recipe, network, Composer(of_dev, workers, display))
            with torch_threads(threads or default_threads()):
                run.learn(composer, judged, interruption)
    return load_best(directory, run.learner).cpu(), run.progress


def default_threads() -> int:
    """Threads for a step: half of what torch would take, as most machines show each core twice.

    Where something else has the other half, a step with all of them takes four times as long.
    """
    return max(torch.get_num_threads() // 2, 1)


def rendered_negatives(recipe: Recipe, runs: Path, display: Display) -> Sequence[Rendered]:
    """What synthesisers play for this recipe; nothing if it wants none."""
    if recipe.data.rendered_weight == 0:
        return ()
    return render(runs, recipe.data.rendered_seed, recipe.model.rate_hz, display.say)


def drawing(
    recipe: Recipe,
    data: Path,
    split: str,
    frame_samples: int,
    rendered: Sequence[Rendered] = (),
) -> partial[Clip]:
    """`draw_clip` with a split's material; stream, share of beeps and number are still open."""
    material = gather(data, recipe, split, rendered)
    return partial(draw_clip, material=material, recipe=recipe, frame_samples=frame_samples)


def train_pool(
    recipe: Recipe, network: ToneNet, composer: Composer, progress: Progress, cycle: int
) -> Pool:
    """The recipe's clips of one cycle, and those mined so far."""
    pool, plan = Pool(), recipe.scenes
    numbers = range(cycle * plan.train_clips, (cycle + 1) * plan.train_clips)
    with composer.clips(TRAIN_STREAM, numbers, plan.beep_share) as clips:
        for clip in clips:
            pool.add(clip, network)
    for number, kept in enumerate(progress.mined):
        for index in kept:
            pool.add(composer.clip(index, MINING_STREAM + number, beep_share=0.0), network)
    return pool


def dev_pool(recipe: Recipe, network: ToneNet, composer: Composer) -> Pool:
    """The clips that weights are judged on."""
    pool, plan = Pool(), recipe.scenes
    with composer.clips(DEV_STREAM, range(plan.dev_clips), plan.beep_share) as clips:
        for clip in clips:
            pool.add(clip, network)
    return pool


class Run:
    """A recipe that is being followed: what was learnt, and the directory where it is kept."""

    def __init__(self, directory: Path, recipe: Recipe, digest: str, display: Display) -> None:
        self.learner = Learner(recipe)
        self.progress = resume(directory, digest, self.learner)
        self._directory = directory
        self._recipe = recipe
        self._display = display
        history.rewind(directory, self.progress)

    def learn(self, composer: Composer, judged: Pool, interruption: Interruption) -> None:
        """Take all steps that are left; if interrupted, keep those that were taken."""
        plan = self._recipe.training
        try:
            for number, (cycle, end) in enumerate(zip(plan.cycles, plan.ends, strict=True)):
                if self.progress.step < end:
                    steps = range(end - cycle.steps, end)
                    self._learn_cycle(number, steps, composer, judged, interruption)
        except KeyboardInterrupt:
            with interruption.put_off():
                save(self._directory, self.progress, self.learner)
            raise

    def _learn_cycle(
        self,
        cycle: int,
        steps: range,
        composer: Composer,
        judged: Pool,
        interruption: Interruption,
    ) -> None:
        """Take the steps of a cycle that are left, with clips of its own."""
        recipe, progress = self._recipe, self.progress
        if progress.step == steps.start and cycle > 0:
            self.learner = restarted(self._directory, recipe)
        count, done = recipe.scenes.train_clips, progress.step
        self._display.say(f"composing {count} clips; {done} steps done before")
        pool = train_pool(recipe, self.learner.network, composer, progress, cycle)
        for step in range(progress.step, steps.stop):
            if step in recipe.mining.at_steps[len(progress.mined) :]:
                self._mine(composer, pool)
            with interruption.put_off():
                self._step(step, pool, judged)

    def _step(self, step: int, pool: Pool, judged: Pool) -> None:
        """Take a step, and check what came of it if that is due."""
        learner, progress, plan = self.learner, self.progress, self._recipe.training
        loss = take_step(step, learner.network, learner.optimizer, pool, self._recipe)
        follow(learner.average, learner.network, min(plan.average, (step + 1) / (step + 10)))
        progress.step = step + 1
        progress.losses.append(loss)
        self._display.stepped(progress.step, plan.steps, loss)
        if progress.step % plan.checkpoint_every == 0 or progress.step in plan.ends:
            self._check(judged)

    def _mine(self, composer: Composer, pool: Pool) -> None:
        """Add those of many fresh clips without a beep that the network believes in most."""
        plan, number, average = self._recipe.mining, len(self.progress.mined), self.learner.average
        with composer.clips(
            MINING_STREAM + number, range(plan.candidates), beep_share=0.0
        ) as clips:
            found = most_believed(clips, average, plan.kept)
        for one in found:
            pool.add(one.clip, average)
        if found:
            lowest = found[-1].logit
            self._display.say(
                f"mined {len(found)} of {plan.candidates} clips, logits of {lowest:.2f} and more"
            )
            entry = Mined(
                step=self.progress.step,
                number=number,
                candidates=plan.candidates,
                kept=len(found),
                lowest_logit=lowest,
            )
            history.append(self._directory, entry)
        self.progress.mined.append([one.number for one in found])

    def _check(self, judged: Pool) -> None:
        """Score the averaged weights on the dev clips, keep them if best, write a checkpoint."""
        progress, average = self.progress, self.learner.average
        score = dev_score(average, judged)
        if score > progress.best_score:
            progress.best_score, progress.best_step = score, progress.step
            save_best(self._directory, average)
        best = progress.best_score
        self._display.say(f"step {progress.step}: dev score {score:.4f}, best {best:.4f}")
        loss = float(np.mean(progress.losses))
        history.append(self._directory, Checked(step=progress.step, loss=loss, dev_score=score))
        progress.losses.clear()
        save(self._directory, progress, self.learner)


class Believed(msgspec.Struct, frozen=True, kw_only=True):
    """A clip without a beep, and how much of one the network sees in it."""

    logit: float  # of its most convinced frame
    number: int
    clip: Clip


def most_believed(clips: Iterable[Clip], network: ToneNet, count: int) -> list[Believed]:
    """Those that the network takes for beeps, the worst first; of equal ones the first drawn."""
    judged = (
        Believed(
            logit=float(answer(network, spectra_of(clip, network)).max()), number=number, clip=clip
        )
        for number, clip in enumerate(clips)
    )
    return heapq.nlargest(count, judged, key=lambda one: (one.logit, -one.number))


def dev_score(network: ToneNet, pool: Pool) -> float:
    """Mean share of beeps heard where 0.5, 1 and 2 % of the clips without one fire."""
    heard: list[float] = []
    false: list[float] = []
    for spectra, truth in zip(pool.spectra, pool.truth, strict=True):
        logits = answer(network, spectra)
        inside = truth >= 0.5
        if inside.any():
            heard.append(float(logits[inside].max()))
        elif truth.max() == 0:
            false.append(float(logits.max()))
    if not heard or not false:
        return 0.0
    limits = np.quantile(false, [0.995, 0.99, 0.98])
    return float(np.mean([(np.array(heard) > limit).mean() for limit in limits]))
