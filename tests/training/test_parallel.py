"""Several processes learn what one learns."""

import json
import os
import socket
import subprocess
import sys

import pytest

WORKER = """
import json, os, sys, time, torch
torch.set_num_threads(1)
from hmnet_lite.training.config import TrainConfig
from hmnet_lite.training.trainer import Trainer
from tests.training.toy import ToyNet, ToySource, toy_loss
config = TrainConfig(steps=12, batch=8, checkpoint_every=4, learning_rate=1e-2)
trainer = Trainer(ToyNet(dropout=0), ToySource(), config, loss=toy_loss, folder=sys.argv[1],
                  progress=False)
history = trainer.fit(resume=True)
if trainer.is_main:
    print(json.dumps(history.loss))
    time.sleep(1)  # the others are here long before
trainer.write(lambda: open(sys.argv[1] + "/result", "w").close())
assert os.path.exists(sys.argv[1] + "/result")  # in every process
"""


def run(folder, processes):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    shared = {"WORLD_SIZE": str(processes), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
              "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}  # fmt: skip
    started = []
    for rank in range(processes):
        own = {"RANK": str(rank), "LOCAL_RANK": str(rank)} if processes > 1 else {}
        environment = os.environ | (shared | own if processes > 1 else {})
        started.append(
            subprocess.Popen([sys.executable, "-c", WORKER, folder], env=environment,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        )  # fmt: skip
    answers = [process.communicate(timeout=300) for process in started]
    assert all(p.returncode == 0 for p in started), answers
    return json.loads(answers[0][0].splitlines()[-1])


@pytest.mark.slow
def test_two_processes_give_one_process_s_curve_at_the_same_batch(tmp_path):
    one, two = run(tmp_path / "one", 1), run(tmp_path / "two", 2)
    assert len(two) == 12 and two == pytest.approx(one, rel=1e-5)
    assert len(list((tmp_path / "two").glob("step*"))) == 2
