"""Model selection: a fit for each number of components and covariance family, and their criteria."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from bayesgmm.data.points import DataLike, as_points
from bayesgmm.data.streams import Stream
from bayesgmm.declared import whole, whole_numbers
from bayesgmm.errors import DeclarationError, TableWarning, choose, warn
from bayesgmm.families.structures import families_named
from bayesgmm.inference.em import RAISE, SWEEPS
from bayesgmm.inference.searches import cores_of, require_data, seed_of
from bayesgmm.keywords import checks_keywords
from bayesgmm.model_selection.candidates import Candidates, Row
from bayesgmm.model_selection.rounds import SEARCHES, THOROUGH, searched
from bayesgmm.model_selection.transform_choice import NONE, Transform, choose_transforms
from bayesgmm.posterior.criteria import CRITERIA
from bayesgmm.screening.measurements import unlikely_values
from bayesgmm.sources.opening import is_read_in_parts, require_no_values_for_rows, weight_column
from bayesgmm.wording import plural
from bayesgmm.workers.streams import client_of, needed, read_rows

if TYPE_CHECKING:
    import pandas as pd
    from distributed import Client

CLOSE = 10.0  # difference of a criterion that a higher maximum may make up
SLACK = 0.1  # decrease of the log likelihood, in nats, that is within EM's tolerance


@checks_keywords
def select(
    data: DataLike,
    n_components: int | Iterable[int] | str = range(1, 10),
    covariance: str | Sequence[str] = ("full", "tied", "diag", "spherical"),
    *,
    criterion: str = "bic",
    columns: Sequence[str] | None = None,
    sample_weight: ArrayLike | None = None,
    noise: ArrayLike | None = None,
    labels: object = None,
    transform: Transform = NONE,
    seed: int | None = None,
    cores: int | None = None,
    memory: int | str | None = None,
    client: "Client | None" = None,
    progress: bool = True,
    n_init: int = 10,
    sweeps: int = SWEEPS,
    search: str = THOROUGH,
) -> "pd.DataFrame":
    r"""Select the number of components and the covariance family: fit each choice by EM, the best one first.

    Parameters
    ----------
    data : array, DataFrame, path or source
        (N, D), one row for each point. Data that ``fit`` reads in parts are read so here, too, if they are larger than
        ``memory``: a sweep of each fit reads them, or is made by the workers of a Dask cluster that hold them.
    n_components : int or iterable of int or str
        Numbers of components to try; a text as at the terminal, ``"1-9"`` or ``"2,4,8"``, is read, too.
    covariance : str or sequence of str
        Covariance families to try; ``'all'`` for mclust's fourteen.
    criterion : str
        Criterion to sort by: ``'bic'`` (for the density), ``'icl'`` (for well-separated clusters) or ``'aic'``, lower
        is better; or ``'elbo'``, higher is better.
    columns : sequence of str, optional
        Columns of a DataFrame to use.
    sample_weight : (N,) float or str, optional
        Number of points that each row represents; N in the criteria is their sum. Of rows that are read in parts, the
        name of their column.
    noise : (N, D) or (N, D, D) array, optional
        Errors of measurement, as in ``fit``.
    labels : (N,) array or Series, optional
        Names or numbers of the components of some rows, as in ``fit``. The criteria are then those of values and
        labels together. A choice with fewer components than there are names can't be fitted.
    transform : {'none', 'auto', 'log', 'power', 'arcsinh'} or ColumnTransforms
        Transform of the columns, as in ``choose_transforms``. The criteria are those of the density in data units, so
        they can be compared between transforms; ``n_parameters`` counts those of the transforms.
    seed : int, optional
        The same seed gives the same table for any ``cores``.
    cores : int, optional
        Number of fits in parallel. Default: the number of cores of the machine.
    memory : int or str, optional
        Memory that rows may take, as in ``fit``.
    client : Client, optional
        Client of a Dask cluster, whose workers make the fits, each of them one at a time. Default: for a Dask
        collection the client that is in use, else threads of this process.
    progress : bool
        Show a progress bar.
    n_init : int
        Number of starts of EM for each choice, in each cycle of its search.
    sweeps : int
        Budget of the search for each choice: maximum number of sweeps for a start.
    search : {'thorough', 'brief'}
        ``'brief'``: all choices are searched briefly, also from the best mixtures of other families, and then the best
        five, and others close to these, thoroughly. It takes less time; the likelihood of the other choices may be
        below its maximum.

    Returns
    -------
    DataFrame
        A row for each choice: ``n_components``, ``covariance``, ``loglik`` (total log likelihood, data units),
        ``n_parameters``, ``bic``, ``aic``, ``icl``, ``problem``, a text; with ``criterion='elbo'`` also ``elbo``, the
        lower bound of the log evidence by variational Bayes under the default priors, plus log K! for the K! equal
        labellings [1]_ (NaN for families that only EM fits); after a brief search also ``search``. A choice that can't
        be fitted has no criteria and comes last. Families that are the same model, as all with free volumes in one
        column, are fitted once and have equal rows. If columns are transformed, ``attrs["transforms"]`` is the
        ColumnTransforms.

    Raises
    ------
    DataError
        When the data can't be used.
    UnknownName
        When there is no such covariance family or criterion.
    DeclarationError
        When a number is out of range, there is nothing to choose from, or the first argument is a declaration
        (pass the data: components and covariance are selected).
    ClusterError
        When the Dask cluster can't be used.

    Warns
    -----
    FitWarning
        When interrupted by Ctrl-C: the table then has the choices that were done. When the likelihood decreases with
        the number of components: EM then missed a maximum.
    TableWarning
        As from ``fit``.

    Notes
    -----
    Values are fitted as they are. If a column is coarsely rounded, a component may shrink onto a single value, which
    has a high density, so that more components are selected than there are groups; ``cluster_table`` spreads such
    values.

    ``bic`` and ``icl`` are those of R's mclust with the opposite sign, except for the penalty of ``icl``: here twice
    the entropy of the assignments, :math:`-2 \sum_{nk} r_{nk} \log r_{nk}` [2]_; in mclust
    :math:`-2 \sum_n \log \max_k r_{nk}`, which is smaller. For three tied components of Old Faithful ``icl`` is 2399.8;
    it would be 2358.4 by mclust's formula.

    References
    ----------
    .. [1] Bishop (2006), Pattern Recognition and Machine Learning, section 10.2.4.
    .. [2] Biernacki, Celeux & Govaert (2000), IEEE Trans. Pattern Anal. Mach. Intell. 22(7), 719-725.

    Examples
    --------
    Two groups: two components have the lower BIC.

    >>> table = select([0.0, 1.0, 2.0, 50.0, 51.0, 53.0], [1, 2], "tied", seed=1, progress=False)
    >>> int(table["n_components"][0])
    2
    """
    require_data(data, "select(data, n_components=[1, 2, 3], covariance='full')")
    counts, covariances = whole_numbers("n_components", n_components), families_named(covariance)
    choose(criterion, CRITERIA, "criterion")
    choose(search, SEARCHES, "search")
    seed, n_init, cores = seed_of(seed), whole("n_init", n_init), cores_of(cores)
    chosen, settings = None, (covariances, seed, n_init)
    known: dict[str, Any] = {"criterion": criterion, "sweeps": whole("sweeps", sweeps)}
    if memory is not None or is_read_in_parts(data):
        require_no_values_for_rows({"noise": noise, "labels": labels})
        points = read_rows(data, columns, memory, seed, progress, weight_column(sample_weight), gaps=True)
    else:
        points = as_points(data, columns, gaps=True).weighed(sample_weight).measured(noise)
        warn(unlikely_values(data, points, columns), TableWarning)
        points = points.labelled(labels, max(counts))
        if points.labels is not None:  # so that they suit each number of components
            points = replace(points, labels=points.labels.gathered())
    if isinstance(points, Stream):
        require_no_values_for_rows({"transform": None if transform == NONE else transform})
        if client is not None and not points.on_workers:
            raise DeclarationError(
                "client= can't be used with rows that are read in parts on this machine\n"
                f"  Give a Dask collection of them, or memory={needed(points)!r}, which suffices for all rows."
            )
        threads = 1 if points.on_workers else cores
        candidates = Candidates.of(points, *settings, **known, threads=threads)
        cores, client = cores if points.on_workers else 1, None
    else:
        chosen = choose_transforms(points, transform, covariance=covariances, seed=seed)
        candidates = Candidates.transformed(points, chosen, *settings, **known)
        client = client or client_of(data)
    calls = [(k, name) for k in counts for name in covariances]
    done, interrupted = searched(candidates, calls, search, cores, progress, client)
    stopped = [f"Interrupted: the table has {len(done)} of {len(calls)} choices."] if interrupted else []
    missed = _missed(done, n_init) if search == THOROUGH else []
    warn([*stopped, *missed, *_close(done, criterion, sweeps)])
    table = table_of(done, criterion)
    if chosen is not None and chosen.changed:
        table.attrs["transforms"] = chosen
    return table


def _missed(rows: list[Row], n_init: int) -> list[str]:
    """List warnings where the likelihood decreases with the number of components, because a maximum was missed."""
    messages = []
    for name in dict.fromkeys(row["covariance"] for row in rows):
        fitted = sorted((r["n_components"], r["loglik"]) for r in rows if r["covariance"] == name and "loglik" in r)
        falls = [f"{k} to {more}" for (k, before), (more, after) in pairwise(fitted) if after < before - SLACK]
        if falls:
            messages.append(
                f"covariance={name!r}: the likelihood decreases from {', '.join(falls)} components, so EM missed a "
                f"maximum. Try n_init={3 * n_init}."
            )
    return messages


def _close(rows: list[Row], criterion: str, sweeps: int) -> list[str]:
    """List a warning if choices that are little worse than the best may have a higher maximum than was found."""
    fitted = [row for row in rows if np.isfinite(row.get(criterion, np.nan))]
    ranked = sorted(fitted, key=lambda row: CRITERIA[criterion] * row[criterion])
    found = [
        f"{plural(row['n_components'], 'component')} with {row['covariance']!r}"
        for row in ranked[1:]
        if abs(row[criterion] - ranked[0][criterion]) < CLOSE and row["undiscovered"]
    ]
    if not found:
        return []
    return [
        f"A higher maximum of the likelihood may exist for {', '.join(found)}, which by {criterion.upper()} "
        f"{'is' if len(found) == 1 else 'are'} little worse than the best. Try sweeps={RAISE * sweeps}."
    ]


def table_of(rows: list[Row], criterion: str) -> "pd.DataFrame":
    """Sort the rows by the criterion, those without it last; ties stay in the order given."""
    import pandas as pd

    from bayesgmm.whole_tables import WholeTable

    criteria = [name for name in CRITERIA if name != "elbo" or criterion == "elbo"]
    names = ["n_components", "covariance", "loglik", "n_parameters", *criteria, "problem"]
    names += ["search"] if any("search" in row for row in rows) else []
    table = pd.DataFrame(rows, columns=names)
    order = np.argsort(CRITERIA[criterion] * table[criterion].to_numpy(np.float64), kind="stable")
    return WholeTable(table.iloc[order].reset_index(drop=True))
