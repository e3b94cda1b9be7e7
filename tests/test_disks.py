"""Disks that are full, read-only or shared, and processes that are killed: the old file or the new one, never a part.

A sample; ``--every-combination`` mounts file systems (which needs root on Linux) and kills many processes.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.posterior.schema import load, save

WRITERS = """
import gc, resource, signal, sys, warnings
from pathlib import Path
import numpy as np, pandas as pd
import bayesgmm as bg
from bayesgmm.apps.speech import speech_files
from bayesgmm.files import write_csv, write_picture
from tests.test_damaged_files import a_speech_model
warnings.simplefilter("ignore")
folder, every, limit = Path(sys.argv[1]), sys.argv[2] == "every", int(sys.argv[3])
rng = np.random.default_rng(0)
quiet = {"progress": False}
table = pd.DataFrame(rng.normal(size=(3000, 2)), columns=["a", "b"]).round(3)
fit = bg.fit(bg.MixtureModel(1), table, "em", **quiet)
writers = {
    "fit.nc": lambda path: bg.save(fit, path),
    "fit.zarr": lambda path: bg.save(fit, path),
    "table.csv": lambda path: write_csv(table, path),
    "speech.nc": lambda path: speech_files.save(a_speech_model(), path),
}
if every:
    import matplotlib; matplotlib.use("Agg")
    from bayesgmm.apps.images.regions import save_regions
    figure = bg.plots.assignments(fit)
    segments = bg.apps.segment_image(rng.uniform(size=(40, 40)), 2, **quiet)
    clusters = bg.apps.cluster_table(table, n_components=1, covariance="full", method="em", **quiet)
    card = folder.parent / "card.toml"
    card.write_text("[mixture]\\nn_components = 1\\n[fit]\\nmethod = 'em'\\n[data]\\ndataset = 'iris'\\n")
    writers |= {
        "figure.png": lambda path: write_picture(figure, path),
        "figure.svg": lambda path: write_picture(figure, path),
        "report.html": lambda path: bg.report(fit, path, **quiet),
        "regions": lambda path: save_regions(segments, path),
        "clusters": lambda path: clusters.save(path, **quiet),
        "card": lambda path: bg.run_card(card, path, **quiet),
    }
if limit:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
for name, write in writers.items():
    try:
        write(folder / name)
        print(name, "written")
    except bg.errors.FitFileError as error:
        print(name, "refused" if name in str(error) else f"refused without its name: {error}")
    gc.collect()
print("alive")
"""
OLD = ("fit.nc", "table.csv", "speech.nc", "figure.png", "figure.svg", "report.html")
READS = 30  # while two processes write
ROOT = Path(__file__).parents[1]


@pytest.fixture
def every(request):
    return request.config.getoption("--every-combination")


def run(folder: Path, every: bool, limit: int = 0, before: str = "") -> str:
    """Write with every writer, after a command of the shell; return what was printed."""
    for name in OLD:
        (folder / name).write_text("old")
    python = f'exec "{sys.executable}" -c "$WRITERS" {folder} {"every" if every else "few"} {limit}'
    line = ["unshare", "-m", "sh", "-c", before + python] if before else ["sh", "-c", python]
    environment = {**os.environ, "WRITERS": WRITERS, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("alive\n")
    return done.stdout


def test_a_full_disk_leaves_the_old_files_and_the_process(tmp_path, every):
    """A limit on the size of a file stands for a full disk: the system refuses to write more."""
    (tmp_path / "in").mkdir()
    printed = run(tmp_path / "in", every, limit=2048)
    assert printed.count("refused\n") == (10 if every else 4), printed
    for name in OLD:
        assert (tmp_path / "in" / name).read_text() == "old"
    left = [path.name for path in (tmp_path / "in").iterdir() if path.is_file() or any(path.iterdir())]
    assert {*left} <= {*OLD, "regions", "clusters", "card"}


def rooms_for(size: str, mode: str = "rw") -> str:
    """Command that mounts a small file system over the folder, with the old files in it."""
    return (
        f'cp -r "$DISK" "$DISK.old"; mount -t tmpfs -o size={size} tmpfs "$DISK"; cp -r "$DISK.old/." "$DISK"; '
        f'mount -o remount,{mode} "$DISK"; '
    )


@pytest.mark.parametrize(("size", "mode"), [("40k", "rw"), ("200k", "rw"), ("8m", "ro")])
def test_mounted_disks_leave_the_old_files_and_the_process(size, mode, tmp_path, every, monkeypatch):
    if not every:
        pytest.skip("with --every-combination")
    if subprocess.run(["unshare", "-m", "true"], check=False).returncode:
        pytest.skip("file systems can't be mounted here")
    disk = tmp_path / "disk"
    disk.mkdir()
    monkeypatch.setenv("DISK", str(disk))
    printed = run(disk, every=True, before=rooms_for(size, mode))
    assert "without" not in printed, printed
    assert printed.count("refused\n") == 10 or mode == "rw"
    assert "refused" in printed
    print(size, mode, printed)


SAVER = """
import sys, itertools
import bayesgmm as bg
path, first = sys.argv[1], int(sys.argv[2])
fits = [bg.fit(bg.MixtureModel(1), [[0.0], [float(i + 1)]], "em", progress=False) for i in range(first, first + 2)]
bg.save(fits[0], path)
print("ready", flush=True)
for fit in itertools.cycle(fits):
    bg.save(fit, path)
"""


def savers(path: Path, count: int) -> list[subprocess.Popen]:
    """Processes that save fits to one path until they are killed, after the first of each is there."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    line = [sys.executable, "-c", SAVER, str(path)]
    running = [
        subprocess.Popen([*line, str(10 * i)], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for i in range(count)
    ]
    for one in running:
        assert one.stdout.readline() == b"ready\n"
    return running


@pytest.mark.parametrize("name", ["fit.nc", "fit.zarr"])
def test_two_processes_write_and_one_reads(name, tmp_path, every):
    """A zarr folder that is exchanged between two of its files is read again."""
    if not every:
        pytest.skip("with --every-combination")
    path = tmp_path / name
    save(bg.fit(bg.MixtureModel(1), [[0.0], [1.0]], "em", progress=False), path)
    running = savers(path, 2)
    for _ in range(READS):
        assert load(path)["posterior"].sizes["component"] == 1
    for one in running:
        assert one.poll() is None, one.stderr.read()
        one.kill()
        one.communicate()


@pytest.mark.parametrize("name", ["fit.nc", "fit.zarr"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_process_that_is_killed_leaves_a_whole_file(name, number, tmp_path, every):
    if not every:
        pytest.skip("with --every-combination")
    path, rng = tmp_path / name, np.random.default_rng(0)
    for _ in range(25):
        (running,) = savers(path, 1)
        time.sleep(rng.uniform(0.05, 0.4))
        running.send_signal(number)
        running.communicate()
        assert load(path)["posterior"].sizes["component"] == 1
