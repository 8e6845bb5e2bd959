from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from napari_sem4d.dynamics.lagged_correlation import lagged_correlation
from napari_sem4d.dynamics.log_file import LogFile, read_log
from napari_sem4d.model import InputError


def written(tmp_path, text):
    path = tmp_path / "log.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_numbers_words_units_and_seconds_are_read(tmp_path):
    log = read_log(written(tmp_path, "time (min),temperature (C),gas,m/z 18\n0,300,H2,1e-9\n1,310,,\n2,320,O2,3e-9\n"))
    np.testing.assert_allclose(log.time_s, [0.0, 60.0, 120.0])
    assert log.units == {"temperature": "C"}
    assert log.columns == ("temperature", "m/z 18", "gas")
    np.testing.assert_allclose(log.at("temperature", [-1.0, 30.0, 120.0, 121.0]), [np.nan, 305.0, 320.0, np.nan])
    np.testing.assert_allclose(log.at("m/z 18", [60.0]), [2e-9])  # over the empty cell
    assert log.word_at("gas", [-5.0, 0.0, 70.0, 500.0]) == ("", "H2", "", "O2")


def test_dates_are_put_on_the_clock_of_the_frames(tmp_path):
    path = written(tmp_path, "Timestamp;T\n2026-05-31 14:00:00;300,5\n2026-05-31 14:01:00;301,5\n")
    log = read_log(path, time_zone="+02:00")
    assert not log.time_zone_said
    assert log.start == datetime(2026, 5, 31, 12, tzinfo=UTC)
    shifted = log.on_clock_of(datetime(2026, 5, 31, 12, 0, 30, tzinfo=UTC), offset_s=5.0)
    np.testing.assert_allclose(shifted.time_s, [-25.0, 35.0])
    np.testing.assert_allclose(shifted.at("T", [5.0]), [301.0])
    # frames that say no time zone are taken for those of the log
    np.testing.assert_allclose(log.on_clock_of(datetime(2026, 5, 31, 14)).time_s, [0.0, 60.0])
    named = read_log(path, time_zone="Europe/Berlin")
    assert named.start == log.start


def test_long_gaps_are_not_bridged(tmp_path):
    lines = "".join(f"{t},{t}\n" for t in (0, 1, 2, 3, 100, 101))
    log = read_log(written(tmp_path, "time,p\n" + lines))
    np.testing.assert_allclose(log.at("p", [2.5, 50.0, 100.5]), [2.5, np.nan, 100.5])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("time,T\n0,300\n1,30o\n2,302\n", r"line 3, column 'T': '30o' is no number"),
        ("time,T\n0,300\n1\n", r"line 3: 1 cells where the first line names 2"),
        ("time,T\n0,300\nlater,301\n", r"line 3, column 'time': 'later' is no time"),
        ("time,T\n2026-05-31T14:00:00,300\n31.5.26,301\n", r"line 3, column 'time': '31.5.26' is no time"),
        ("time,T\n5,300\n1,301\n", r"line 3, column 'time': the time runs backwards"),
        ("time (weeks),T\n5,300\n", r"line 2, column 'time': the unit of time 'weeks'"),
        ("time,T,T\n5,300,1\n", r"two columns are called 'T'"),
        ("time,T\n", "holds no log"),
        ("", "holds no log"),
    ],
)
def test_a_bad_cell_is_named_by_line_and_column(tmp_path, text, said):
    with pytest.raises(InputError, match=said):
        read_log(written(tmp_path, text))


def test_other_files_and_zones_are_refused(tmp_path):
    with pytest.raises(InputError, match="cannot read"):
        read_log(tmp_path / "none.csv")
    binary = tmp_path / "log.csv"
    binary.write_bytes(bytes(range(256)))
    with pytest.raises(InputError, match="UTF-8"):
        read_log(binary)
    with pytest.raises(InputError, match="unknown time zone"):
        read_log(written(tmp_path, "time,T\n0,1\n"), time_zone="Mars/Olympus")


def gas_log(random):
    time_s = np.arange(0.0, 1200.0, 2.0)
    switched = np.convolve(np.sin(time_s / 70.0) > 0.0, np.ones(10) / 10, mode="same")
    return LogFile("log.csv", time_s, None, {"O2": switched + random.normal(0, 0.01, 600)}, {}, {})


def test_a_lag_that_was_put_in_is_found_with_its_interval():
    random = np.random.default_rng(0)
    frames = np.sort(random.uniform(100.0, 1150.0, 40))
    inside = []
    for _ in range(40):
        log = gas_log(random)
        rate = 3.0 * log.at("O2", frames - 24.0) + random.normal(0.0, 0.6, 40)
        found = lagged_correlation(log, "O2", frames, rate, 90.0)
        inside.append(found.low_s <= 24.0 <= found.high_s)
        assert abs(found.lag_s - 24.0) < 20.0
        assert found.low_s < found.lag_s < found.high_s
        assert found.high_s - found.low_s < 40.0
        assert found.correlation > 0.7
        assert found.p_value < 0.01
    assert np.mean(inside) >= 0.88  # 95 % are meant, 2 standard deviations of 40 draws less


def test_a_log_that_is_switched_once_has_a_wider_interval_than_chi_square_would_say():
    # far from frames the likelihood is a flight of steps: the set of a change point is larger (Hansen 2000)
    random = np.random.default_rng(3)
    time_s = np.arange(0.0, 1200.0, 2.0)
    log = LogFile("log.csv", time_s, None, {"O2": (time_s > 600.0).astype(float)}, {}, {})
    frames = np.arange(100.0, 1150.0, 10.0)
    quantity = log.at("O2", frames - 24.0) + random.normal(0.0, 1.0, len(frames))
    found = lagged_correlation(log, "O2", frames, quantity, 90.0)
    assert found.low_s <= 24.0 <= found.high_s
    loss = len(frames) * np.log(1.0 - found.correlations**2)
    chi_square = found.lags_s[loss - loss.min() <= 3.84]
    assert found.high_s - found.low_s > np.ptp(chi_square)


def test_without_any_relation_no_lag_is_told():
    random = np.random.default_rng(5)
    frames = np.arange(100.0, 1100.0, 25.0)
    found = lagged_correlation(gas_log(random), "O2", frames, random.normal(size=40), 90.0)
    assert found.low_s == -np.inf
    assert found.high_s == np.inf


def test_lags_at_which_the_log_covers_few_frames_are_not_judged():
    time_s = np.arange(0.0, 400.0, 2.0)
    log = LogFile("log.csv", time_s, None, {"O2": np.sin(time_s / 30.0)}, {}, {})
    frames = np.arange(0.0, 800.0, 20.0)
    quantity = np.sin((frames - 10.0) / 30.0) + np.random.default_rng(0).normal(0.0, 0.1, len(frames))
    found = lagged_correlation(log, "O2", frames, quantity, 60.0)
    assert np.isnan(found.correlations[found.lags_s < -20.0]).all()
    assert found.low_s <= 10.0 <= found.high_s


def test_what_has_nothing_to_do_with_the_log_is_not_called_correlated():
    random = np.random.default_rng(1)
    frames = np.arange(100.0, 1100.0, 25.0)
    found = [
        lagged_correlation(gas_log(random), "O2", frames, random.normal(size=40)).p_value < 0.05 for _ in range(20)
    ]
    assert np.mean(found) < 0.2


def test_a_log_of_another_time_is_told(tmp_path):
    log = gas_log(np.random.default_rng(0)).on_clock_of(None, 1e6)
    with pytest.raises(InputError, match="time zone"):
        lagged_correlation(log, "O2", np.arange(0.0, 100.0, 10.0), np.arange(10.0))
    with pytest.raises(InputError, match="no column of numbers 'CO'"):
        lagged_correlation(log, "CO", np.arange(0.0, 100.0, 10.0), np.arange(10.0))
