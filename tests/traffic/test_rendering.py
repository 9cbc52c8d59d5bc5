"""Pictures and films: the right kind of file, whole or not at all."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rsm.config.learning import Traffic
from rsm.errors import ConfigError
from rsm.traffic import films
from rsm.traffic.environment import TrafficEnv
from rsm.traffic.films import check_output, write_gif
from rsm.traffic.picture import Links, Picture, gathered
from rsm.traffic.rendering import render
from rsm.traffic.trajectory import Act, Trajectory, drive_trajectory


def humans() -> Act:
    """Our human driver."""
    return lambda observation: None


@pytest.fixture(scope="module")
def env():  # type: ignore[no-untyped-def]
    """Three seconds of the published scenario."""
    with TrafficEnv(Traffic(horizon=30)) as env:
        yield env


def test_a_gif_has_a_frame_per_moment_and_repeats(env: TrafficEnv, tmp_path: Path) -> None:
    out = tmp_path / "new" / "film.gif"
    trajectory = render(env, humans, out, seed=0)
    with Image.open(out) as film:
        assert film.format == "GIF"
        # Frames that look alike may be joined.
        assert 10 < film.n_frames <= len(trajectory.time)  # type: ignore[attr-defined]
        assert film.info["loop"] == 0
    assert [path.name for path in out.parent.iterdir()] == ["film.gif"]


def test_gif_keeps_only_what_changes_and_every_frame_is_whole_when_played(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frames = np.full((5, 40, 60, 3), 255, dtype=np.uint8)
    frames[:, 25:] = rng.choice([0, 128, 255], size=(15, 60, 1))  # stands still
    for moment in range(5):
        frames[moment, 10:16, 10 * moment : 10 * moment + 6] = (200, 0, 100)
    write_gif(tmp_path / "film.gif", iter(frames), 10)
    with Image.open(tmp_path / "film.gif") as film:
        for moment, frame in enumerate(frames):
            film.seek(moment)
            assert np.abs(np.asarray(film.convert("RGB")).astype(int) - frame).max() <= 2
    assert (tmp_path / "film.gif").stat().st_size < 6000


def test_an_mp4_is_a_film_that_can_be_read_back(env: TrafficEnv, tmp_path: Path) -> None:
    imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")
    out = tmp_path / "film.mp4"
    trajectory = render(env, humans, out, seed=0)
    frames = imageio_ffmpeg.read_frames(str(out))
    meta = next(frames)
    assert meta["codec"] == "h264"
    assert len(list(frames)) == len(trajectory.time)


def test_a_png_shows_the_chosen_moment(env: TrafficEnv, tmp_path: Path) -> None:
    render(env, humans, tmp_path / "end.png", seed=0)
    render(env, humans, tmp_path / "start.PNG", seed=0, at=0.0)
    with Image.open(tmp_path / "end.png") as end, Image.open(tmp_path / "start.PNG") as start:
        assert end.format == start.format == "PNG"
        assert end.size == (720, 540)
        assert not np.array_equal(np.asarray(end), np.asarray(start))


def test_every_vehicle_is_drawn_where_it_is(env: TrafficEnv) -> None:
    trajectory = drive_trajectory(env, humans, seed=0)
    picture = Picture(env, trajectory)
    empty = picture.frame(0).astype(int)
    hidden = trajectory._replace(xy=np.full_like(trajectory.xy, np.nan))
    road = Picture(env, hidden).frame(0).astype(int)
    changed = np.abs(empty - road).sum(axis=2) > 60
    axes = picture.figure.axes[0]
    pixels = axes.transData.transform(trajectory.xy[0])
    for x, y in pixels:
        assert changed[round(540 - y), round(x)]
    assert changed.sum() < 14 * 250  # and nothing else has changed


def texts(picture: Picture) -> list[str]:
    return [text.get_text() for text in picture.figure.legends[0].get_texts()]


def made(*links: tuple[float, ...]) -> Links:
    """Links of agent, agent, bytes and maybe ζ, of a run that judges nothing without one."""
    rows = [(*link, np.nan)[:4] for link in links]
    return np.array(rows, dtype=np.float64).reshape(-1, 4)


def changed_by(env: TrafficEnv, trajectory: Trajectory, links: Links) -> Any:
    """Which pixels the links change in the first frame, [height, width], and the picture."""
    picture = Picture(env, trajectory, links)
    linked, plain = (p.frame(0).astype(int) for p in (picture, Picture(env, trajectory)))
    return np.abs(linked - plain).sum(axis=2)[:400] > 30, picture  # the legend lies below


def test_links_run_between_learning_vehicles_and_are_thicker_with_more_bytes(
    env: TrafficEnv,
) -> None:
    trajectory = drive_trajectory(env, humans, seed=0)
    areas = []
    for sent in (1, 1000):
        changed, picture = changed_by(env, trajectory, made((1, 4, sent), (7, 8, 1000)))
        ends = trajectory.xy[0][trajectory.learners[[1, 4]]]
        x, y = picture.figure.axes[0].transData.transform(ends.mean(axis=0))
        assert changed[round(540 - y) - 2 : round(540 - y) + 3, round(x) - 2 : round(x) + 3].any()
        areas.append(changed.sum())
    assert areas[0] < areas[1]
    assert any("last exchange" in text for text in texts(picture))


def test_link_is_as_wide_as_the_zeta_it_was_accepted_with_and_a_hairline_if_it_was_not(
    env: TrafficEnv,
) -> None:
    trajectory = drive_trajectory(env, humans, seed=0)
    picture = Picture(env, trajectory, made((0, 5, 90, 0.1), (1, 2, 10, 0.4), (3, 4, 90, 0.0)))
    picture.frame(0)
    some, most, none = picture.links.get_linewidth()
    assert none < some < most
    assert some - none == pytest.approx((most - none) / 4)
    assert "accepted in the last round\n(width: ζ, at most 0.4)" in texts(picture)
    assert "exchanged, not accepted" in texts(picture)


def test_strip_below_the_road_has_the_mean_speeds_up_to_the_moment(env: TrafficEnv) -> None:
    trajectory = drive_trajectory(env, humans, seed=0)
    picture = Picture(env, trajectory)
    strip = picture.figure.axes[1]
    for moment in (0, 12, -1):
        picture.frame(moment)
        every, learning = (line for line in strip.lines if line.get_animated())
        until = len(trajectory.time) if moment == -1 else moment + 1
        assert every.get_ydata() == pytest.approx(trajectory.speed.mean(axis=1)[:until])
        chosen = trajectory.speed[:, trajectory.learners].mean(axis=1)
        assert learning.get_ydata() == pytest.approx(chosen[:until])


def test_separate_loops_stand_close_to_each_other_with_their_vehicles_on_them() -> None:
    with TrafficEnv(Traffic(scenario="fleet-figure-eight:4", horizon=30)) as env:
        trajectory = drive_trajectory(env, humans, seed=0, every=30)
        shapes, moved = gathered(env, trajectory)
    inner = [(shape.min(axis=0), shape.max(axis=0)) for shape in shapes]
    for one, (low, high) in enumerate(inner):
        apart = [np.maximum(low - top, bottom - high).max() for bottom, top in inner[:one]]
        assert all(0 < gap < 100 for gap in apart[-1:])
        own = moved.xy[0][trajectory.route[0] == one]
        assert len(own) == 14
        assert (own > low - 5).all() and (own < high + 5).all()


def test_links_move_with_the_vehicles(env: TrafficEnv) -> None:
    trajectory = drive_trajectory(env, humans, seed=0)
    picture = Picture(env, trajectory, made((0, 5, 10)))
    for moment in (0, 30):
        picture.frame(moment)
        [link] = picture.links.get_segments()
        assert np.array_equal(link, trajectory.xy[moment][trajectory.learners[[0, 5]]])


def test_a_teleported_vehicle_loses_its_links_and_others_keep_theirs(env: TrafficEnv) -> None:
    trajectory = drive_trajectory(env, humans, seed=0)
    xy = trajectory.xy.copy()
    xy[0, trajectory.learners[0]] = np.nan
    picture = Picture(env, trajectory._replace(xy=xy), made((0, 5, 10), (3, 4, 20)))
    picture.frame(0)
    assert len(picture.links.get_segments()) == len(picture.links.get_linewidth()) == 1


def test_an_exchange_with_the_server_is_said_and_not_drawn(env: TrafficEnv) -> None:
    trajectory = drive_trajectory(env, humans, seed=0)
    changed, picture = changed_by(env, trajectory, made(*((-1, agent, 10) for agent in range(9))))
    assert not changed.any()
    assert texts(picture)[-1] == "all exchange with the server"
    some = Picture(env, trajectory, made((-1, 4, 10)))
    assert texts(some)[-1] == "1 of 9 exchange with the server"


def test_without_exchange_nothing_is_drawn_or_said_of_it(env: TrafficEnv) -> None:
    trajectory = drive_trajectory(env, humans, seed=0)
    changed, picture = changed_by(env, trajectory, made())
    assert not changed.any()
    assert texts(picture) == ["human driver", "learning vehicle"]


def test_picture_says_who_drives_and_marks_no_one_where_humans_do(env: TrafficEnv) -> None:
    trajectory = drive_trajectory(env, humans, seed=0)
    titles, legends = [], []
    for who in ("human", "platoon", "constant:1.5", "fmarl-seed3"):
        picture = Picture(env, trajectory, who=who)
        titles.append(picture.figure.texts[0].get_text())
        legends.append(texts(picture))
    assert titles == [
        "human, figure-eight, 14 human drivers",
        "platoon, figure-eight, 9 controlled of 14 vehicles",
        "constant:1.5, figure-eight, 9 controlled of 14 vehicles",
        "fmarl-seed3, figure-eight, 9 learning of 14 vehicles",
    ]
    assert legends == [
        ["human driver"],
        ["human driver", "controlled vehicle"],
        ["human driver", "controlled vehicle"],
        ["human driver", "learning vehicle"],
    ]


def test_links_of_agents_without_a_seat_are_left_out(env: TrafficEnv) -> None:
    trajectory = drive_trajectory(env, humans, seed=0)
    picture = Picture(env, trajectory, made((0, 9, 10), (1, 2, 10)))
    picture.frame(0)
    assert len(picture.links.get_segments()) == 1


def test_long_episodes_are_thinned_out_to_a_few_hundred_frames(
    env: TrafficEnv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(films.FILMS, ".gif", (10, 20))
    trajectory = render(env, humans, tmp_path / "film.gif", seed=0)
    assert len(trajectory.time) == 11


def test_a_failed_film_leaves_the_old_file_and_no_remains(
    env: TrafficEnv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "film.gif"
    out.write_bytes(b"old")

    def fail(*arguments: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(films, "write_gif", fail)
    with pytest.raises(OSError, match="disk full"):
        render(env, humans, out, seed=0)
    assert out.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize("name", ["film.avi", "film", "gif"])
def test_another_file_ending_is_refused_with_what_is_allowed(name: str) -> None:
    with pytest.raises(ConfigError, match=r"must end in \.gif, \.mp4 or \.png"):
        check_output(Path(name))


def test_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.gif").mkdir()
    with pytest.raises(ConfigError, match="folder"):
        check_output(tmp_path / "x.gif")


def test_mp4_without_ffmpeg_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(ConfigError, match="pip install imageio-ffmpeg"):
        check_output(Path("film.mp4"))
