from .anomalies import Anomalies, find_anomalies, judge
from .clusters import Clusters, cluster_table

__all__ = [
    "Anomalies",
    "Clusters",
    "cluster_table",
    "find_anomalies",
    "judge",
]
