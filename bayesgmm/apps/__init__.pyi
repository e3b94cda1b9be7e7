from . import synthesis
from .anomalies import Anomalies, find_anomalies, judge
from .clusters import Clusters, cluster_table
from .region_plots import overlay_data, plot_regions
from .regions import region_table, save_regions
from .segmentation import fit_pixels, segment_image
from .speech import SpeechClassifier

__all__ = [
    "Anomalies",
    "Clusters",
    "SpeechClassifier",
    "cluster_table",
    "find_anomalies",
    "fit_pixels",
    "judge",
    "overlay_data",
    "plot_regions",
    "region_table",
    "save_regions",
    "segment_image",
    "synthesis",
]
