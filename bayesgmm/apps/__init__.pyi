from .images.image_input import read_image
from .images.region_plots import overlay_data, plot_regions
from .images.regions import region_table, save_regions
from .images.segmentation import fit_pixels, segment_image
from .speech import audio, synthesis
from .speech.classifier import SpeechClassifier
from .speech.recording_lists import recordings_in
from .tables.anomalies import Anomalies, find_anomalies, judge
from .tables.anomaly_report import save_anomalies
from .tables.clusters import Clusters, cluster_table

__all__ = [
    "Anomalies",
    "Clusters",
    "SpeechClassifier",
    "audio",
    "cluster_table",
    "find_anomalies",
    "fit_pixels",
    "judge",
    "overlay_data",
    "plot_regions",
    "read_image",
    "recordings_in",
    "region_table",
    "save_anomalies",
    "save_regions",
    "segment_image",
    "synthesis",
]
