"""Rows on their way to the tables of a run."""

from rsm.runs.recorder import Recorder
from rsm.runs.schema import schema


def test_thousands_of_rows_come_out_complete_and_in_order_and_their_sum_is_known_all_along():
    recorder, column = Recorder(), "round"
    rows = [dict.fromkeys(schema("rounds").names, 0) | {column: number} for number in range(5000)]
    for start in range(0, 5000, 27):
        recorder.add("rounds", *rows[start : start + 27])
        assert recorder.total("rounds", column) == sum(range(min(start + 27, 5000)))
    assert recorder.table("rounds")[column].to_pylist() == list(range(5000))
