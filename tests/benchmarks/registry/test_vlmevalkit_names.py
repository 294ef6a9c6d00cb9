"""What VLMEvalKit's sources say of its datasets, against what the package itself says."""

import json
import subprocess
import sys

import pytest

from benchmarks.registry import lookup, vlmevalkit_names
from benchmarks.scoring import metrics
from benchmarks.vlmevalkit import loading


def test_the_general_classes_and_one_with_its_own_metric() -> None:
    star = vlmevalkit_names.find("MMStar")
    assert star is not None
    assert (star.class_name, star.evaluates, star.modality) == ("ImageMCQDataset", "ImageMCQDataset", "IMAGE")
    assert star.url.endswith("/MMStar.tsv") and len(star.md5 or "") == 32
    dyna = vlmevalkit_names.find("DynaMath")
    assert dyna is not None and dyna.class_name == dyna.evaluates == "Dynamath"
    assert vlmevalkit_names.find("MMStr") is None


def test_names_that_loops_and_other_tables_declare() -> None:
    for name, class_name in (("MMMB_ar", "ImageMCQDataset"), ("StareBench_CoT", "StareBench")):
        found = vlmevalkit_names.find(name)
        assert found is not None and found.class_name == class_name and found.url


def test_every_prepared_benchmark_is_declared_with_its_class_and_metric() -> None:
    """The metric is the one that scoring will insist on."""
    for name in lookup.prepared():
        definition = lookup.find(name)
        if definition.kind == "lm_eval":
            continue
        found = vlmevalkit_names.find(definition.dataset)
        assert found is not None and found.class_name == definition.dataset_class, name
        assert found.md5, name
        kind = loading.dataset_class(definition.dataset_class)
        dataset = kind.__new__(kind)
        dataset.dataset_name = definition.dataset
        assert metrics.name_of(dataset) == definition.metric, name
        derived = lookup._table(definition.dataset, found.class_name, found.evaluates)
        assert derived["metric"] == definition.metric, name


@pytest.mark.slow
def test_all_of_them_are_what_the_imported_package_says() -> None:
    """Class, checksum and metric of every name whose class can be made."""
    code = (
        "import contextlib, json, vlmeval.dataset as d\n"
        "from benchmarks.scoring import metrics\n"
        "found = {}\n"
        "for c in reversed(d.DATASET_CLASSES):\n"
        "    for name in c.supported_datasets() if getattr(c, 'MODALITY', '') == 'IMAGE' else []:\n"
        "        with contextlib.suppress(TypeError, AttributeError):\n"
        "            made = c.__new__(c); made.dataset_name = name\n"
        "            found[name] = [c.__name__, c.DATASET_MD5.get(name), metrics.name_of(made)]\n"
        "print('FOUND' + json.dumps(found))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    truth = json.loads(done.stdout.partition("FOUND")[2])
    assert len(truth) > 400 and not set(truth) - set(vlmevalkit_names.names())
    for name, (class_name, md5, metric) in truth.items():
        found = vlmevalkit_names.find(name)
        assert found is not None
        assert (found.class_name, found.md5) == (class_name, md5 or None), name
        assert lookup._table(name, found.class_name, found.evaluates)["metric"] == metric, name
