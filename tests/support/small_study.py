"""The smallest study that has every kind of job: a choice on a grid, a fit, spectra, the text column."""

SMALL_STUDY = {
    "engine": {"name": "transformers", "max_new_tokens": 6, "batch_size": 16},
    "spectrum": {"rank": 8, "parts": 2},
    "calibration": {"source": "miniature", "questions": 8},
    "benchmarks": ["mini_number", "mini_total"],
    "text": ["mini_total"],
    "questions": {"dev": 4, "test": 6},
    "statistics": {"resamples": 100},
    "variants": {
        "vlm": {"method": "vlm"},
        "inject": {"method": "inject", "grid": {"strength": [0.5, 1.0]}},
        "frism": {"method": "frism", "params": {"steps": 3, "batch": 4, "max_new_tokens": 3, "lr": 0.5}},
    },
}
