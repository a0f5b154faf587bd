"""Commands: python -m hmnet_lite train | evaluate | compare.

python -m hmnet_lite train --fold 0 --minutes 10 --out hmnet.safetensors
python -m hmnet_lite evaluate hmnet.safetensors --gaps same cross
python -m hmnet_lite evaluate authors.pth --dataset pascal --root VOC2012 --fold 0 --shots 1
python -m hmnet_lite compare --seeds 0 1 2 --minutes 10 --out figures/emoji_fold0.json
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hmnet_lite.commands import photos as cli_photos
from hmnet_lite.data.emoji.protocol import GAPS, Protocol
from hmnet_lite.models.features import CachedFeatures
from hmnet_lite.models.lite import HMNetConfig
from hmnet_lite.scoring.evaluate import FLOORS, Report, evaluate
from hmnet_lite.scoring.predict import Predictor, best_threshold, model_predictor, prior_predictor
from hmnet_lite.training.checkpoint import load_checkpoint, read_facts
from hmnet_lite.training.config import TrainConfig
from hmnet_lite.training.recipes import METHODS, train, training_source
from hmnet_lite.training.sources import Source


def score_gaps(
    report: Report,
    protocol: Protocol,
    gaps: Sequence[str],
    predictors: dict[tuple[str, int | None], Predictor],
    *,
    progress: bool = True,
) -> None:
    """Score predictors, keyed (method, training seed), at each gap and add them to a report."""
    for gap in gaps:
        at_gap = replace(protocol, gap=gap)
        cached = CachedFeatures(at_gap.build(), progress=progress)
        names = {f"{method} / {seed}": (method, seed) for method, seed in predictors}
        by_name = {name: predictors[key] for name, key in names.items()}
        for name, scores in evaluate(by_name, cached, progress=progress).items():
            method, seed = names[name]
            report.add(method, at_gap, scores, seed=seed)


def floors(training: CachedFeatures) -> dict[tuple[str, None], Predictor]:
    """The floors of every report; the prior's threshold is chosen on training episodes."""
    threshold = best_threshold([training[i] for i in range(min(200, len(training)))])
    known = {**FLOORS, "prior mask": prior_predictor(threshold)}
    return {(name, None): predictor for name, predictor in known.items()}


def compare(arguments: argparse.Namespace) -> Report:
    """Train every method with every seed on the same episodes and budget; score all of them.

    Networks already in the checkpoint folder are not trained again, so a stopped comparison goes
    on where it stopped.
    """
    protocol = _protocol(arguments)
    source = training_source(protocol, arguments.training_episodes)
    predictors, runs = (
        floors(CachedFeatures(protocol.training(min(200, arguments.training_episodes)))),
        [],
    )
    for seed in arguments.seeds:
        for method, config in METHODS.items():
            name = f"{method.replace(' ', '-').lower()}-fold{protocol.fold}-seed{seed}"
            path = Path(arguments.checkpoints) / f"{name}.safetensors"
            if not path.exists():
                budget = TrainConfig(minutes=arguments.minutes, seed=seed)
                train(config, budget, protocol, path, episodes=arguments.training_episodes,
                      source=source, resume=True)  # fmt: skip
            facts, model = read_facts(path), load_checkpoint(path)
            _check_run(path, facts, arguments.minutes, arguments.training_episodes, source)
            predictors[method, seed] = model_predictor(model)
            runs.append({"method": method, "seed": seed, **facts})
    report = Report(protocol.build().classes)
    report.training = {"episodes": arguments.training_episodes, "runs": runs}
    score_gaps(report, protocol, arguments.gaps or list(GAPS), predictors)
    return report


def _check_run(path: Path, facts: dict, minutes: float, episodes: int, source: Source) -> None:
    """Refuse to put a network trained under other conditions into a comparison."""
    expected = {
        "minutes": minutes,
        "episodes": episodes,
        "training": source.fingerprint,
    }
    for name, value in expected.items():
        if facts.get(name) != value:
            raise ValueError(
                f"{path} was trained with {name}={facts.get(name)!r}, this comparison asks for "
                f"{value!r}; move it away, or choose another --checkpoints folder"
            )


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; bad input ends in one clear line and exit status 2."""
    arguments = _parser().parse_args(words)
    try:
        arguments.run(arguments)
    except (ValueError, OSError, ImportError) as error:
        print(f"hmnet_lite {arguments.command}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; finished cache files are kept and serve the next run", file=sys.stderr)
        return 130
    return 0


def _run_train(arguments: argparse.Namespace) -> None:
    if arguments.dataset == "emoji":
        cli_photos.refuse_options(arguments)
        protocol = _protocol(arguments)
    else:
        protocol = cli_photos.photo_protocol(arguments, image_size=cli_photos.LITE_SIZE)
    config = HMNetConfig(depth=arguments.depth, dim=arguments.dim)
    budget = TrainConfig(minutes=arguments.minutes, seed=arguments.seed)
    path = train(config, budget, protocol, arguments.out, episodes=arguments.training_episodes,
                 root=arguments.root)  # fmt: skip
    facts = read_facts(path)
    print(f"{facts['steps']} steps in {facts['seconds']:.0f} s; wrote {path}")


def _run_evaluate(arguments: argparse.Namespace) -> None:
    if (arguments.checkpoint is None) == (arguments.weights is None):
        raise ValueError("give one checkpoint: evaluate FILE, or evaluate --checkpoint FILE")
    arguments.checkpoint = arguments.checkpoint or arguments.weights
    if arguments.dataset == "emoji":
        cli_photos.refuse_options(arguments)
        _evaluate_emoji(arguments)
    elif arguments.gaps:
        raise ValueError("--gaps only has a meaning with --dataset emoji; photographs have none")
    else:
        cli_photos.run_evaluate(arguments)


def _evaluate_emoji(arguments: argparse.Namespace) -> None:
    facts = read_facts(arguments.checkpoint)
    on_emoji = "dataset" not in facts  # to a network trained on photographs every fold is new
    if on_emoji and arguments.fold not in (None, facts.get("fold")):
        raise ValueError(
            f"{arguments.checkpoint} was trained with fold {facts.get('fold')} novel, so on fold "
            f"{arguments.fold} its test classes are ones it has seen; leave --fold out"
        )
    if on_emoji:
        arguments.fold = facts["fold"]
    protocol = _protocol(arguments)
    report = Report(protocol.build().classes)
    training = CachedFeatures(protocol.training(200))
    predictors = floors(training)
    method = Path(arguments.checkpoint).stem
    predictors[method, facts["seed"]] = model_predictor(load_checkpoint(arguments.checkpoint))
    score_gaps(report, protocol, arguments.gaps or list(GAPS), predictors)
    _finish(report, arguments)


def _run_compare(arguments: argparse.Namespace) -> None:
    _finish(compare(arguments), arguments)


def _finish(report: Report, arguments: argparse.Namespace) -> None:
    print(report.table())
    for gap in report.gaps:
        print(f"\n{report.class_table(gap)}")
    if arguments.out:
        print(f"\nwrote {report.to_json(arguments.out)}")


def _protocol(arguments: argparse.Namespace) -> Protocol:
    names = ("fold", "episodes", "seed_test", "shots")
    values = {name: getattr(arguments, name, None) for name in names}
    values["seed"] = values.pop("seed_test")
    return Protocol(**{name: value for name, value in values.items() if value is not None})


def _parser() -> argparse.ArgumentParser:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        "python -m hmnet_lite", description=__doc__, formatter_class=layout
    )
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name: str, run, help: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=help, formatter_class=_Help)
        sub.set_defaults(run=run)
        sub.add_argument("--shots", type=int, default=1, help="supports in an episode")
        return sub

    def training(sub) -> None:
        sub.add_argument("--minutes", type=float, default=10, help="training time")
        sub.add_argument(
            "--training-episodes", type=int, default=4000, help="drawn and cached once"
        )

    def testing(sub, *other_names) -> None:
        sub.add_argument("--gaps", nargs="+", choices=GAPS, help="emoji's test gaps (all)")
        flags = ("--seed-test", *other_names)
        sub.add_argument(
            *flags, dest="seed_test", type=int, default=321, help="seed of the test episodes"
        )
        sub.add_argument("--out", help="write the report here (JSON)")

    one = command("train", _run_train, "train one network and save it")
    one.add_argument("--fold", type=int, help="fold whose classes are novel (0; folder: none)")
    training(one)
    one.add_argument(
        "--depth",
        type=int,
        default=METHODS["HMNet-lite"].depth,
        help="mixer blocks; 0 is without Mamba",
    )
    one.add_argument(
        "--dim", type=int, default=METHODS["HMNet-lite"].dim, help="channels of mixer and decoder"
    )
    one.add_argument("--seed", type=int, default=0, help="weights, order of episodes, flips")
    one.add_argument("--out", default="hmnet.safetensors", help="the checkpoint to write")
    cli_photos.add_options(one)
    cli_photos.add_train_options(one)

    two = command("evaluate", _run_evaluate, "test a saved network on novel classes")
    two.add_argument("checkpoint", nargs="?", help=".safetensors of ours, or the authors' .pth")
    two.add_argument("--checkpoint", dest="weights", metavar="FILE", help="the same")
    two.add_argument("--fold", type=int, help="novel classes; our checkpoints know their own")
    two.add_argument("--episodes", type=int, help="at each gap (1000; coco 4000, fss1000 2400)")
    testing(two, "--seed")
    cli_photos.add_options(two)
    cli_photos.add_test_options(two)

    three = command("compare", _run_compare, "train with and without Mamba, test both")
    three.add_argument("--fold", type=int, default=0, help="fold whose classes are novel")
    training(three)
    three.add_argument("--episodes", type=int, default=1000, help="test episodes at each gap")
    testing(three)
    three.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="training seeds")
    three.add_argument("--checkpoints", default="checkpoints", help="folder of the networks")
    return parser


class _Help(argparse.ArgumentDefaultsHelpFormatter):
    """Tells defaults, except those that depend on the data set."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default is None else super()._get_help_string(action)
