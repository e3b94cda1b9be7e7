from . import synthesis
from .region_plots import overlay_data, plot_regions
from .regions import region_table, save_regions
from .segmentation import fit_pixels, segment_image
from .speech import SpeechClassifier

__all__ = [
    "SpeechClassifier",
    "fit_pixels",
    "overlay_data",
    "plot_regions",
    "region_table",
    "save_regions",
    "segment_image",
    "synthesis",
]
