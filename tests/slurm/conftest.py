"""A cluster for the whole session, and a profile of this project's own for it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.slurm.loopback import Cluster, list_missing, run_cluster
from tests.workflow.conftest import ROOT, Project, new_project  # noqa: F401 - a fixture

# What a test cannot wait for, and what this machine has no room for; all else is the profile that users take.
HERE = {"slurm-no-account": True, "slurm-init-seconds-before-status-checks": 1,
"seconds-between-status-checks": 1,
        "latency-wait": 20, "cores": 2, "slurm-delete-logfiles-older-than": 0}  # fmt: skip


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two nodes of two processors each."""
    if missing := list_missing():
        pytest.skip(f"not installed: {', '.join(missing)} (apt-get install slurm-wlm munge)")
    with run_cluster(tmp_path_factory.mktemp("slurm")) as running:
        yield running


def write_profile(project: Project, **changes: Any) -> list[str]:
    """Put the shipped profile, as a site would change it, into a project; return the options for it."""
    profile = yaml.safe_load((ROOT / "profiles/slurm/profile.yaml").read_text()) | HERE
    profile["default-resources"] |= {"machine": "cpu1", "slurm_partition": "main", "mem_mb": 900}
    profile |= changes
    folder = project.folder / "profiles/here"
    folder.mkdir(exist_ok=True)
    (folder / "profile.yaml").write_text(yaml.safe_dump(profile))
    return ["--workflow-profile", "profiles/here"]


class OnCluster(Project):
    """A project whose Snakemake runs its jobs on the cluster."""

    patience = 3600.0

    def __init__(self, folder: Path, cluster: Cluster, **profile: Any) -> None:
        super().__init__(folder)
        self.cluster = cluster
        self.options = write_profile(self, **profile)

    def command(self, *options: str) -> list[str]:
        return super().command(*self.options, *options)

    def environment(self) -> dict[str, str]:
        given = super().environment()
        own = self.cluster.environment
        path = f"{self.cluster.root}/bin:{given['PATH']}:/usr/sbin:/sbin"
        return given | {"SLURM_CONF": own["SLURM_CONF"], "USER": own["USER"], "PATH": path}
