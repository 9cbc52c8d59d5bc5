"""Two drivers beside each other: the same traffic, one clock, one scale of speeds."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rsm.config.learning import Traffic
from rsm.errors import ConfigError
from rsm.traffic.environment import TrafficEnv
from rsm.traffic.side_by_side import STRIP, WIDTH, Side, clock, drive, render_sides
from rsm.traffic.trajectory import Act


def faster(env: TrafficEnv, seed: int) -> Act:
    """Everybody as fast as they can."""
    return lambda observation: np.full((env.n_agents, 1), env.action_limit)


def humans(env: TrafficEnv, seed: int) -> Act:
    return lambda observation: None


@pytest.fixture(scope="module")
def sides() -> list[Side]:
    out, traffic = Path("film.gif"), Traffic(horizon=30)
    return [
        drive(traffic, driver, 0, out, who=who)
        for driver, who in ((humans, "human"), (faster, "go"))
    ]


def test_both_begin_in_the_same_traffic(sides: list[Side]) -> None:
    one, other = (side.trajectory for side in sides)
    np.testing.assert_array_equal(one.xy[0], other.xy[0])
    assert not np.array_equal(one.xy[-1], other.xy[-1])


def test_film_is_as_long_as_the_longer_side_and_as_wide_as_both(
    sides: list[Side], tmp_path: Path
) -> None:
    short = sides[1].trajectory
    cut = short._replace(**{name: getattr(short, name)[:5] for name in ("time", "xy", "speed")})
    render_sides([sides[0], sides[1]._replace(trajectory=cut)], tmp_path / "film.gif")
    with Image.open(tmp_path / "film.gif") as film:
        assert film.size == (WIDTH, round((540 + STRIP) * WIDTH / 1440))
        assert film.n_frames > 10  # type: ignore[attr-defined]


def test_png_shows_the_chosen_moment_and_not_one_after_the_end(
    sides: list[Side], tmp_path: Path
) -> None:
    render_sides(sides, tmp_path / "start.png", at=0.0)
    shown = np.asarray(Image.open(tmp_path / "start.png"))
    np.testing.assert_array_equal(shown[:STRIP], clock(0.0, 1440))
    with pytest.raises(
        ConfigError, match="--at: 99 is not allowed: the longer episode ends at 3 s"
    ):
        render_sides(sides, tmp_path / "late.png", at=99.0)


def test_drivers_of_different_traffic_are_not_compared(sides: list[Side], tmp_path: Path) -> None:
    with TrafficEnv(Traffic(horizon=40)) as env:
        other = sides[1]._replace(env=env)
    with pytest.raises(ConfigError, match="of 3 s and figure-eight of 4 s"):
        render_sides([sides[0], other], tmp_path / "x.png")
    assert not list(tmp_path.iterdir())
