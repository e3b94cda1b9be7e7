from .region_plots import overlay_data, plot_regions
from .regions import region_table, save_regions
from .segmentation import fit_pixels, segment_image

__all__ = [
    "fit_pixels",
    "overlay_data",
    "plot_regions",
    "region_table",
    "save_regions",
    "segment_image",
]
