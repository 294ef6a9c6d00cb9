"""Read the tower of any architecture, by the layout that transformers gives (`frism.triples.derivation`)."""

from collections.abc import Iterable
from functools import cached_property

from frism.checkpoints.checkpoint import Checkpoint
from frism.triples.architectures import EMBEDDING, HEAD, resolve_text_type
from frism.triples.facts import Facts, explain_config, read_derived_facts
from frism.triples.layout import Layout, Place
from frism.triples.scopes import holds
from frism.triples.tower import Region, Tower

Slots = dict[str, dict[str, Region]]  # stack's canonical name -> canonical name of a part -> where it is


class DerivedTower(Tower):
    """A tower whose layout transformers' own class and conversions give.

    A stored stack of matrices (experts) counts as one matrix each: "layers.0.mlp.experts.down_proj.3", or by
    the names that other checkpoints store apart (`split_stacks`).
    """

    def __init__(self, checkpoint: Checkpoint, role: str, layout: Layout) -> None:
        super().__init__(checkpoint, role)
        self.layout = layout
        self.is_vlm, self.module = layout.is_vlm, layout.module
        self._regions: dict[str, tuple[str, Region]] = {}  # canonical name -> the stack's, which part of it
        self._places = {place.name: place for place in layout.places.values() if place.name is not None}
        self.names = self._list_names({})

    def split_stacks(self, slots: Slots) -> None:
        """Name the matrices of stored stacks as other checkpoints do, which store each apart."""
        self.names = self._list_names(slots)

    @property
    def slots(self) -> Slots:
        """The stacks that the loaded model has and this checkpoint stores apart, by their canonical names."""
        slots: Slots = {}
        for name, place in self._places.items():
            if place.slot is not None:
                slots.setdefault(place.slot[0], {})[name] = Region(*place.slot[1:])
        return slots

    def _list_names(self, slots: Slots) -> dict[str, str]:
        self._regions = {}
        names = {}
        for stored, place in self.layout.places.items():
            if place.name is None:
                continue
            shape = self.checkpoint.tensors[stored].shape
            found = slots.get(place.name, {}) if place.parameter else {}
            if not _covers(found.values(), shape):
                if place.kind != "matrix" or len(shape) != 3:
                    names[place.name] = stored
                    continue
                found = {f"{place.name}.{n}": Region(n, 0, shape[1]) for n in range(shape[0])}
            for name, region in sorted(found.items(), key=lambda pair: (pair[1].matrix, pair[1].first)):
                self._regions[name] = (place.name, region)
                names[name] = stored
        return names

    @cached_property
    def facts(self) -> Facts:
        """The text model's shapes and conventions."""
        with explain_config(self.checkpoint):
            return read_derived_facts(
                resolve_text_type(self.layout.text_type), self.layout.text_config, tied=HEAD not in self.names
            )

    def canonical(self, stored: str) -> str | None:
        """Return the canonical name of a stored tensor (of a stack as a whole); None outside the tower."""
        return self.layout.places[stored].name

    def outside(self, stored: str) -> str | None:
        """Return "vision tower", "audio tower" or "projector" for their tensors, None for others."""
        place = self.layout.places[stored]
        return place.kind if place.part == "outside" else None

    def describe(self, stored: str) -> str | None:
        """Say why a tensor that no scope holds is left to V."""
        place = self.layout.places[stored]
        return place.kind if place.part == "unread" else f"{place.kind}, which no scope holds"

    def stored(self, name: str) -> str:
        """Return the name in files. A head that is not stored is the embedding (tied)."""
        if name == HEAD and HEAD not in self.names:
            return self.names.get(EMBEDDING, EMBEDDING)
        return self.names.get(name, self._in_module(name))

    def parameter(self, name: str) -> str | None:
        """Return the name of the parameter in the loaded model; None where a conversion makes it."""
        place = self._place(name)
        return place.parameter if place else self._in_module(name)

    def target(self, name: str) -> str | None:
        """Return the parameter that a conversion fills from this tensor and others; None if there is none."""
        place = self._place(name)
        return place.target if place else None

    def kind(self, name: str) -> str | None:
        """Return what a canonical name stands for."""
        place = self._place(name)
        return place.kind if place else None

    def in_scope(self, name: str, scope: str) -> bool:
        """Whether a scope holds this canonical name."""
        return holds(scope, self.kind(name)) and len(self.header(name).shape) <= 2

    def region(self, name: str) -> Region | None:
        """Return the part of a stored stack that a name stands for; None for a whole tensor."""
        return self._regions[name][1] if name in self._regions else None

    def explain_absence(self, name: str) -> str | None:
        """Say why other checkpoints lack this tensor, where its form in the files is the reason."""
        place = self._place(name)
        if place is None or place.parameter is not None or name not in self._regions:
            return None
        return (
            f"{self.checkpoint.folder} ({self.role}) stores {self.stored(name)} in another form than its "
            "class has it, so that its matrices cannot be matched one by one: load it with transformers and "
            "save it with save_pretrained(save_original_format=False)."
        )

    def _in_module(self, name: str) -> str:
        return f"{self.module}.{name}".removeprefix(".")

    def _place(self, name: str) -> Place | None:
        return self._places.get(self._regions[name][0] if name in self._regions else name)


def unify_stacks(towers: Iterable[Tower]) -> None:
    """Give matrices the same names where one checkpoint stores them apart and another as a stack."""
    derived = [tower for tower in towers if isinstance(tower, DerivedTower)]
    slots: Slots = {}
    for tower in derived:
        slots = {**tower.slots, **slots}
    for tower in derived if slots else []:
        tower.split_stacks(slots)


def _covers(regions: Iterable[Region], shape: tuple[int, ...]) -> bool:
    """Whether regions are all of a matrix, or stack of matrices, of this shape, each row once."""
    if len(shape) not in (2, 3):
        return False
    ends = {(n, 0) for n in (range(shape[0]) if len(shape) == 3 else [-1])}
    for region in sorted(regions, key=lambda region: (region.matrix, region.first)):
        if (region.matrix, region.first) not in ends:
            return False
        ends.remove((region.matrix, region.first))
        ends.add((region.matrix, region.last))
    return {last for _, last in ends} == {shape[-2]}
