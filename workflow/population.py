"""Say which files the population's models wait for, and which studies are run together."""

from collections.abc import Iterable

from benchmarks.miniature.population.members import BASES, VLMS, Member, list_members

STUDIED = ("rehearsed", "forgetful")  # kinds of R; the third has configs, too


def list_trained() -> list[str]:
    """List the names of the members that the repository does not ship."""
    return [member.name for member in list_members() if not member.shipped]


def list_weights(members: Iterable[Member]) -> list[str]:
    """List the weights of members as far as a job makes them; those of the repository are no jobs."""
    return [f"{member.folder()}/model.safetensors" for member in members if not member.shipped]


def list_parents(base: str, part: str) -> list[str]:
    """List the weights that a member is trained from."""
    return list_weights(Member(base, part).parents)


def list_own(base: str, part: str) -> list[str]:
    """List a member's own weights."""
    return list_weights([Member(base, part)])


def list_cards() -> list[str]:
    """List what is measured of every member, and of every base's pairs of V and R."""
    cards = [f"results/population_models/cards/{member.name}.json" for member in list_members()]
    return cards + [f"results/population_models/cards/{base}/pairs.json" for base in BASES]


def list_children(base: str) -> list[str]:
    """List the weights of a base and of all that grew from it."""
    return list_weights(member for member in list_members() if member.base == base)


def list_configs() -> list[str]:
    """List the configs of the studies that are run together unless others are named."""
    return [f"config/population/{base}_{vlm}_{lrm}.yaml" for base in BASES for vlm in VLMS for lrm in STUDIED]
