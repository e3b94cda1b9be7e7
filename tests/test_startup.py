"""Imports and compilation at the start of a process: only what it needs."""

import importlib.util
import json
import os
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm import progress, temporary
from bayesgmm.late import Late, postponed
from bayesgmm.posterior import native
from bayesgmm.sweep import code_cache, orchestration
from bayesgmm.sweep.compilation import KERNELS, Callback, sources
from bayesgmm.temporary import temporary_folder

DATA = "import numpy as np; x = np.random.default_rng(0).normal(size=(200, 2)); x[:100] += 5"
NEVER = {"arviz", "dask", "distributed", "jax", "matplotlib", "nutpie", "pymc", "sklearn"}
DOUBLING = """
from bayesgmm.sweep.compilation import jit, kernel

@jit
def twice(x):
    return {factor} * x

@kernel
def double(x):
    return twice(x)
"""


def process(code, cache=None):
    """Run code, with an empty cache if a folder is given; return imported modules, compiled functions, and stderr."""
    script = f"{code}\nimport json, sys; print(json.dumps([name.split('.')[0] for name in sys.modules]))"
    command = [sys.executable, "-W", "ignore", "-c", script]
    chosen = {"NUMBA_CACHE_DIR": cache} if cache else {}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | chosen)
    compiled = (
        set() if cache is None else {path.name.split("-")[0].split(".", 1)[1] for path in Path(cache).rglob("*.nbi")}
    )
    return set(json.loads(done.stdout.splitlines()[-1])), compiled, done.stderr


def test_a_declaration_compiles_nothing_and_imports_no_compiler(tmp_path):
    code = "import bayesgmm as bg; bg.MixtureModel(3, weights=bg.PitmanYor(), covariances=bg.LKJCovariance())"
    modules, compiled, _ = process(code, str(tmp_path))
    assert not compiled
    assert not modules & (NEVER | {"numba", "scipy", "pandas", "xarray"})


def test_a_module_that_another_thread_imports_is_waited_for(tmp_path, monkeypatch):
    (tmp_path / "slowly_imported.py").write_text("import time\nfirst = 1\ntime.sleep(0.5)\nlast = 2\n")
    monkeypatch.syspath_prepend(tmp_path)
    module = Late("slowly_imported")
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: module.last, range(4))) == [2] * 4


def test_a_postponed_import_is_made_when_an_attribute_is_read(tmp_path, monkeypatch):
    (tmp_path / "imported_late.py").write_text("first = 1\n")
    (tmp_path / "importing.py").write_text("import imported_late\n")
    monkeypatch.syspath_prepend(tmp_path)
    with postponed("imported_late"):
        importing = importlib.import_module("importing")
    assert "imported_late" not in sys.modules
    assert importing.imported_late.first == 1
    assert "imported_late" in sys.modules


def test_a_postponed_part_of_a_package_is_bound_in_it_until_it_is_imported(tmp_path, monkeypatch):
    (tmp_path / "whole").mkdir()
    (tmp_path / "whole/__init__.py").write_text("")
    (tmp_path / "whole/part.py").write_text("first = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    with postponed("whole.part"):
        from whole import part  # type: ignore[import-not-found]
    whole = sys.modules["whole"]
    assert not hasattr(whole, "part")
    assert part.first == 1
    assert whole.part is sys.modules["whole.part"]


def test_a_report_imports_arviz_without_what_it_only_looks_for():
    looked_for = "assert not {'jax', 'numpyro'} & sys.modules.keys()"
    code = f"""
import inspect, sys
inspect.stack = None  # an error where the source of callers is read
from bayesgmm.reports.arviz_library import arviz
from bayesgmm.reports import report
assert "scipy.stats" not in sys.modules
assert arviz().plot_rank
{looked_for}
"""
    modules, _, _ = process(code)
    assert "arviz" in modules


def test_a_fit_by_nuts_imports_no_plots():
    settings = "draws=50, tune=50, chains=1, max_draws=50"
    code = f"{DATA}\nimport bayesgmm as bg; bg.fit(bg.MixtureModel(2), x, 'nuts', seed=1, {settings})"
    modules, _, _ = process(code)
    assert "nutpie" in modules
    assert not modules & {"arviz", "arviz_base", "arviz_plots", "matplotlib"}


def test_em_compiles_and_imports_only_what_it_needs(tmp_path):
    alone = "import sys; sys.modules['dask'] = None"  # as if not installed: where it is, xarray imports it
    code = f"{alone}; {DATA}\nimport bayesgmm as bg; bg.fit(bg.MixtureModel(2), x, 'em', seed=1)"
    modules, compiled, said = process(code, str(tmp_path))
    assert compiled == {"lay_out", "fold_chunks", "em_step", "climb", "take_steps"}
    assert not modules & (NEVER - {"dask"})
    assert not said  # no terminal, no line
    slow = "{'numba.np.arraymath', 'scipy.special', 'scipy.linalg'}"
    again = f"{code}; import sys; assert not {slow} & sys.modules.keys()"
    process(again, str(tmp_path))  # compiled code is read without the compiler's own functions


def test_a_function_that_is_compiled_first_may_end_with_a_new_intrinsic(tmp_path):
    """The sum of eight numbers: no other function that has been compiled before it declares its code."""
    code = f"{DATA}\nimport bayesgmm as bg; bg.GaussianMixture(2, random_state=0).fit(x)"
    _, compiled, _ = process(code, str(tmp_path))
    assert "nearer_distances" in compiled


def test_a_quick_report_imports_neither_arviz_nor_dask_nor_distributions(tmp_path):
    model = bg.MixtureModel(2)
    x = np.random.default_rng(0).normal(size=(40, 2)) + [[0, 0], [9, 9]] * 20
    fit = bg.fit(model, x, "gibbs", draws=100, tune=100, chains=2, seed=1, progress=False)
    bg.save(fit, tmp_path / "fit.nc")
    argv = ["bayesgmm", "report", str(tmp_path / "fit.nc"), "-o", str(tmp_path / "report.html"), "--quick"]
    loaded = "name for name, module in sys.modules.items() if module"
    start = f"import sys; sys.argv = {argv}; from bayesgmm.__main__ import main"
    code = f"{start}\ntry:\n    main()\nfinally:\n    print(*({loaded}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = set(done.stdout.splitlines()[-1].split())
    assert not modules & {
        "arviz",
        "arviz_base",
        "arviz_stats",
        "bayesgmm.inference",
        "dask",
        "plotly",
        "numpy.f2py",
        "pymc",
        "pytensor",
        "scipy.cluster",
        "scipy.stats",
        "scipy.signal",
    }
    assert "matplotlib.pyplot" in modules


def test_em_compiles_no_text_of_errors(tmp_path):
    code = f"""
{DATA}
import bayesgmm as bg
from numba.core import event
with event.install_recorder("numba:compile") as recorder:
    bg.fit(bg.MixtureModel(2), x, "em", seed=1)
functions = [done.data["dispatcher"].py_func for _, done in recorder.buffer]
assert not [function for function in functions if function.__module__ == "numba.cpython.unicode"]
"""
    _, compiled, _ = process(code, str(tmp_path))  # an error if that does not hold
    assert "climb" in compiled


SUM = """
from bayesgmm.sweep.compilation import kernel

@kernel
def sum_of_squares(x):
    total = 0.0
    for i in range(x.size):
        total += x[i] * x[i]
    return total
"""


def module(folder, factor=2, name="doubling", source=DOUBLING):
    """A module with a kernel, read from a file."""
    file = folder / f"{name}.py"
    file.write_text(source.format(factor=factor))
    spec = importlib.util.spec_from_file_location(name, file)
    made = importlib.util.module_from_spec(spec)
    before = len(KERNELS)
    spec.loader.exec_module(made)
    del KERNELS[before:]
    return made


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder, with an empty cache in it."""
    monkeypatch.setattr(code_cache.numba.config, "CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    # Python takes bytecode for current when size and second of change agree: not so for a module changed at once
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    for remark in (code_cache._remark_on_temporary, code_cache._remark_on_loss, temporary_folder):
        remark.cache_clear()
    yield tmp_path
    for remark in (code_cache._remark_on_temporary, code_cache._remark_on_loss, temporary_folder):
        remark.cache_clear()


class Recorder:
    """Bars that note the lines that appear on the screen."""

    def __init__(self):
        self.lines, self.visible = [], False

    def __call__(self, *columns, transient=False):
        return self

    def add_task(self, text, total, **fields):
        self.lines.append(text)
        return len(self.lines)

    def start(self):
        self.visible = True

    def stop(self):
        self.visible = False

    def remove_task(self, task):
        pass


@pytest.fixture
def screen(monkeypatch):
    made = Recorder()
    monkeypatch.setattr(progress, "_bars", made)
    return made


def test_a_line_says_that_something_is_compiled_and_only_then(folder, screen):
    assert module(folder).double(2.0) == 4.0
    assert screen.lines == [progress.COMPILING]
    assert not screen.visible
    assert module(folder).double(2.0) == 4.0  # from the cache
    assert screen.lines == [progress.COMPILING]


def test_without_progress_there_is_no_line(folder, screen):
    with progress.quiet():
        module(folder).double(2.0)
    for _ in progress.track([0], "work", progress=False):
        module(folder, name="other").double(2.0)
    assert screen.lines == []


def test_the_line_goes_among_the_bars_that_are_there(folder, screen):
    with progress.Bars() as bars:
        bars.stage("EM")
        module(folder).double(2.0)
        assert screen.visible
    assert screen.lines == ["EM", progress.COMPILING]
    assert not screen.visible


def test_a_damaged_index_is_replaced(folder):
    assert module(folder).double(2.0) == 4.0
    for index in (folder / "cache").rglob("*.nbi"):
        index.write_bytes(index.read_bytes()[:30] + b"cbayesgmm._native\nfold\n.")
    assert module(folder).double(2.0) == 4.0
    assert "double" in {path.name.split("-")[0].split(".")[1] for path in (folder / "cache").rglob("*.nbc")}


def test_code_that_moved_away_is_compiled_again(folder):
    """Numba raised ModuleNotFoundError when a module that an index names was no more."""
    assert module(folder).double(2.0) == 4.0
    for data in (folder / "cache").rglob("*.nbc"):
        data.write_bytes(b"cbayesgmm._native\nfold\n.")
    assert module(folder).double(2.0) == 4.0


def test_a_change_in_a_called_function_is_noticed(folder):
    assert module(folder, factor=2).double(2.0) == 4.0
    code_cache_digests = importlib.import_module("bayesgmm.sweep.compilation")._digest
    code_cache_digests.cache_clear()
    assert module(folder, factor=3).double(2.0) == 6.0


def test_a_kernel_is_made_of_all_files_that_it_calls():
    def names(kernel):
        return {Path(file).name for file in sources(kernel.function)}

    own = {
        "gathered_kernels.py",
        "latent_records.py",
        "kernels.py",
        "layout.py",
        "orchestration.py",
        "pointers.py",
        "simd.py",
    }
    assert names(orchestration.fold_chunks) == own
    more = {"coordinate_kernels.py", "native.py", "native_calls.py"}
    assert names(native.log_posterior) >= names(orchestration.fold_chunks) | more


def test_where_nothing_can_be_written_code_goes_to_a_temporary_folder_with_one_remark(folder, monkeypatch):
    monkeypatch.setattr(code_cache._Implementation, "_locator_classes", [code_cache._TemporaryLocator])
    monkeypatch.setattr(temporary.tempfile, "tempdir", str(folder))
    with pytest.warns(RuntimeWarning, match="temporary folder") as remarks:
        assert [module(folder, name=name).double(2.0) for name in ("first", "second")] == [4.0, 4.0]
    assert len(remarks) == 1
    kept = temporary_folder()
    assert list(kept.rglob("*.nbc"))
    assert not kept.stat().st_mode & 0o022


def test_a_temporary_folder_of_another_user_is_not_used(folder, monkeypatch):
    monkeypatch.setattr(temporary.tempfile, "tempdir", str(folder))
    (folder / f"bayesgmm-{temporary._user()}").mkdir()
    (folder / f"bayesgmm-{temporary._user()}").chmod(0o777)
    assert temporary_folder() != folder / f"bayesgmm-{temporary._user()}"


def test_a_full_disk_is_no_error(folder, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(code_cache.FunctionCache, "save_overload", full)
    with pytest.warns(RuntimeWarning, match="No space left") as remarks:
        assert module(folder).double(2.0) == 4.0
    assert len(remarks) == 1


def test_no_writable_folder_is_no_error(folder, monkeypatch):
    monkeypatch.setattr(code_cache._Implementation, "_locator_classes", [])
    with pytest.warns(RuntimeWarning, match="no locator"):
        assert module(folder).double(2.0) == 4.0


def test_warming_up_compiles_every_kernel():
    from bayesgmm.warmup import warm_up

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warm_up(progress=False)
    idle = [made.function for made in KERNELS if not isinstance(made, Callback) and not made.native.signatures]
    assert not idle
    assert all(made.address for made in KERNELS if isinstance(made, Callback))


def test_a_kernel_has_one_compiled_form_whatever_flags_its_arrays_have():
    from bayesgmm.sweep.blocks import Blocks
    from bayesgmm.sweep.stats import Table, fold

    root = np.stack([np.eye(2)] * 2)
    for writeable in (True, False):
        root.setflags(write=writeable)
        fold(Blocks.from_rows(np.eye(2)), Table(np.zeros(2), np.zeros((2, 2)), root))
    assert len(orchestration.fold_chunks.native.signatures) == 1


def test_the_loops_of_a_kernel_are_not_copied(folder):
    """The compiler's own choice is to write a loop several times over, which triples the time to compile a kernel."""
    kernel = module(folder, source=SUM).sum_of_squares
    assert kernel(np.arange(4.0)) == 14.0
    (code,) = kernel.native.inspect_llvm().values()
    assert code.count("fmul double") == 1


def test_functions_of_other_packages_compile_as_before():
    """Numba reports each compilation, also of an object mode block, whose dispatcher has no cache."""
    import numba

    from bayesgmm.sweep import code_cache  # noqa: F401  it listens to numba

    @numba.njit
    def doubled(x):
        with numba.objmode(y="float64"):
            y = float(2 * x)
        return y + x

    assert doubled(2.0) == 6.0
