"""Machines: interpolation, profiles, and those that are measured and kept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frism.errors import UserError
from frism.planning import machines
from frism.planning.machines import interpolated

points = st.dictionaries(
    st.integers(1, 10_000), st.floats(1e6, 1e15), min_size=1, max_size=6
)  # operations a second by tokens


@given(points)
def test_interpolation_goes_through_every_point(measured):
    for place, value in measured.items():
        assert interpolated(measured, place) == pytest.approx(value, rel=1e-9)


@given(points, st.floats(1, 20_000))
def test_interpolation_stays_between_its_neighbours(measured, at):
    found = interpolated(measured, at)
    assert min(measured.values()) * 0.999 <= found <= max(measured.values()) * 1.001


@given(points, st.floats(1, 1e6))
def test_a_trend_goes_on_by_a_factor_of_two_at_most(measured, at):
    found = interpolated(measured, at, beyond=2.0)
    assert min(measured.values()) * 0.499 <= found <= max(measured.values()) * 2.001


def test_every_profile_says_where_its_rates_are_from():
    found = machines.profiles()
    assert {"h200", "a100-80", "rtx-4090", "cpu1"} <= set(found)
    for profile in found.values():
        assert profile.source
        assert {"product", "gesdd", "eigh", "qr"} == set(profile.algebra)
        assert (profile.device == "cuda") == (profile.device_memory is not None)
        assert "published peaks" in profile.source or profile.provenance == "measured"


def test_derived_rates_stay_below_their_peaks():
    h200 = machines.profiles()["h200"]
    assert 0.4 * 989e12 < h200.matmul_rate("bfloat16", 8192) < 0.7 * 989e12
    # One token is bound by reading the weights: two operations for two bytes.
    assert h200.matmul_rate("bfloat16", 1) < 4.8e12


def test_this_machine_is_measured_once(monkeypatch, tmp_path):
    monkeypatch.setenv("FRISM_CACHE", str(tmp_path))
    made = machines.profiles()["cpu1"].model_copy(update={"title": "here"})
    asked = []
    for _ in range(2):
        assert machines.machine("this", lambda: asked.append(1) or made) == made
    assert asked == [1]
    machines.keep("cluster", made)
    assert machines.machine("cluster", pytest.fail) == made


def test_a_damaged_profile_is_measured_again(monkeypatch, tmp_path):
    monkeypatch.setenv("FRISM_CACHE", str(tmp_path))
    (tmp_path / "machines").mkdir()
    (tmp_path / "machines" / "this.json").write_text('{"title": ')
    made = machines.profiles()["cpu1"]
    assert machines.machine("this", lambda: made) == made


def test_an_unknown_machine_is_a_sentence(monkeypatch, tmp_path):
    monkeypatch.setenv("FRISM_CACHE", str(tmp_path))
    with pytest.raises(UserError, match="Did you mean 'h200'"):
        machines.machine("h20", pytest.fail)
    with pytest.raises(UserError, match="no rate for int4"):
        machines.profiles()["h200"].matmul_rate("int4", 1)
