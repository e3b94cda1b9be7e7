"""Linear algebra in one thread."""

import json
import os
import subprocess
import sys

CODE = """
import json
import numpy as np
from threadpoolctl import threadpool_info
import bayesgmm as bg

class Looking:
    def stage(self, text):
        import scipy.linalg
        found = [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]
        print(json.dumps(found))

    def chains(self, states):
        pass

x = np.random.default_rng(0).normal(size=(60, 2))
bg.fit(bg.MixtureModel(1), x, "gibbs", draws=20, tune=10, chains=1, seed=1, progress=Looking())
"""


def test_the_library_of_scipy_has_one_thread_during_a_fit():
    """It is loaded with ``scipy.linalg``. The tests themselves run with one thread, so that this needs a process."""
    threads = {"OPENBLAS_NUM_THREADS": "2", "MKL_NUM_THREADS": "2"}
    command = [sys.executable, "-W", "ignore", "-c", CODE]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | threads)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert found
    assert {count for counts in found for count in counts} == {1}
